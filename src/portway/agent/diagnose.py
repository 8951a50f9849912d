"""Finding out where the way to the service breaks: TCP, TLS, or the session's own protocol.

A diagnosis makes a connection of its own, by the agent's proxy, dialer and authorities, and asks the
service where it is. It does not authenticate, makes no session, and leaves one that stands alone. The
certificate must be for the host of the agent's *configured* connect URL, so that one may test single
addresses of it.

::

    try:
        result = await agent.diagnose(timeout=5)
    except portway.DiagnoseFailure as failure:
        if portway.is_tls_diagnose_failure(failure):
            print("something in between terminates TLS:", failure.result.peer_certificates)
"""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol, cast, runtime_checkable

from portway.agent.checks import Duration
from portway.agent.discovery import Service
from portway.agent.link import AUTH_TIMEOUT, reach_service, secured
from portway.agent.options import AgentOptions
from portway.errors import ConfigError, ConnectError, PortwayError
from portway.pipe import Pipe, Sink
from portway.session import Role, Session, StreamType
from portway.wire.messages import ProxyHeader, SrvInfo, SrvInfoResp, decode, encode


@dataclass(frozen=True, slots=True)
class DiagnoseResult:
    """What a diagnosis found out, as far as it got.

    ``addr`` is the address tested, ``region`` what the service says of itself, ``latency`` the round
    trip of that question in seconds; "" and 0.0 when it did not come so far. ``peer_certificates`` are
    the certificates shown, DER, the peer's own first; they are known as soon as TLS stands.
    """

    addr: str
    region: str = ""
    latency: float = 0.0
    peer_certificates: tuple[bytes, ...] = ()


class DiagnoseFailure(ConnectError):
    """A diagnosis failed. ``step`` is "tcp", "tls" or "muxado"; ``result`` what was found out before."""

    def __init__(self, step: str, message: str, result: DiagnoseResult) -> None:
        """Name the step that failed."""
        super().__init__(step, message)
        self.result = result


@runtime_checkable
class Diagnoser(Protocol):
    """Whatever can diagnose its way to the service: an `Agent` can."""

    async def diagnose(self, addr: str = "", timeout: Duration | None = None) -> DiagnoseResult:
        """Test the way to the service."""
        ...


def is_tcp_diagnose_failure(error: BaseException | None) -> bool:
    """Whether a diagnosis failed at the TCP connection, a proxy's answer included. False for all else."""
    return "tcp" in _steps(error)


def is_tls_diagnose_failure(error: BaseException | None) -> bool:
    """Whether a diagnosis failed at TLS: the handshake or the certificate. False for all else."""
    return "tls" in _steps(error)


def is_muxado_diagnose_failure(error: BaseException | None) -> bool:
    """Whether a diagnosis failed behind TLS: no service of ours answers there. False for all else."""
    return "muxado" in _steps(error)


def _steps(error: BaseException | None) -> Iterator[str]:
    """Give the steps of the diagnoses that failed in this error, its causes and its group."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, DiagnoseFailure):
            yield each.step
        if isinstance(each, BaseExceptionGroup):
            todo += cast("BaseExceptionGroup[BaseException]", each).exceptions
        todo.append(each.__cause__)


async def diagnose(service: Service, options: AgentOptions, timeout: float | None) -> DiagnoseResult:
    """Test the way to this service. Raises `DiagnoseFailure`, and ConfigError for unreadable authorities.

    ``timeout`` is in seconds, for all of it. Nothing stays open, also when cancelled.
    """
    probe = _Probe(service, options, secured(service, options))
    try:
        async with asyncio.timeout(timeout):
            return await probe.run()
    except TimeoutError as error:
        within = "in time" if timeout is None else f"within {timeout:g} s"
        raise probe.failure(f"{service} does not answer {within}") from error
    except ConnectError as error:
        raise probe.failure(str(error)) from error
    except ConfigError:
        raise  # an https proxy that needs authorities which cannot be read
    except PortwayError as error:
        raise probe.failure(f"{service}: {error}") from error
    finally:
        await probe.close()


class _Probe:
    """One diagnosis under way. It is the handler of its session."""

    def __init__(self, service: Service, options: AgentOptions, context: ssl.SSLContext) -> None:
        self._service = service
        self._options = options
        self._context = context
        self._chain: tuple[bytes, ...] = ()
        self.session: Session | None = None
        self._step = "tcp"

    async def run(self) -> DiagnoseResult:
        """Go step by step."""
        self.session = await reach_service(self._service, self._options.dialer, self._make_session)
        self._step = "tls"
        async with asyncio.timeout(AUTH_TIMEOUT):
            await self.session.ready()
        self._step = "muxado"
        began = perf_counter()  # a loop's own clock may count whole milliseconds
        body = await self.session.call(StreamType.SRV_INFO, encode(SrvInfo()), timeout=AUTH_TIMEOUT)
        latency = perf_counter() - began
        return replace(self._found(), region=decode(SrvInfoResp, body).region, latency=latency)

    def failure(self, message: str) -> DiagnoseFailure:
        """Make the error of the step that is under way."""
        return DiagnoseFailure(self._step, message, self._found())

    async def close(self) -> None:
        """Let go of the connection."""
        if self.session is not None:
            self.session.close()
            await self.session.wait_closed()

    def _found(self) -> DiagnoseResult:
        return DiagnoseResult(str(self._service), peer_certificates=self._chain)

    def _make_session(self) -> Session:
        """Make a session that shows us the certificates. The context may be the application's own."""
        context = self._context
        usual = context.sslobject_class
        context.sslobject_class = self._watched(usual or ssl.SSLObject)
        try:
            return Session(Role.AGENT, self, context, server_hostname=self._service.name)
        finally:
            context.sslobject_class = usual

    def _watched(self, base: type[ssl.SSLObject]) -> type[ssl.SSLObject]:
        probe = self

        class Watched(base):
            def do_handshake(self) -> None:
                super().do_handshake()
                probe._chain = _chain_of(self)

        return Watched

    # -- the session's handler

    def on_ready(self, session: Session, /) -> None:
        """TLS stands; `run` goes on by itself."""

    async def on_request(self, session: Session, kind: int, body: bytes, /) -> bytes | None:
        """We are nobody's agent: nothing is answered."""
        return None

    def on_proxy(self, session: Session, header: ProxyHeader, stream: Pipe, /) -> Sink | None:
        """Take no visitors."""
        return None

    def on_heartbeat(self, session: Session, latency: float, /) -> None:
        """We send none."""

    def on_closed(self, session: Session, cause: PortwayError | None, /) -> None:
        """`run` hears it from its call."""


def _chain_of(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """Return the certificates that the peer has sent, its own first."""
    try:
        if hasattr(tls, "get_unverified_chain"):  # Python 3.13 and later
            return tuple(cast("Any", tls).get_unverified_chain())
        # Before, the method is there, but not under a public name.
        chain = cast("Any", tls)._sslobj.get_unverified_chain()  # noqa: SLF001
        return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain)
    except AttributeError:
        leaf = tls.getpeercert(binary_form=True)
        return (leaf,) if leaf else ()
