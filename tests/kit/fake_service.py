"""A service in a few lines, for what a real one does not do on command: delay, refuse, fall silent."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from portway import Agent
from portway.agent.options import AgentKeywords
from portway.errors import Error, PortwayError, SessionClosed
from portway.net.listen import Listener, listen
from portway.pipe import Sink
from portway.session import Role, Session, Stream, StreamType
from portway.wire.messages import (
    Auth,
    AuthResp,
    AuthRespExtra,
    Bind,
    BindLabels,
    BindLabelsResp,
    BindResp,
    BindRespExtra,
    PatchResp,
    ProxyHeader,
    SrvInfoResp,
    StopTunnel,
    Unbind,
    UnbindResp,
    answer_opts,
    decode,
    encode,
)
from tests.kit.certs import Certs
from tests.kit.pipes import ENDING, Bell

VISITOR = "203.0.113.7:4321"


class Arrived:
    """One session of an agent, as the fake service sees it: a session handler."""

    def __init__(self, service: "FakeService") -> None:
        """Belong to a service."""
        self.service = service
        self.session: Session | None = None
        self.auth = Auth()
        self.binds: list[Bind] = []
        self.labels: list[BindLabels] = []
        self.unbinds: list[str] = []
        self.asked_where = 0
        self.patches: list[dict[str, Any]] = []
        self.heartbeats = 0
        self.closed = False
        self.cause: PortwayError | None = None

    @property
    def live(self) -> Session:
        """Return the session."""
        assert self.session is not None
        return self.session

    def on_ready(self, session: Session, /) -> None:
        """TLS stands."""
        self.session = session
        self.service.bell.ring()

    async def on_request(self, session: Session, kind: int, body: bytes, /) -> bytes | None:
        """Answer as the service was told to."""
        service = self.service
        if kind == StreamType.AUTH:
            self.auth = decode(Auth, body)
            answer = await service.on_auth(self)
            session.admit(self.auth)
            return encode(answer)
        if kind == StreamType.BIND:
            bind = decode(Bind, body)
            self.binds.append(bind)
            service.bell.ring()
            return encode(await service.on_bind(self, bind))
        if kind == StreamType.BIND_LABELS:
            labels = decode(BindLabels, body)
            self.labels.append(labels)
            service.bell.ring()
            return encode(await service.on_labels(self, labels))
        if kind == StreamType.UNBIND:
            self.unbinds.append(decode(Unbind, body).id)
            service.bell.ring()
            await service.on_unbind(self)
            return encode(UnbindResp())
        if kind == StreamType.SRV_INFO:
            self.asked_where += 1
            return encode(await service.on_srv_info(self))
        if kind == StreamType.PATCH:
            self.patches.append(json.loads(body))
            return encode(await service.on_patch(self))
        return None

    def on_proxy(self, session: Session, header: ProxyHeader, stream: Stream, /) -> Sink | None:
        """Agents open no visitors."""
        return None

    def on_heartbeat(self, session: Session, latency: float, /) -> None:
        """The agent has answered."""
        self.heartbeats += 1
        self.service.bell.ring()

    def on_closed(self, session: Session, cause: PortwayError | None, /) -> None:
        """The session is over."""
        self.closed, self.cause = True, cause
        self.service.bell.ring()

    def visit(
        self, bind_id: str, sink: Sink, first: bytes = b"", *, proto: str = "tcp", passed: bool = False
    ) -> Stream:
        """Send a visitor to an endpoint; ``passed`` tells that the bytes are the visitor's own TLS."""
        return self.live.open_proxy(ProxyHeader(bind_id, VISITOR, proto, "0", passed), sink, first)

    def stop_tunnel(self, bind_id: str, message: str, code: str) -> None:
        """Take an endpoint away."""
        order = StopTunnel(id=bind_id, message=message, error_code=code)
        self.live.notify(StreamType.STOP_TUNNEL, encode(order))

    def drop(self) -> None:
        """Lose the connection."""
        self.live.abort(SessionClosed("dropped by the test"))


