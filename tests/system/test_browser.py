"""A browser on pages behind https endpoints: WebSocket messages and server-sent events, as they come."""

import asyncio
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.kit.browser import browsing
from tests.kit.product import Service, running_service
from tests.kit.sdk import Sdk
from tests.kit.traffic import server
from websockets.asyncio.server import ServerConnection, serve

import portway

pytestmark = pytest.mark.xdist_group("browser")

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
        self.page = b""
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._seen: dict[str, asyncio.Event] = {}

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
    async for message in socket:
        await socket.send(message)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service."""
    with running_service(tmp_path_factory.mktemp("browser")) as service:
        yield service


async def test_websockets_and_events_in_a_browser(service: Service, tmp_path: Path) -> None:
    """Over endpoints of our agent and of the official SDK, on one page."""
    known = service.bootstrap
    pages = Pages()
    async with (
        server(pages.serve) as web,
        serve(echo, "127.0.0.1", 0, max_size=None) as sockets,
        portway.Agent(
            authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=Path(known.ca_cert)
        ) as agent,
    ):
        upstreams = [web, sockets.sockets[0].getsockname()[1]]
        with Sdk("python", service) as sdk:
            await asyncio.to_thread(sdk.connect)
            ours = [str((await agent.forward(port, url="https://")).url) for port in upstreams]
            theirs = [
                await asyncio.to_thread(sdk.forward, "https", f"http://127.0.0.1:{port}")
                for port in upstreams
            ]
            sites = [{"web": web, "ws": f"wss://{urlsplit(ws).netloc}"} for web, ws in (ours, theirs)]
            pages.page = (PAGE % (json.dumps(sites), json.dumps(MESSAGES), EVENTS)).encode()
            with browsing(ours[0], tmp_path, Path(known.ca_cert)):
                told = await asyncio.wait_for(pages.result, 60)
    wanted = [
        [[*MESSAGES, [0, 255, 1]], [4001, True]],
        [f"event {number}" for number in range(EVENTS)],
    ]
    assert told == [wanted, wanted]
