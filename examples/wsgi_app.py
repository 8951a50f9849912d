"""A plain WSGI application behind a public URL. See flask_app.py for one with a framework.

python examples/wsgi_app.py
"""

from collections.abc import Callable, Iterable
from typing import Any

import portway


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Tell visitors who they are."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello {environ['REMOTE_ADDR']}, you asked for {environ['PATH_INFO']}\n".encode()]


if __name__ == "__main__":
    portway.serve(app)