class FakeService:
    """Accepts agents; every answer can be replaced by a test."""

    def __init__(self, certs: Certs) -> None:
        """Use these certificates; `start` follows."""
        self.certs = certs
        self.bell = Bell()
        self.arrived: list[Arrived] = []
        self.on_auth: Callable[[Arrived], Awaitable[AuthResp]] = self.accept
        self.on_bind: Callable[[Arrived, Bind], Awaitable[BindResp]] = self.grant
        self.on_labels: Callable[[Arrived, BindLabels], Awaitable[BindLabelsResp]] = self.grant_labels
        self.on_unbind: Callable[[Arrived], Awaitable[None]] = _nothing
        self.on_srv_info: Callable[[Arrived], Awaitable[SrvInfoResp]] = _somewhere
        self.on_patch: Callable[[Arrived], Awaitable[PatchResp]] = _patched
        self.extra = AuthRespExtra(version="portway/0", region="test", cookie="crumbs")
        self._listener: Listener | None = None
        self._count = 0

    async def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        self._listener = await listen("127.0.0.1", port, self._accept)

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        assert self._listener is not None
        return self._listener.port

    @property
    def connect_url(self) -> str:
        """Return what an agent is told."""
        return f"127.0.0.1:{self.port}"

    @property
    def last(self) -> Arrived:
        """Return the newest session."""
        return self.arrived[-1]

    async def stop_listening(self) -> None:
        """Refuse new connections from now on."""
        if self._listener is not None:
            self._listener.close()
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Close everything."""
        await self.stop_listening()
        async with asyncio.timeout(ENDING):
            for each in self.arrived:
                if each.session is not None:
                    each.session.close()
                    await each.session.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what the service has heard."""
        await self.bell.until(condition)

    async def accept(self, arrived: Arrived) -> AuthResp:
        """Admit anybody; a resumed session keeps its client id."""
        number = len(self.arrived)
        extra = AuthRespExtra(
            version=self.extra.version,
            region=self.extra.region,
            cookie=self.extra.cookie,
            account_name="acme",
            plan_name="free",
            banner="hello",
            deprecation_warning=self.extra.deprecation_warning,
            connect_addresses=self.extra.connect_addresses,
            agent_session_id=f"ts_{number}",
        )
        return AuthResp(client_id=arrived.auth.client_id or f"client{number}", extra=extra)

    async def grant(self, arrived: Arrived, bind: Bind) -> BindResp:
        """Give any endpoint its URL."""
        self._count += 1
        number = self._count
        asked = str(bind.opts["URL"])
        if asked.partition("://")[2]:
            url = asked
        elif bind.proto == "tcp":
            url = f"tcp://localhost:{20000 + number}"
        else:
            url = f"{bind.proto}://{asked if asked and '://' not in asked else f'random{number}'}.example"
        return BindResp(
            id=bind.id or f"ep_{number}",
            url=url,
            proto=bind.proto,
            opts=answer_opts(bind.proto, bind.opts, url),
            extra=BindRespExtra(token=f"token{number}", tunnel_id=f"tn_{number}"),
        )

    async def grant_labels(self, arrived: Arrived, bind: BindLabels) -> BindLabelsResp:
        """Give an endpoint with labels an id, another one each time."""
        self._count += 1
        return BindLabelsResp(id=f"lb_{self._count}")

    def _accept(self) -> Session:
        arrived = Arrived(self)
        self.arrived.append(arrived)
        return Session(Role.SERVICE, arrived, self.certs.server)


async def _nothing(arrived: Arrived) -> None:
    pass


async def _somewhere(arrived: Arrived) -> SrvInfoResp:
    return SrvInfoResp(region="somewhere")


async def _patched(arrived: Arrived) -> PatchResp:
    return PatchResp()


def agent_of(service: FakeService, **options: Unpack[AgentKeywords]) -> Agent:
    """Make an agent that knows this service."""
    given: AgentKeywords = {
        "connect_url": service.connect_url,
        "connect_cas": service.certs.ca,
        "authtoken": "good",
    }
    return Agent(**(given | options))


def refusing(code: int, message: str = "no") -> Callable[[Arrived], Awaitable[AuthResp]]:
    """Return an answer to Auth that refuses with this code."""

    async def refuse(arrived: Arrived) -> AuthResp:
        raise Error(message, code)

    return refuse
