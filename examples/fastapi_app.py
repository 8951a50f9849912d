"""A FastAPI application behind a public URL, in one line and without a server beside it.

python examples/fastapi_app.py
"""

from fastapi import FastAPI, WebSocket

import portway

app = FastAPI()


@app.get("/hello/{name}")
async def hello(name: str) -> dict[str, str]:
    """Greet."""
    return {"hello": name}


@app.websocket("/shout")
async def shout(socket: WebSocket) -> None:
    """Send every text back in capitals."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text.upper())


if __name__ == "__main__":
    portway.serve(app)
