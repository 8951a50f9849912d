"""The kind of fetch ``http``: one request for a policy, to an internal endpoint or to the outside.

An internal endpoint of the account is served as a visitor's request would be: a passage, its policy, its
members; only the visitor's side is ours and collects the answer. Everything else goes through the guard's
strict form. A request that a policy makes may reach an endpoint whose policy makes another: after three of
them that is taken for a circle.
"""

import asyncio
from secrets import token_bytes
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from portway.codec.headers import Forwarding
from portway.codec.http1 import MAX_FIELDS
from portway.codec.repeated import RequestReader
from portway.edge.http_exchange import ConnectionFacts, Exchange
from portway.edge.http_passage import Passage
from portway.edge.http_upstreams import Upstreams
from portway.edge.member import Visitor
from portway.edge.policy_fetch import FetchFailed
from portway.errors import HttpError
from portway.model.ids import new_id
from portway.net.web_client import REDIRECTS, WebFailure, WebRequest, redirected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portway.codec.http1 import ResponseHead
    from portway.edge.http_sides import Lines
    from portway.edge.policy_fetch import Asked
    from portway.edge.registry import Endpoint, Registry
    from portway.net.web_client import WebClient

HOPS: Final = 3
"""Requests of policies, each made because of the one before."""
INTERNAL: Final = ".internal"
OWN: Final = frozenset(("ngrok-req-type", "ngrok-req-id"))
"""Fields by which an upstream knows a request of a policy."""

FAILED, OFFLINE, LOOP, REDIRECTED = 2300, 3200, 3603, 3214

Found = dict[str, object]


class Inner(Upstreams):
    """What a request of a policy has open toward members."""

    def __init__(self, outer: Upstreams, facts: ConnectionFacts, forwarding: Forwarding, hops: int) -> None:
        """Come from the same visitor, ``hops`` requests deep."""
        visitor = outer.visitor
        super().__init__(
            outer.edge, Visitor(visitor.client_addr, visitor.server_addr, facts.scheme), facts, forwarding
        )
        self.hops = hops


