"""A whole data plane in this process: real listeners on free ports, a control plane of ten lines.

``running_worker`` starts one. ``FakeControl`` keeps names like a store and may outlive several services,
which makes a restart.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from portway.edge.ports import CertificatePem, Limits, Revoked
from portway.edge.view import View
from portway.errors import Error
from portway.model.domain import ServiceNames
from portway.model.entities import Grant, Reservation
from portway.model.event import AgentSessionStopped
from portway.model.view import AddressItem, CredentialItem, DomainItem, ViewItem
from portway.server.config import EdgeConfig
from portway.server.parsers import Address, PortRange
from portway.server.worker import Worker
from tests.kit.agent import Agent, connected_agent
from tests.kit.certificates import Authority
from tests.kit.certs import Certs, make_certs
from tests.kit.pipes import ENDING
from tests.kit.ports import fleeting

DOMAIN = "portway.localhost"
SECRET = bytes(range(32))
PATIENCE = 10.0

GRANT = Grant("ac_good", "Good Account", "free", "cr_good")
OTHER = Grant("ac_other", "Other Account", "free", "cr_other")

E = TypeVar("E")


class FakeControl:
    """A control plane without a store: two accounts, names in a dict."""

    def __init__(self) -> None:
        """Know the tokens "good" and "other"."""
        good2 = msgspec.structs.replace(GRANT, credential_id="cr_good2")
        self.grants = {"good": GRANT, "good2": good2, "other": OTHER}
        self.names: dict[str, Reservation] = {}
        self.asked: list[str] = []
        self.issued: list[str] = []
        self.authority = Authority()
        self.view = View(ServiceNames(DOMAIN, "localhost"))
        self.view.begin()
        self.view.finish()
        self.keys: dict[str, CertificatePem] = {}
        self.caught = 0
        self.withheld: list[ViewItem] = []
        """Rows of which the edge has not heard yet."""
        self._callbacks: list[Callable[[Revoked], None]] = []

    async def authenticate(self, token: str, source: str) -> Grant:
        """Judge a token by its shape."""
        self.asked.append(source)
        if not token:
            raise Error("Give an authtoken.", 4018)
        if " " in token:
            raise Error("That is no authtoken.", 105)
        if token not in self.grants:
            raise Error("This authtoken is unknown.", 107)
        return self.grants[token]

    async def reserve(self, url: str, account_id: str, session_key: str) -> None:
        """Remember."""
        self.names[url] = Reservation(url, account_id, session_key)

    async def hold(self, url: str, until: float) -> None:
        """Remember until when."""
        self.names[url] = msgspec.structs.replace(self.names[url], held_until=until)

    async def release(self, url: str) -> None:
        """Forget."""
        self.names.pop(url, None)

    async def reservations(self) -> list[Reservation]:
        """Return what stands."""
        return list(self.names.values())

    async def certificate(self, name: str) -> CertificatePem:
        """Issue."""
        self.issued.append(name)
        return CertificatePem(*self.authority.issue(name))

    async def certificate_key(self, certificate_id: str) -> CertificatePem:
        """Return one that a test has put there."""
        if certificate_id not in self.keys:
            raise Error("That certificate is gone.")
        return self.keys[certificate_id]

    async def caught_up(self) -> None:
        """Tell of what was withheld."""
        self.caught += 1
        withheld, self.withheld = self.withheld, []
        self.view.apply(withheld)

    def reserve_address(self, port: int, account_id: str = "ac_good") -> AddressItem:
        """Have an account reserve a port; tell the edge."""
        item = AddressItem(f"ra_{port}", account_id, "localhost", port)
        self.view.apply([item])
        return item

    def reserve_domain(
        self, domain: str, account_id: str = "ac_good", certificate_id: str = ""
    ) -> DomainItem:
        """Have an account reserve a name; tell the edge."""
        item = DomainItem(f"rd_{domain}", account_id, domain, certificate_id)
        self.view.apply([item])
        return item

    def allow(self, *rules: str, token: str = "good") -> None:
        """Let a token bind no more than these rules allow; tell the edge."""
        grant = self.grants[token] = msgspec.structs.replace(self.grants[token], acl=rules)
        self.view.apply([CredentialItem(grant.credential_id, grant.account_id, rules)])

    def delete(self, item: ViewItem) -> None:
        """Have a row go; tell the edge."""
        self.view.apply([msgspec.structs.replace(item, gone=True)])

    def on_revoked(self, callback: Callable[[Revoked], None]) -> None:
        """Remember whom to tell."""
        self._callbacks.append(callback)

    def revoke(self, revoked: Revoked) -> None:
        """Tell."""
        for callback in self._callbacks:
            callback(revoked)


class Events:
    """What happened, and waiting for it."""

    def __init__(self) -> None:
        """Have heard nothing."""
        self.all: list[object] = []
        self._heard = asyncio.Event()

    def emit(self, event: object) -> None:
        """Remember."""
        self.all.append(event)
        self._heard.set()

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.all if isinstance(event, kind)]

    async def next(self, kind: type[E], n: int = 1) -> E:
        """Wait for the n-th event of a kind."""
        async with asyncio.timeout(PATIENCE):
            while len(self.of(kind)) < n:
                self._heard.clear()
                await self._heard.wait()
        return self.of(kind)[n - 1]


class Running:
    """A data plane that runs."""

    def __init__(self, worker: Worker, control: FakeControl, events: Events, certs: Certs) -> None:
        """Hold the parts."""
        self.worker = worker
        self.control = control
        self.events = events
        self.certs = certs
        self.domain = DOMAIN

    @property
    def agent_port(self) -> int:
        """Where agents connect."""
        return self.worker.agent_port

    @property
    def http_port(self) -> int:
        """Where http visitors connect."""
        return self.worker.http_port

    @property
    def https_port(self) -> int:
        """Where https and tls visitors connect."""
        return self.worker.https_port

    def agent(self, **options: Any) -> Agent:
        """Make an agent; it connects when told to."""
        return Agent(self.agent_port, self.certs.ca, **options)

    def connected(self, token: str = "good") -> AbstractAsyncContextManager[Agent]:
        """Connect and authenticate an agent for the time of a context."""
        return connected_agent(self.agent_port, self.certs.ca, token=token)

    async def two_agents(self) -> tuple[Agent, Agent]:
        """Connect two agents of one account, with a token each."""
        agents = self.agent(), self.agent(token="good2")
        for agent in agents:
            await agent.connect()
            answer = await agent.auth()
            assert not answer["Error"], answer
        return agents

    async def offline(self, n: int = 1) -> None:
        """Wait until n sessions have stopped, and their names are written down."""
        await self.events.next(AgentSessionStopped, n)
        await self.settled()

    async def settled(self) -> None:
        """Wait until every name is written down."""
        assert self.worker.claims is not None
        await self.worker.claims.flush()


def settings(*, tcp_ports: int = 40, grace: float = 180.0, **changes: Any) -> EdgeConfig:
    """Return settings for one service on free ports of loopback."""
    low = fleeting(tcp_ports)
    anywhere = Address("127.0.0.1", 0)
    given = EdgeConfig(
        domain=DOMAIN,
        region="test",
        listen_agent=anywhere,
        listen_http=anywhere,
        listen_https=anywhere,
        tcp_ports=PortRange(low, low + tcp_ports - 1),
        tcp_host="localhost",
        public_http_port=None,
        public_https_port=None,
        trust_forwarded=True,
        resume_grace=grace,
        drain_timeout=1.0,
        endpoints_per_session=100,
    )
    return replace(given, **changes)


_certs: list[Certs] = []


def service_certs() -> Certs:
    """Return the one certificate of all services of this test run: making it is slow."""
    if not _certs:
        _certs.append(make_certs("localhost", "127.0.0.1", "::1", DOMAIN, f"*.{DOMAIN}"))
    return _certs[0]


@asynccontextmanager
async def running_worker(
    control: FakeControl | None = None,
    *,
    config: EdgeConfig | None = None,
    limits: Limits | None = None,
    api: str | None = None,
) -> AsyncGenerator[Running]:
    """Run a data plane for the time of the context; ``api`` is the path of a Unix socket to publish."""
    certs = service_certs()
    worker = Worker(config or settings(), limits=limits)
    events = Events()
    await worker.open()
    try:
        known = control or FakeControl()
        worker.start(
            known, events, secret=SECRET, certificate=CertificatePem(certs.chain, certs.key), api=api
        )
        yield Running(worker, known, events, certs)
    finally:
        async with asyncio.timeout(ENDING):
            await worker.stop()
