"""A real browser on a page of ours. The page tells what it has seen by asking for a URL of the test's.

It trusts the certificate that the page's server shows, once that was verified; it finds only names below
``localhost``, and keeps its profile in a folder of the test.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.server import ServerConnection

from tests.kit.programs import need

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE *.localhost",
)


@contextlib.contextmanager
def browsing(url: str, folder: Path, ca: Path) -> Generator[None]:
    """Show an https page on this machine for the time of the context; ``ca`` is who vouches for it."""
    program = need("chromium")
    with (folder / "browser.log").open("ab") as log:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={folder}", trusting(url, ca), url],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"HOME": str(folder)},
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def trusting(url: str, ca: Path) -> str:
    """Return the flag that has the key trusted which the page's server shows."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", parts.port or 443)) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown
    key = x509.load_der_x509_certificate(shown).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}"


# -- a page of WebSocket messages and server-sent events

EVENTS = 5
MESSAGES = ["hello", "größer", "x" * 100_000, ""]

PAGE = """<!doctype html><meta charset="utf-8"><title>page</title><script>
const sites = %s, messages = %s;
async function socket(url) {
  const socket = new WebSocket(url), seen = [];
  socket.binaryType = "arraybuffer";
  const next = () => new Promise((done, fail) => {
    socket.onmessage = event => done(event.data);
    socket.onclose = event => fail("closed " + event.code);
  });
  await new Promise((done, fail) => { socket.onopen = done; socket.onerror = () => fail("no socket"); });
  for (const message of messages) { socket.send(message); seen.push(await next()); }
  socket.send(new Uint8Array([0, 255, 1]));
  seen.push(Array.from(new Uint8Array(await next())));
  const closed = new Promise(done => socket.onclose = event => done([event.code, event.wasClean]));
  socket.close(4001, "enough");
  return [seen, await closed];
}
function events(url) {
  return new Promise(done => {
    const source = new EventSource(url + "/events"), seen = [];
    source.onmessage = async event => {
      seen.push(event.data);
      if (seen.length == %d) { source.close(); done(seen); }
      else await fetch(url + "/seen", {method: "POST", body: event.data});
    };
  });
}
(async () => {
  let told;
  try {
    told = await Promise.all(sites.map(async site => [await socket(site.ws), await events(site.web)]));
  } catch (error) { told = String(error); }
  await fetch("/result", {method: "POST", body: JSON.stringify(told)});
})();
</script>"""


class Pages:
    """Serves the page and its events; each event follows when the one before was seen by the browser."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        self.page = b""
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._seen: dict[str, asyncio.Event] = {}

    def show(self, sites: list[dict[str, str]]) -> None:
        """Make the page, which looks at these: ``web`` and ``ws`` are URLs of each."""
        self.page = (PAGE % (json.dumps(sites), json.dumps(MESSAGES), EVENTS)).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests, one after the other."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path = head.split(" ")[:2]
            lines = (line.lower().partition(":") for line in head.split("\r\n")[1:])
            fields = {name: value.strip() for name, _, value in lines}
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            if path == "/events":
                await self._events(fields["host"], writer)
                return
            if method == "POST" and path == "/seen":
                self._seen[fields["host"]].set()
            elif method == "POST" and path == "/result":
                self.result.set_result(json.loads(body))
            answer = self.page if method == "GET" and path == "/" else b""
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nAccess-Control-Allow-Origin: *\r\n"
                b"Content-Length: %d\r\n\r\n" % len(answer) + answer
            )

    async def _events(self, host: str, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nAccess-Control-Allow-Origin: *\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        seen = self._seen[host] = asyncio.Event()
        for number in range(EVENTS):
            event = b"data: event %d\n\n" % number
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            if number < EVENTS - 1:
                await seen.wait()
                seen.clear()
        await writer.drain()
        await asyncio.Event().wait()


async def echo(socket: ServerConnection) -> None:
    """Send every message back."""
    async for message in socket:
        await socket.send(message)
