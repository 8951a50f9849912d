"""Edges: their addresses put online as the view has them, with the modules that rule there.

An edge comes in rows: the edge with its modules, its routes, its addresses. Each address is an endpoint of
this edge's account whose pool is what the edge's backend has now (``edge/backends.py``). Modules become one
Traffic Policy (``policy/modules.py``) and TLS settings; an https edge has a policy for each route. They are
compiled off the event loop. Until the first is ready an address serves nobody: its doors must not stand open
for a moment. A change takes the place of what was there when it is ready, whole.

The control plane has made sure that an address is free. An agent may have been quicker all the same: then
the address waits until it has gone. While an edge has an address, agents are refused there (381).
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from portway.edge.backends import BackendPool
from portway.edge.edge_routes import Route, Routes
from portway.edge.policy_pool import check_tls
from portway.edge.registry import Endpoint
from portway.edge.standing_ports import StandingPorts
from portway.edge.tls_settings import TlsSettings, check
from portway.edge.waiting import Waiting
from portway.errors import ConfigError, PortwayError
from portway.model.module_secrets import opened
from portway.model.modules import Read, read
from portway.model.url import parse_endpoint_url
from portway.model.view import (
    AuthorityItem,
    BackendItem,
    EdgeEndpointItem,
    EdgeItem,
    EdgeRouteItem,
    IpPolicyItem,
)
from portway.policy.phase import Phase

if TYPE_CHECKING:
    from portway.edge.backends import Backends
    from portway.edge.policy import EndpointPolicy, Policies
    from portway.edge.ports import Claims, Ports
    from portway.edge.registry import Registry
    from portway.edge.view import View
    from portway.model.module_secrets import Seal
    from portway.model.url import Url
    from portway.model.view import ViewItem
    from portway.net.tasks import Tasks

_log = logging.getLogger(__name__)

NOBODY: Final = ""
"""The backend of an edge that has none."""


@dataclass(slots=True, eq=False)
class _Edge:
    """What is known of one edge."""

    item: EdgeItem | None = None
    routes: dict[str, EdgeRouteItem] = field(default_factory=dict[str, EdgeRouteItem])
    endpoints: dict[str, EdgeEndpointItem] = field(default_factory=dict[str, EdgeEndpointItem])

    def names(self, thing_id: str) -> bool:
        """Tell whether a module of the edge or of its routes names something."""
        texts = (each.modules for each in self.routes.values())
        return any(thing_id in each for each in (self.item.modules if self.item else "", *texts))


@dataclass(slots=True, eq=False)
class _Online:
    """One address that is online. ``asked`` is the number of the newest build that was begun."""

    item: EdgeEndpointItem
    endpoint: Endpoint
    pool: BackendPool
    asked: int = 0


@dataclass(slots=True, frozen=True)
class _Built:
    """What rules at an address, ready to be put in."""

    backend_id: str
    tls: TlsSettings | None
    policy: "EndpointPolicy | None"
    routes: Routes | None


UNREADY: Final = Routes((), ready=False)
"""The routes of an edge that are not known yet, or cannot be made."""

NOTHING: Final = _Built(NOBODY, None, None, UNREADY)


class Edges:
    """All edges that are online here."""

    def __init__(
        self,
        registry: "Registry",
        view: "View",
        ports: "Ports",
        claims: "Claims",
        tasks: "Tasks",
        *,
        backends: "Backends",
        policies: "Policies",
        open_secret: "Seal | None" = None,
    ) -> None:
        """Follow the view. Without ``open_secret`` routes whose modules have secrets serve nobody."""
        self._registry = registry
        self._view = view
        self._standing = StandingPorts(ports, registry, claims, tasks)
        self._tasks = tasks
        self._backends = backends
        self._policies = policies
        self._open_secret = open_secret or _no_key
        self._edges: dict[str, _Edge] = {}
        self._edge_of: dict[str, str] = {}
        self._online: dict[str, _Online] = {}
        self._waiting = Waiting(self._put_on, claims)
        view.on_change(self._changed)
        registry.on_room(lambda _endpoint: self._waiting.try_again())

    def __repr__(self) -> str:
        """Show how many addresses there are."""
        return f"<Edges {len(self._edges)} online={len(self._online)} waiting={len(self._waiting)}>"

    # -- rows

    def _changed(self, item: "ViewItem", before: "ViewItem | None") -> None:
        """Hear of a row."""
        if isinstance(item, BackendItem):
            self._backends.changed(item)
        elif isinstance(item, EdgeItem):
            self._edge(item.id).item = None if item.gone else item
            self._refresh(item.id)
        elif isinstance(item, EdgeRouteItem):
            self._route(item)
        elif isinstance(item, EdgeEndpointItem):
            self._address(item)
        elif isinstance(item, AuthorityItem | IpPolicyItem):
            for edge_id, edge in list(self._edges.items()):
                if edge.names(item.id):  # it may be told of after who names it
                    self._refresh(edge_id)

    def _edge(self, edge_id: str) -> _Edge:
        return self._edges.setdefault(edge_id, _Edge())

    def _route(self, item: EdgeRouteItem) -> None:
        edge_id = item.edge_id or self._edge_of.get(item.id, "")
        if item.gone:
            self._edge(edge_id).routes.pop(item.id, None)
            self._edge_of.pop(item.id, None)
        else:
            self._edge(edge_id).routes[item.id] = item
            self._edge_of[item.id] = edge_id
        self._refresh(edge_id)

    def _address(self, item: EdgeEndpointItem) -> None:
        edge_id = item.edge_id or self._edge_of.get(item.id, "")
        self._waiting.forget(item.id)
        online = self._online.get(item.id)
        if online is not None:
            if not item.gone and (item.edge_id, item.url) == (online.item.edge_id, online.item.url):
                return
            self._take_off(online)
        if item.gone:
            self._edge(edge_id).endpoints.pop(item.id, None)
            self._edge_of.pop(item.id, None)
            self._forget(edge_id)
            return
        self._edge(edge_id).endpoints[item.id] = item
        self._edge_of[item.id] = edge_id
        self._put_on(item)

    def _forget(self, edge_id: str) -> None:
        """Forget an edge of which nothing is left."""
        edge = self._edges.get(edge_id)
        if edge is not None and edge.item is None and not edge.routes and not edge.endpoints:
            del self._edges[edge_id]

    # -- addresses

    def _put_on(self, item: EdgeEndpointItem) -> None:
        try:
            url = parse_endpoint_url(item.url)
        except PortwayError as error:
            _log.error("an address of edge %s cannot be read: %s", item.edge_id, error)
            return
        if self._registry.beside(url, item.account_id) is not None:
            self._waiting.add(item, f"an address of edge {item.edge_id}")
            return
        pool = BackendPool(self._backends, item.account_id, NOBODY)
        endpoint = Endpoint(item.id, url, url.scheme, item.account_id, pool, edge_id=item.edge_id)
        if url.scheme == "https":
            endpoint.policy = UNREADY
        self._registry.add(endpoint)
        online = self._online[item.id] = _Online(item, endpoint, pool)
        self._start(online)
        if url.scheme == "tcp":
            self._standing.open(url, item.edge_id, lambda: self._online.get(item.id) is online)

    def _take_off(self, online: _Online) -> None:
        del self._online[online.item.id]
        self._registry.remove(online.endpoint)
        online.pool.backend_id = NOBODY
        url = online.endpoint.url
        if url.scheme == "tcp":
            self._standing.close(url)

    # -- modules

    def _refresh(self, edge_id: str) -> None:
        """Let what the rows of an edge say now rule at all its addresses."""
        self._forget(edge_id)
        edge = self._edges.get(edge_id)
        for each in list(edge.endpoints) if edge is not None else ():
            online = self._online.get(each)
            if online is not None:
                self._start(online)

    def _start(self, online: _Online) -> None:
        online.asked += 1
        edge = self._edge(online.item.edge_id)
        if edge.item is None:
            self._put_in(online, NOTHING)
            return
        routes = tuple(edge.routes.values())
        name = f"modules of {online.item.edge_id}"
        self._tasks.start(self._build(online, edge.item, routes, online.asked), name=name)

    async def _build(
        self, online: _Online, item: EdgeItem, routes: tuple[EdgeRouteItem, ...], number: int
    ) -> None:
        """Make what rules at an address; what cannot be made leaves it closed."""
        try:
            built = await self._made(online, item, routes)
        except PortwayError as error:
            _log.error("the modules of edge %s cannot be used: %s", item.id, error)
            built = NOTHING
        if number == online.asked and self._online.get(online.item.id) is online:
            self._put_in(online, built)

    async def _made(self, online: _Online, item: EdgeItem, routes: Iterable[EdgeRouteItem]) -> _Built:
        url = online.endpoint.url
        modules = read(item.modules, item.form)
        tls = self._tls(modules, item)
        if item.form == "https":
            return _Built(NOBODY, tls, None, Routes([await self._routed(online, each) for each in routes]))
        policy = await self._policy(modules, url, item.account_id, "")
        check_tls(None if policy is None else policy.compiled, tls)
        return _Built(modules.backend_id, tls, policy, None)

    async def _routed(self, online: _Online, item: EdgeRouteItem) -> Route:
        """Make one route. What is wrong with it closes this route alone."""
        endpoint = online.endpoint
        backend_id, policy = NOBODY, None
        try:
            modules = read(opened(json.loads(item.modules), item.id, self._open_secret), "https")
            policy = await self._policy(modules, endpoint.url, item.account_id, item.id)
            backend_id = modules.backend_id
        except PortwayError as error:
            _log.error("the modules of route %s cannot be used: %s", item.id, error)
        pool = BackendPool(self._backends, item.account_id, backend_id)
        served = replace(endpoint, pool=pool, policy=policy, gates=())
        return Route(item.id, item.match_type, item.path, served)

    async def _policy(
        self, modules: Read, url: "Url", account_id: str, route_id: str
    ) -> "EndpointPolicy | None":
        if not modules.ruled:
            return None
        from portway.policy.modules import document_of  # loads what policies need

        source = partial(document_of, modules, url.scheme, self._policies.limits)
        compiled = await self._policies.compile(source, url, account_id, size=modules.size)
        if compiled is None:
            return None
        return self._policies.place(compiled, url, account_id, modules.text, part=route_id)

    def _tls(self, modules: Read, item: EdgeItem) -> TlsSettings | None:
        """Read how visitors' TLS ends. Raises Error where no visitor could be served so."""
        if not modules.ends_tls:
            return None
        settings = TlsSettings(
            min_version=modules.min_version,
            authorities=b"".join(self._authority(each, item) for each in modules.authority_ids),
        )
        if settings.authorities:
            check(settings)
        return settings

    def _authority(self, authority_id: str, item: EdgeItem) -> bytes:
        found = self._view.find(authority_id)
        if not isinstance(found, AuthorityItem) or found.account_id != item.account_id:
            raise ConfigError(f"its authority {authority_id} is not known")
        return found.pem.encode() + b"\n"

    def _put_in(self, online: _Online, built: _Built) -> None:
        """Let what was built rule from the next visitor on; requests of those that stand are asked for it."""
        endpoint, policy = online.endpoint, built.policy
        connects = policy is not None and policy.compiled.has(Phase.TCP_CONNECT)
        if endpoint.tls != built.tls:
            endpoint.tls = built.tls
            self._registry.look_again()
        endpoint.gates = (policy,) if policy is not None and connects else ()
        endpoint.policy = built.routes if endpoint.scheme == "https" else None
        online.pool.backend_id = built.backend_id


def _no_key(_sealed: bytes, belongs_to: str) -> bytes:
    raise ConfigError(f"there is no key for the secret of {belongs_to}")
