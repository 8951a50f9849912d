"""The page and the echo that the demo puts on the internet: two small servers on this machine."""

import asyncio
import html
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5c6670; --line: #d9dee3; --back: #f6f7f9;
  --card: #fff; --accent: #0b6bcb }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebee; --soft: #9aa5b1; --line: #2d343c;
  --back: #12161b; --card: #1a2027; --accent: #6cb2ff } }
* { box-sizing: border-box }
body { margin: 0; padding: 3rem 1.25rem; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif }
main { max-width: 44rem; margin: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; padding: 2rem 2.25rem }
h1 { margin: 0 0 .25rem; font-size: 1.6rem; letter-spacing: -.01em }
p { margin: .25rem 0 1.5rem; color: var(--soft) }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .45rem .5rem .45rem 0;
  border-top: 1px solid var(--line) }
th { font-weight: 500; color: var(--soft); white-space: nowrap; padding-right: 1.5rem }
td { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
b { color: var(--accent) }
"""


class Page(BaseHTTPRequestHandler):
    """Shows the visitor the request as it arrived here."""

    protocol_version = "HTTP/1.1"
    server_version = "portway-demo"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with a page for browsers and with plain lines for everybody else."""
        for_browser = "text/html" in self.headers.get("Accept", "")
        text = self._page() if for_browser else self._lines()
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"text/{'html' if for_browser else 'plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        """Answer like GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Send the body back."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", self.headers.get("Content-Type", "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        """Stay silent: the service's own log already has a line for every request."""

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("request", f"{self.command} {self.path}"),
            ("served by", "{}:{}".format(*self.connection.getsockname())),
            ("time", formatdate(usegmt=True)),
            *self.headers.items(),
        ]

    def _lines(self) -> str:
        facts = "".join(f"  {name}: {value}\n" for name, value in self._facts())
        return f"Hello from a service on this machine, through portway.\n\n{facts}"

    def _page(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self._facts()
        )
        return (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width, initial-scale=1'>"
            f"<title>portway demo</title><style>{STYLE}</style><main><h1>It works</h1>"
            "<p>This page is served by a small program on this machine. Your browser reached it through "
            f"<b>portway</b>; this is the request as it arrived.</p><table>{rows}</table></main></html>"
        )


def start_page() -> int:
    """Serve the page on a free port of this machine; return the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True, name="demo-page").start()
    return server.server_port


async def start_echo() -> int:
    """Serve an echo on a free port of this machine; return the port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert isinstance(port, int)
    return port
