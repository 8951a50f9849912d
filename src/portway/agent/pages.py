"""The answer that an agent gives in the place of an upstream that it cannot reach."""

from html import escape

CODE = "ERR_NGROK_8012"


def unreachable(upstream: str, reason: str) -> bytes:
    """Return a whole HTTP/1.1 response: 502, after which the connection ends."""
    body = (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8"><title>Upstream unreachable</title></head><body>\n'
        "<h1>502: the upstream cannot be reached</h1>\n"
        f"<p>The agent is online, but it could not connect to <code>{escape(upstream)}</code>: "
        f"{escape(reason)}.</p>\n"
        f"<p>Is the service running there? {CODE}</p>\n"
        "</body></html>\n"
    ).encode()
    head = (
        "HTTP/1.1 502 Bad Gateway\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        f"Ngrok-Error-Code: {CODE}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    return head + body
