"""The composition root of the data plane: one process that agents and visitors talk to.

::

    open()    every listener, before anything slow: agents that try again find the service
    start()   join edge, claims and control; let in who has come meanwhile; restore kept names
    drain()   serve nobody new, let running streams finish, write names down
    close()   say goodbye to agents, end

Order matters in three places. Names are restored before any is claimed, so a restart gives nobody's
name away. Listeners close before sessions drain, so a visitor is either served or refused, never
accepted and forgotten. And agents hear of the end as late as possible: some try again three times
within 2.5 s and then not for two minutes, so whatever takes time at the end of a service comes between
``drain`` and ``close``. For the same reason agents that come while it ends are not refused: they wait
in the kernel until the very end, so that only then their next try is due.
"""

import asyncio
import logging
import secrets
import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

from portway.cluster.local import LocalClaims
from portway.cluster.table import Table
from portway.edge import identity_setup
from portway.edge.backends import Backends
from portway.edge.binding import API_LABEL, public_url
from portway.edge.certificates import Certificates
from portway.edge.cloud import CloudEndpoints
from portway.edge.edges import Edges
from portway.edge.endpoints import Endpoints, Randomness
from portway.edge.fetch_kinds import fetch_kinds
from portway.edge.gateway import Gateway
from portway.edge.geoip import open_geoip
from portway.edge.http import HttpVisitor
from portway.edge.http_watch import watch
from portway.edge.ip_policies import IpPolicies
from portway.edge.issuers import Issuers
from portway.edge.listener import Door, Edge
from portway.edge.local_member import LocalMember
from portway.edge.policy import Policies, world_of
from portway.edge.policy_fetch import Fetches
from portway.edge.pool import Pool
from portway.edge.ports import EdgeConfig, Limits
from portway.edge.proxied import arrivals
from portway.edge.registry import Endpoint, Registry
from portway.edge.seal import Seal
from portway.edge.secrets import Secrets
from portway.edge.static_member import makers
from portway.edge.tcp import TcpPorts
from portway.edge.tls import TlsArrival
from portway.edge.wishes import Wishes
from portway.errors import ConfigError, Error, PortwayError
from portway.model.url import parse_endpoint_url
from portway.net.listen import Listener, listen
from portway.net.local import LocalPipes
from portway.net.tasks import Tasks
from portway.net.tls import service_context
from portway.net.web_client import WebClient
from portway.server.edge_config import edge_config
from portway.server.outgoing import guard_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.ends import Ends
    from portway.edge.geoip import Lookup
    from portway.edge.identity import Identities
    from portway.edge.identity_sessions import IdentityStore
    from portway.edge.ports import CertificatePem, Control, EventSink
    from portway.edge.ssh_gateway import SshGateway
    from portway.edge.ssh_limits import SshSetup
    from portway.edge.tls_facts import TlsFacts
    from portway.edge.waf import Firewall
    from portway.model.guard import Guard
    from portway.net.tls import TlsPump
    from portway.server.config import EdgeConfig as Settings

_log = logging.getLogger(__name__)

RESTORE_RETRY: Final = 0.5
"""Seconds until the controller is asked again for the names that stand."""

ARRIVING: Final = 3.0
"""Seconds that visitors who were accepted at the end may take for their request's head."""

RANDOM: Final = Randomness(secrets.token_bytes, secrets.randbelow)
"""Where a service's ids, hosts and choices come from."""


SSH_GATEWAY: Final = "portway.edge.ssh_gateway"