class Collector:
    """The visitor's side of such a request: keeps the answer, up to its limit."""

    clogged = False

    def __init__(self, limit: int) -> None:
        """Take at most so many bytes."""
        self._limit = limit
        self._body = bytearray()
        self._head: ResponseHead | None = None
        self.passage: Passage | None = None
        self.answer: asyncio.Future[tuple[ResponseHead, bytes]] = asyncio.get_running_loop().create_future()

    def interim(self, head: "ResponseHead") -> None:
        """Nobody waits for it."""

    def head(self, head: "ResponseHead") -> None:
        """Take the head."""
        self._head = head

    def write(self, data: bytes) -> None:
        """Take payload; too much of it is a failure."""
        self._body += data
        if len(self._body) > self._limit:
            self._fail(f"The answer is longer than {self._limit} bytes.")
            asyncio.get_running_loop().call_soon(self.abandon)

    def end(self, trailers: "Lines") -> None:
        """The answer is complete."""
        if not self.answer.done() and self._head is not None:
            self.answer.set_result((self._head, bytes(self._body)))

    def cut(self) -> None:
        """The answer breaks off."""
        self._fail("The answer broke off.")

    def on_room(self) -> None:
        """The body was given at once."""

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if self.passage is not None:
            self.passage.abandon()

    def _fail(self, said: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(FetchFailed(FAILED, said))


class Outgoing:
    """Makes the requests of policies."""

    def __init__(self, client: "WebClient", registry: "Registry") -> None:
        """Reach the outside by this client, which must be of the strict form."""
        self._client = client
        self._registry = registry

    def __repr__(self) -> str:
        """Show the client."""
        return f"<Outgoing {self._client!r}>"

    async def fetch(self, asked: "Asked", arguments: "Mapping[str, object]") -> object:
        """The kind ``http``: status, headers, body, address and seconds. Raises FetchFailed."""
        redirects = int(str(arguments["redirects"]))
        request = WebRequest(
            str(arguments["method"]),
            str(arguments["url"]),
            _headers(asked, arguments),
            cast("bytes", arguments["body"]),
            timeout=float(str(arguments["timeout"])),
            body_limit=int(str(arguments["limit"])),
        )
        clock = asyncio.get_running_loop().time
        started, followed = clock(), 0
        try:
            async with asyncio.timeout(request.timeout):
                while True:
                    found = await self._ask(asked, request)
                    location = _location(found)
                    if found["status"] not in REDIRECTS or not location or not redirects:
                        return {**found, "seconds": clock() - started}
                    followed += 1
                    if followed > redirects:
                        raise FetchFailed(
                            REDIRECTED, f"The request was redirected more than {redirects} times."
                        )
                    request = redirected(request, cast("int", found["status"]), location)
        except TimeoutError as error:
            raise FetchFailed(FAILED, "The request took too long.", 504) from error
        except WebFailure as error:
            raise FetchFailed(FAILED, f"The request failed: {error.message}.") from error

    async def _ask(self, asked: "Asked", request: WebRequest) -> Found:
        host = (urlsplit(request.url).hostname or "").rstrip(".")  # no such name is anybody's outside
        if host.endswith(INTERNAL):
            return await self._inside(asked, request)
        answer = await self._client.request(request)
        return {
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.body,
            "address": answer.address,
        }

    async def _inside(self, asked: "Asked", request: WebRequest) -> Found:
        outer = asked.passage.upstreams
        hops = getattr(outer, "hops", 0) + 1
        if hops > HOPS:
            raise FetchFailed(LOOP, f"Policies asked each other more than {HOPS} times.", 508)
        endpoint = self._find(asked, request)
        edge, facts = outer.edge, outer.facts
        scheme = endpoint.scheme
        known = ConnectionFacts(
            edge.wall(), scheme, facts.client_ip, facts.client_port, facts.server_ip, facts.server_port
        )
        forwarding = Forwarding(facts.client_ip, scheme, trusted=False)
        # What visitors call Ngrok-… is taken away on the way to an upstream; these say that it is none.
        forwarding.extra = [
            f"{name}: {value}".encode() for name, value in request.headers if name.lower() in OWN
        ]
        inner = Inner(outer, known, forwarding, hops)
        side = Collector(request.body_limit)
        exchange = Exchange(_head(request), endpoint, edge.wall())
        passage = side.passage = Passage(inner, side, exchange)
        endpoint.counters.requests += 1
        try:
            passage.begin(endpoint)
            if request.body:
                passage.body(request.body)
            passage.end([])
            head, body = await side.answer
        finally:
            side.abandon()
            inner.close()
        fields = [line.partition(b":") for line in head.plain]
        headers = [(name.decode("latin-1"), value.strip().decode("latin-1")) for name, _, value in fields]
        return {"status": head.status, "headers": headers, "body": body, "address": ""}

    def _find(self, asked: "Asked", request: WebRequest) -> "Endpoint":
        parts = urlsplit(request.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = self._registry.find_internal(asked.account_id, parts.scheme, parts.hostname or "", port)
        if found is None:
            shown = f"{parts.scheme}://{parts.netloc}"
            raise FetchFailed(OFFLINE, f"The endpoint {shown} is not online.", 404)
        return found


def _headers(asked: "Asked", arguments: "Mapping[str, object]") -> list[tuple[str, str]]:
    given = list(cast("tuple[tuple[str, str], ...]", arguments["headers"]))
    names = {name.lower() for name, _ in given}
    own = [
        ("User-Agent", "ngrok/cloud"),
        ("Ngrok-Req-Type", "http-request"),
        ("Ngrok-Req-Id", new_id("req", token_bytes, asked.passage.upstreams.edge.wall())),
        ("X-Forwarded-For", asked.facts.connection.client_ip),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
    ]
    return given + [(name, value) for name, value in own if name.lower() not in names]


def _head(request: WebRequest):
    """Write the request and read it back: whatever is no head is refused by who judges visitors' heads."""
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in request.headers if name.lower() != "accept-encoding"]
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(request.body)}")
    try:
        return RequestReader(MAX_FIELDS).read("\r\n".join([*lines, "", ""]).encode())
    except HttpError as error:
        raise FetchFailed(FAILED, f"The request is none: {error.reason}", 500) from error


def _location(found: Found) -> str:
    headers = cast("list[tuple[str, str]]", found["headers"])
    return next((value for name, value in headers if name.lower() == "location"), "")
