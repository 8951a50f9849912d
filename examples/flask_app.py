"""A Flask application behind a public URL, in one line and without a server beside it.

python examples/flask_app.py
"""

from flask import Flask, request

import portway

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name: str) -> str:
    """Greet, by the address that the visitor really has."""
    return f"Hello {name} from {request.remote_addr}\n"


if __name__ == "__main__":
    portway.serve(app)