class Worker:
    """One data plane. ``open``, ``start``, ``drain`` and ``close`` it once each, in this order."""

    def __init__(self, settings: "Settings", *, limits: Limits | None = None) -> None:
        """Prepare; nothing is opened yet. ``limits`` replaces those that settings do not set."""
        self.settings = settings
        self.limits = limits
        self.config = EdgeConfig()
        self.tasks = Tasks()
        self.registry = Registry()
        self._geo: Lookup | None = None
        self._firewall: Firewall | None = None
        self.listeners: list[Listener] = []
        self.gateway: Gateway | None = None
        self.claims: LocalClaims | None = None
        self.edge: Edge | None = None
        self.api: LocalMember | None = None
        self._doors = (Door(), Door(), Door(), Door())
        self.ssh: SshGateway | None = None
        self._loading: asyncio.Task[None] | None = None
        self.ports: TcpPorts | None = None
        self.cloud: CloudEndpoints | None = None
        self.wishes = Wishes()
        """Which events subscriptions want; of the running edge once it has started."""
        self.web: WebClient | None = None
        """Asks what others name: key sets, identity providers."""
        self.strict_web: WebClient | None = None
        """Asks what policies name freely, of the public internet alone."""
        self.fetches: Fetches | None = None
        self.identities: Identities | None = None
        self.edges: Edges | None = None

    def __repr__(self) -> str:
        """Show where it listens and what it serves."""
        return f"<Worker {self.listeners} {self.registry!r} {self.gateway!r}>"

    async def open(self) -> None:
        """Listen everywhere. Raises ConfigError naming the flag when an address is taken."""
        wanted = (
            (self.settings.listen_agent, "--listen-agent"),
            (self.settings.listen_http, "--listen-http"),
            (self.settings.listen_https, "--listen-https"),
            (self.settings.listen_ssh, "--listen-ssh"),
        )
        try:
            for (address, flag), door in zip(wanted, self._doors, strict=True):
                if address is None:
                    continue
                self.listeners.append(await listen(address.host, address.port, door, what=flag))
        except BaseException:
            self._close_listeners()
            raise
        self.config = edge_config(
            self.settings, self.limits, agents=self.agent_port, http=self.http_port, https=self.https_port
        )
        if self.config.geoip:
            self._geo = open_geoip(self.config.geoip)
        if self.config.crs:
            from portway.edge.waf import open_crs

            self._firewall = open_crs(self.config.crs)

    def start(
        self,
        control: "Control",
        events: "EventSink",
        *,
        secret: bytes,
        certificate: "CertificatePem",
        api: str | None = None,
        live: "EventSink | None" = None,
        ssh: "SshSetup | None" = None,
        identities: "IdentityStore | None" = None,
        open_secret: "Callable[[bytes, str], bytes] | None" = None,
    ) -> None:
        """Serve. ``certificate`` is the service's own, which agents and visitors are shown.

        ``api`` is the path of the Unix socket on which the API answers; None publishes none.
        ``live`` hears of sessions and endpoints in place of ``events``. ``ssh`` is what the SSH gateway needs
        where there is one; it is loaded after everything else, see ``ssh_ready``.
        ``open_secret`` opens what the store has sealed; without it policies have no secrets.
        ``identities`` keeps who has signed in; without it nobody can.
        """
        life = live or events
        claims = LocalClaims(Table(self.config.domain, self.settings.resume_grace), control)
        seal = Seal(secret)
        edge = Edge(self.config, self.registry, events, self.tasks)
        certificates = Certificates(certificate, self.config.domain, control, self.config.limits.certificates)
        context = service_context(certificate.chain, certificate.key)
        ports = TcpPorts(edge, self.config.tcp_listen, certificates)
        guard = guard_of(self.settings, [each.port for each in self.listeners])
        policies = self._make_policies(edge, control, open_secret, guard)
        if identities is not None:
            self._sign_in(edge, identities, control, secret)
        self.wishes = edge.wishes
        edge.wishes.follow(control.view)
        endpoints = Endpoints(
            self.config,
            self.registry,
            claims,
            control,
            ports,
            seal,
            life,
            wall=time.time,
            random=RANDOM,
            policies=policies,
        )
        endpoints.check_issuers = Issuers(self.web, edge.now).check
        gateway = Gateway(endpoints, control, seal, life, lambda: context, wall=time.time, random=RANDOM)
        cloud = CloudEndpoints(
            self.registry,
            control.view,
            ports,
            claims,
            self.tasks,
            lead=endpoints.lead,
            below=RANDOM.below,
            policies=policies,
        )
        backends = Backends(gateway.tunnels, makers(guard, self.tasks), RANDOM.below)
        self.edges = Edges(
            self.registry,
            control.view,
            ports,
            claims,
            self.tasks,
            backends=backends,
            policies=policies,
            open_secret=open_secret,
        )
        self.claims, self.edge, self.ports, self.gateway, self.cloud = claims, edge, ports, gateway, cloud
        if api is not None:
            self._publish(api)

        self._open_doors(edge, gateway, certificates)
        self.tasks.start(self._restore(control, claims, ports), name="restore kept names")
        self.tasks.start(claims.run(), name="journal of names")
        self.tasks.start(edge.idle.run(), name="idle visitors")
        if self.settings.listen_ssh is not None and ssh is not None:
            self._loading = self.tasks.start(self._load_ssh(ssh, gateway), name="SSH gateway")

    def _open_doors(self, edge: Edge, gateway: Gateway, certificates: Certificates) -> None:
        """Let in who comes, and who has come since the listeners opened; SSH clients later."""

        def serve_https(pump: "TlsPump", first: bytes, tls: "TlsFacts", ends: "Ends | None") -> HttpVisitor:
            return HttpVisitor(edge, scheme="https", pump=pump, first=first, tls=tls, ends=ends)

        agents, plain, encrypted, _ = self._doors
        agents.open(gateway.accept)
        plain.open(
            arrivals(edge, lambda ends: HttpVisitor(edge, scheme="http", pump=None, first=b"", ends=ends))
        )
        encrypted.open(arrivals(edge, lambda ends: TlsArrival(edge, certificates, serve_https, ends)))

    def _make_policies(
        self,
        edge: Edge,
        control: "Control",
        open_secret: "Callable[[bytes, str], bytes] | None",
        guard: "Guard",
    ) -> Policies:
        """Make what Traffic Policies share, and what they may ask for."""
        ip_policies = IpPolicies(control.view, self.registry.look_again)
        edge.restrictions = ip_policies.endpoints
        world = partial(world_of, control.view, self._geo, ip_policies, crs=bool(self.config.crs))
        self.web, self.strict_web = WebClient(guard), WebClient(guard.strict())
        kinds = fetch_kinds(self.web, self.strict_web, self.registry, edge.now, self._firewall)
        self.fetches = Fetches(self.tasks, kinds)
        return Policies(
            self.registry,
            edge.now,
            edge.wall,
            identity_setup.knowing(world, self.settings.oauth_providers, self.config.domain),
            self._geo,
            fetches=self.fetches,
            secrets=Secrets(control.view, open_secret),
            limits=self.config.policy_limits,
        )

    async def _load_ssh(self, ssh: "SshSetup", agents: Gateway) -> None:
        """Serve SSH clients. Its library takes half a second to load: meanwhile agents are served."""
        await asyncio.to_thread(import_module, SSH_GATEWAY)
        from portway.edge.ssh_gateway import SshGateway

        self.ssh = SshGateway(agents, ssh, self.tasks, self.strict_web)
        self._doors[-1].open(self.ssh.accept)

    async def ssh_ready(self) -> None:
        """Wait until SSH clients are served, if they are to be."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def drain(self) -> None:
        """Accept nobody, let running streams finish, write names down. Agents stay connected.

        Whoever was accepted is served: agents take no more streams only when every visitor has said what
        it wants, or has had its time for that.

        Cancelled: the drain is given up; ``close`` cuts what is left.
        """
        if self.edge is not None:
            self.edge.draining = True
        for listener in self.listeners[1:]:
            listener.finish()
        self._close_listeners()
        watch().drain()
        await asyncio.sleep(0)  # those who were accepted last become visitors
        await watch().arrived(min(self.config.limits.drain, ARRIVING))
        draining = [self.gateway.drain()] if self.gateway is not None else []
        if self.ssh is not None:
            draining.append(self.ssh.drain())
        if self.api is not None:
            draining.append(self.api.drain(self.config.limits.drain))
        await asyncio.gather(*draining)
        if self.claims is not None:
            await self.claims.flush()

    async def close(self) -> None:
        """Say goodbye to the agents and end. Nothing slow may follow, see the module's docstring."""
        self._shut()
        try:
            if self.ssh is not None:
                await self.ssh.close()
            if self.gateway is not None:
                await self.gateway.close()
        finally:
            if self.api is not None:
                self.api.close()
            if self._firewall is not None:
                self._firewall.close()
            await self.tasks.close()
            if self.web is not None:
                await self.web.close()
            if self.strict_web is not None:
                await self.strict_web.close()
            self._close_listeners()

    async def stop(self) -> None:
        """Drain, then close."""
        try:
            await self.drain()
        finally:
            await self.close()

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Have an agent stop, restart or update itself. Raises Error 804 to 810."""
        if self.gateway is None:
            raise Error("The service is starting.", 810)
        if self.ssh is not None and session_id in self.ssh.sessions:
            await self.ssh.command(session_id, what)
        else:
            await self.gateway.command(session_id, what, version)

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where the listeners are: of agents, http and https, then the others."""
        settings = self.settings
        given = (settings.listen_agent, settings.listen_http, settings.listen_https, settings.listen_ssh)
        hosts = [each.host for each in given if each is not None]
        return tuple((host, each.port) for host, each in zip(hosts, self.listeners, strict=True))

    @property
    def agent_port(self) -> int:
        """Where agents connect."""
        return self.listeners[0].port

    @property
    def http_port(self) -> int:
        """Where visitors of http endpoints connect."""
        return self.listeners[1].port

    @property
    def https_port(self) -> int:
        """Where visitors of https and tls endpoints connect."""
        return self.listeners[2].port

    @property
    def ssh_port(self) -> int:
        """Where SSH clients connect; 0 where they cannot."""
        return self.listeners[3].port if len(self.listeners) > 3 else 0

    def _publish(self, path: str) -> None:
        """Put the API online, for http and https. It is the service's own: of no account, told to nobody."""
        host = f"{API_LABEL}.{self.config.domain}"
        self.api = LocalMember(API_LABEL, LocalPipes(path, self.tasks), limit=self.config.limits.api_visitors)
        for scheme in ("http", "https"):
            pool = Pool(RANDOM.below)
            pool.add(self.api)
            url = public_url(scheme, host, self.config)
            self.registry.add(Endpoint("", url, scheme, "", pool, own=True))

    def _sign_in(self, edge: Edge, store: "IdentityStore", control: "Control", secret: bytes) -> None:
        """Let policies have visitors sign in, and publish where providers send them back to."""
        assert self.web is not None
        assert self.fetches is not None
        made = identity_setup.identities_of(edge, store, self.web, secret, self.tasks, self._geo)
        identity_setup.follow(made, control.view)
        identity_setup.publish(made, edge, self.registry)
        self.fetches.know(identity_setup.kinds(made))
        self.identities = made

    def _shut(self) -> None:
        """Refuse visitors, and let agents wait."""
        for listener in self.listeners[:1]:
            listener.rest()
        self._close_listeners(keep=1)

    def _close_listeners(self, *, keep: int = 0) -> None:
        for listener in self.listeners[keep:]:
            listener.close()
        if self.ports is not None:
            self.ports.close_all()

    async def _restore(self, control: "Control", claims: LocalClaims, ports: TcpPorts) -> None:
        """Keep what stood before the last stop, then let claims through."""
        while True:
            try:
                reservations = await control.reservations()
                break
            except PortwayError as error:
                _log.warning("names that stand are not known yet: %s", error)
                await asyncio.sleep(RESTORE_RETRY)
        for each in reservations:
            try:
                url = parse_endpoint_url(each.url)
            except PortwayError as error:
                _log.warning("a kept name cannot be read and is dropped: %s: %s", each.url, error)
                continue
            claims.restore(url, each.account_id, each.session_key)
            if url.scheme == "tcp":
                try:
                    await ports.open(url.port)
                except ConfigError as error:
                    _log.warning("a kept port cannot be opened: %s", error)
        claims.open()
