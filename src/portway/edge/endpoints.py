"""Bringing endpoints online and taking them off again: judged, claimed, registered, told.

A :class:`Bound` is one bind of one session. Its name is claimed before it is registered, and given
up or kept after it is taken out of the registry: a visitor can never reach an agent that does not own
the name. A TCP port listens from the claim until the name is free again, so while it is kept for a
lost session nobody else on this machine can take it; its visitors are closed.

An internal name belongs to its account alone, so it is neither claimed nor kept: whether it is free, the
registry knows.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.edge import binding
from portway.edge.bound import Bound
from portway.edge.cloud import CloudMember, refuses
from portway.edge.member import Carrier, Member, SessionMember
from portway.edge.oversight import Oversight
from portway.edge.permits import Owner, Permits
from portway.edge.plan_room import PlanRoom
from portway.edge.policy import compile_brought
from portway.edge.policy_pool import check_tls, rule
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint, Registry
from portway.errors import ConfigError, Error, PortwayError, SessionClosed
from portway.model.event import EndpointOffline, EndpointOnline, EndpointUpdated
from portway.model.ids import new_id
from portway.model.url import Url
from portway.net.listen import is_full
from portway.wire.messages import UNSET, Bind, BindResp, BindRespExtra, Patch

if TYPE_CHECKING:
    from portway.edge.policy import Policies
    from portway.edge.ports import Claims, Control, EdgeConfig, EventSink, Ports
    from portway.edge.seal import Seal
    from portway.policy.engine import Policy

_log = logging.getLogger(__name__)

USED_UP: Final = 1.0
"""Seconds for which no port is looked for once all were found taken, unless one is freed: to look at a
thousand costs far more than to ask for one."""

RANDOM_TRIES: Final = 32
"""Random addresses drawn blindly. Hosts have 48 random bits: the second draw is luck enough."""


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where ids, hosts and choices come from: ``secrets`` in a service, a fixed sequence in tests."""

    octets: Callable[[int], bytes]
    below: Callable[[int], int]


class Endpoints:
    """Everything that is bound here."""

    def __init__(
        self,
        config: "EdgeConfig",
        registry: Registry,
        claims: "Claims",
        control: "Control",
        ports: "Ports",
        seal: "Seal",
        events: "EventSink",
        *,
        wall: Callable[[], float],
        random: Randomness,
        policies: "Policies",
    ) -> None:
        """Join the parts. ``wall`` gives Unix seconds."""
        self.config = config
        self.registry = registry
        self._control = control
        self._view = control.view
        self._permits = Permits(self._view, config)
        self._oversight = Oversight(self._view, self._permits)
        self._room = PlanRoom(config.plans)
        self._claims = claims
        self._ports = ports
        self._seal = seal
        self._events = events
        self._wall = wall
        self._random = random
        self._policies = policies
        self.check_issuers: Callable[[Policy | None], Awaitable[None]] | None = None
        """Asks the issuers of identities that a new bind's policy names; raises PolicyError 2227."""
        self._bounds: dict[Member, Bound] = {}
        self._used_up_until = 0.0
        claims.on_freed(self._freed)

    async def bind(self, owner: Owner, session: "Carrier", bind: Bind) -> tuple[Bound, BindResp]:
        """Grant a bind, or raise Error. Cancelled or failed, nothing stays claimed."""
        wish = binding.read_wish(bind, self.config)
        policy = wish.policy
        compiled = await compile_brought(
            self._policies, self._control, policy.source, wish.url, owner.account_id, policy.size
        )
        check_tls(compiled, wish.tls)
        if self.check_issuers is not None and not wish.returning:
            await self.check_issuers(compiled)
        drawn = self._was_drawn(wish.url, owner, bind) if wish.returning else wish.random
        await self._permitted(wish, owner, drawn=drawn)
        if wish.random:
            url = await self._claim_random(wish, owner)
        else:
            url = wish.url
            self._refuse_taken(url, wish, owner, bind.id)
            await self._claim(url, wish, owner)
        try:
            if session.closed:
                raise SessionClosed("the session ended while it was binding")
            # What was true before the claim was written down may not be any more.
            permit = self._permits.named(url, owner, drawn=drawn)
            self._refuse_edge(url)
            self._refuse_taken(url, wish, owner, bind.id)
            self._room.check(owner, bind.id, self.registry.at(url, owner.account_id))
        except PortwayError:
            self._give_up(url, owner, keep=wish.returning)
            raise
        bound = self._register(owner, session, bind, wish, url)
        bound.permit, bound.drawn = permit, drawn
        self._rule(bound, compiled, policy.identity)
        self._oversight.add(bound)
        self._tell_online(bound, wish)
        return bound, self._answer(bound)

    def _rule(self, bound: Bound, compiled: "Policy | None", identity: str) -> None:
        """Let a policy rule over what comes to a bind."""
        account = bound.owner.account_id
        bound.member.policy = (
            None if compiled is None else self._policies.place(compiled, bound.url, account, identity)
        )
        rule(bound.endpoint)

    async def _permitted(self, wish: binding.Wish, owner: Owner, *, drawn: bool) -> None:
        """Judge a bind. Raises Error, but not for want of what was changed a moment ago."""
        await self._view.known()
        try:
            self._judge(wish, owner, drawn=drawn)
        except Error:
            # Who has just reserved an address, or been allowed it, may be quicker here than the news.
            await self._control.caught_up()
            self._judge(wish, owner, drawn=drawn)

    def _judge(self, wish: binding.Wish, owner: Owner, *, drawn: bool) -> None:
        if wish.random:
            self._permits.random(wish.url.scheme, owner)
        else:
            self._permits.named(wish.url, owner, drawn=drawn)
            self._refuse_edge(wish.url)

    def _refuse_edge(self, url: Url) -> None:
        """Refuse an address that an edge has. Raises Error 381."""
        if self._view.edge_at(url) is not None:
            raise Error(f"{url.hostport} is an address of an edge: detach it there first.", 381)

    def _was_drawn(self, url: Url, owner: Owner, bind: Bind) -> bool:
        """Check the token of a rebind; tell whether the service had chosen the address. Raises Error 335."""
        if not url.is_random:
            for drawn in (False, True):
                if self._seal.knows_token(bind.extra.token, owner.account_id, bind.id, url, drawn=drawn):
                    return drawn
        raise Error("The token of this rebind is not one of ours for this endpoint.", 335)

    def unbind(self, bound: Bound, reason: str, *, keep: bool = False) -> None:
        """Take a bind off at once. ``keep``: its session is lost, so its name waits for it. Idempotent."""
        if bound.member.retired:
            return
        bound.member.retired = True
        del self._bounds[bound.member]
        self._room.give_back(bound.owner, bound.id)
        self._oversight.discard(bound)
        self.registry.members.give_back((bound.url.scheme, bound.id))
        endpoint = bound.endpoint
        endpoint.pool.remove(bound.member)
        if not endpoint.pool.members:
            self.registry.remove(endpoint)
        else:
            if endpoint.id == bound.id:
                self.lead(endpoint)
            rule(endpoint)
        self._give_up(bound.url, bound.owner, keep=keep)
        self._events.emit(
            EndpointOffline(
                endpoint_id=bound.id,
                account_id=bound.owner.account_id,
                session_id=bound.owner.session_id,
                url=str(bound.url),
                proto=bound.url.scheme,
                online_at=bound.online_at,
                offline_at=self._wall(),
                reason=reason,
            )
        )

    async def patch(self, bound: Bound, patch: Patch) -> None:
        """Change the texts, the pooling and the policy of a bind. Raises Error; then nothing is changed.

        Visitors who are being served notice nothing: their next request is judged by the new policy.
        """
        text, compiled = patch.traffic_policy, None
        if text is not UNSET:
            account = bound.owner.account_id
            compiled = await compile_brought(self._policies, self._control, text, bound.url, account)
            check_tls(compiled, bound.endpoint.tls)
            if bound.member.retired:
                raise SessionClosed("the endpoint was given up while it was changed")
        name = bound.name if patch.name is UNSET else patch.name
        description = bound.description if patch.description is UNSET else patch.description
        metadata = bound.metadata if patch.metadata is UNSET else patch.metadata
        binding.check_texts(self.config.limits, name, description, metadata)
        pooled = bound.member.pooled if patch.pooling_enabled is UNSET else patch.pooling_enabled
        self._check_pooling(bound, pooled=pooled)
        bound.name, bound.description, bound.metadata = name, description, metadata
        if bound.endpoint.id == bound.id:
            self._lead(bound.endpoint, bound)
        if pooled != bound.member.pooled:
            self._set_pooling(bound, pooled=pooled)
        if text is not UNSET:
            self._rule(bound, compiled, text)
        self._events.emit(
            EndpointUpdated(
                endpoint_id=bound.id,
                account_id=bound.owner.account_id,
                session_id=bound.owner.session_id,
                url=str(bound.url),
                name=name,
                description=description,
                metadata=metadata,
                traffic_policy=None if patch.traffic_policy is UNSET else patch.traffic_policy,
                pooling_enabled=bound.member.pooled,
                updated_at=self._wall(),
            )
        )

    def _check_pooling(self, bound: Bound, *, pooled: bool) -> None:
        """Refuse to end the sharing of a URL that others serve. Raises Error 18017; nothing is changed."""
        others = [each for each in bound.endpoint.pool.members if each.id != bound.id]
        if others and not pooled:
            raise Error(
                f"{bound.url} is shared by {len(others) + 1} endpoints; while it is, pooling stays enabled.",
                18017,
            )

    def _set_pooling(self, bound: Bound, *, pooled: bool) -> None:
        """Share a URL from now on, or no longer: for all legs of the agent."""
        for member in _members_of(bound.endpoint, bound.owner.client_id):
            if member.id == bound.id:
                member.pooled = pooled
        if not bound.url.is_internal:
            self._claims.pool(bound.url, bound.owner.client_id, pooled=pooled)
        if pooled:
            self.registry.has_room(bound.endpoint)

    async def _claim(self, url: Url, wish: binding.Wish, owner: Owner) -> None:
        """Claim a name, and open its port if it is one."""
        if url.is_internal:
            return
        try:
            await self._claims.claim(
                url, owner.account_id, owner.client_id, pooled=wish.pooled, returning=wish.returning
            )
            if url.scheme == "tcp":
                await self._ports.open(url.port)
        except ConfigError as error:
            full = is_full(error)
            self._give_up(url, owner, keep=full and wish.returning)
            _log.warning("TCP port of an endpoint cannot be opened: %s", error)
            if full:
                raise Error("The service can open no port at the moment; try again later.", 503) from error
            raise Error(f"The address {url.hostport} is in use by another program.", 309) from error
        except BaseException as error:
            if not isinstance(error, Error):  # cancelled: it may be held
                self._give_up(url, owner, keep=wish.returning)
            raise

    def _give_up(self, url: Url, owner: Owner, *, keep: bool) -> None:
        """Free or keep a name, unless the same agent still serves it on another leg or bind."""
        if url.is_internal:
            return
        endpoint = self.registry.at(url, owner.account_id)
        if endpoint is None or not _members_of(endpoint, owner.client_id):
            (self._claims.hold if keep else self._claims.release)(url, owner.client_id)

    async def _claim_random(self, wish: binding.Wish, owner: Owner) -> Url:
        """Draw addresses until one is free. Raises Error 503 when there is none."""
        tcp = wish.url.scheme == "tcp"
        if tcp and 0 < self._used_up_until - self._wall() <= USED_UP:
            raise _none_left()
        for url in self._draws(wish.url.scheme):
            if self._claims.taken(url) or self._is_reserved(url):
                continue
            try:
                await self._claim(url, wish, owner)
            except Error as error:
                if error.code not in {"ERR_NGROK_309", "ERR_NGROK_320", "ERR_NGROK_334"}:
                    raise
                continue  # taken while we asked, or by another program: draw again
            return url
        if tcp:
            self._used_up_until = self._wall() + USED_UP
        raise _none_left()

    def _is_reserved(self, url: Url) -> bool:
        """Tell whether an address that was drawn is somebody's, perhaps the drawing account's own."""
        if url.scheme == "tcp":
            return self._view.is_reserved(url.port)
        return self._view.owner(url.host) is not None

    def _draws(self, scheme: str) -> "Iterator[Url]":
        """Draw addresses in the order in which they are tried."""
        if scheme != "tcp":
            for _ in range(RANDOM_TRIES):
                host = binding.random_host(self.config, self._random.octets)
                yield binding.public_url(scheme, host, self.config)
            return
        ports = self.config.tcp_ports
        for _ in range(RANDOM_TRIES):  # enough unless the range is nearly used up
            yield binding.public_url(scheme, "", self.config, ports[self._random.below(len(ports))])
        rest = list(ports)
        while rest:
            port = rest.pop(self._random.below(len(rest)))
            yield binding.public_url(scheme, "", self.config, port)

    def _refuse_taken(self, url: Url, wish: binding.Wish, owner: Owner, bind_id: str) -> None:
        """Refuse a URL that is online, unless all who serve it and this bind share it. Raises Error 334.

        Of public URLs this is said of what the claim table cannot see: cloud endpoints hold no claims, and
        two binds of one agent are one holder. The same bind on another leg is no other: it has the same id.
        """
        if refuses(self.registry, url, owner.account_id, pooled=wish.pooled):
            raise Error(f"A cloud endpoint is online at {str(url)!r}, and not both are pooled.", 334)
        endpoint = self.registry.at(url, owner.account_id)
        if endpoint is None:
            return
        if endpoint.tls != wish.tls and any(each.id != bind_id for each in endpoint.pool.members):
            raise Error(f"The endpoint {str(url)!r} is already online with other TLS options.", 334)
        holders = _agents_of(endpoint) if url.is_internal else _members_of(endpoint, owner.client_id)
        others = [each for each in holders if (each.id, each.client_id) != (bind_id, owner.client_id)]
        if others and not (wish.pooled and all(each.pooled for each in others)):
            raise Error(
                f"The endpoint {str(url)!r} is already online, and not all its endpoints are pooled.", 334
            )

    def _register(self, owner: Owner, session: "Carrier", bind: Bind, wish: binding.Wish, url: Url) -> Bound:
        bind_id = bind.id or new_id("ep", self._random.octets, self._wall())
        member = SessionMember(
            session,
            bind_id,
            owner.client_id,
            pooled=wish.pooled,
            proxy_proto=wish.view.proxy_proto,
            forwards_proto=bind.forwards_proto,
            counters=self.registry.members.take((url.scheme, bind_id)),
        )
        extra = bind.extra
        endpoint = self.registry.at(url, owner.account_id)
        if endpoint is None:
            endpoint = Endpoint(
                bind_id,
                url,
                url.scheme,
                owner.account_id,
                Pool(self._random.below),
                name=extra.name,
                description=extra.description,
                metadata=extra.metadata,
                forwards_to=bind.forwards_to,
                forwards_proto=bind.forwards_proto,
                proxy_proto=wish.view.proxy_proto,
                tls=wish.tls,
            )
            self.registry.add(endpoint)
        endpoint.pool.add(member)
        self._room.take(owner, bind_id)
        bound = self._bounds[member] = Bound(
            bind, owner, url, member, endpoint, extra.name, extra.description, extra.metadata, self._wall()
        )
        return bound

    def _tell_online(self, bound: Bound, wish: binding.Wish) -> None:
        self._events.emit(
            EndpointOnline(
                endpoint_id=bound.id,
                account_id=bound.owner.account_id,
                session_id=bound.owner.session_id,
                url=str(bound.url),
                proto=bound.url.scheme,
                binding=bound.endpoint.binding,
                region=self.config.region,
                name=bound.name,
                description=bound.description,
                metadata=bound.metadata,
                forwards_to=bound.bind.forwards_to,
                upstream_protocol=bound.bind.forwards_proto,
                traffic_policy=wish.view.traffic_policy,
                pooling_enabled=wish.pooled,
                domain_id=bound.permit.domain_id,
                tcp_addr_id=bound.permit.tcp_addr_id,
                online_at=bound.online_at,
            )
        )

    def lead(self, endpoint: Endpoint) -> None:
        """Let an endpoint go by the id and the texts of its oldest member."""
        heir = endpoint.pool.members[0]
        if isinstance(heir, CloudMember):
            heir.lead(endpoint)
        else:
            self._lead(endpoint, self._bounds[heir])

    def _lead(self, endpoint: Endpoint, bound: Bound) -> None:
        """Let an endpoint go by the id and the texts of this bind."""
        endpoint.id = bound.id
        endpoint.name, endpoint.description, endpoint.metadata = (
            bound.name,
            bound.description,
            bound.metadata,
        )
        endpoint.forwards_to = bound.bind.forwards_to
        endpoint.forwards_proto = bound.member.forwards_proto
        endpoint.proxy_proto = bound.member.proxy_proto

    def _answer(self, bound: Bound) -> BindResp:
        return BindResp(
            id=bound.id,
            url=str(bound.url),
            proto=bound.url.scheme,
            opts=binding.echo(bound.bind, bound.url),
            extra=BindRespExtra(
                token=self._seal.token(bound.owner.account_id, bound.id, bound.url, drawn=bound.drawn),
                tunnel_id=bound.tunnel_id,
            ),
        )

    def _freed(self, url: Url) -> None:
        if url.scheme == "tcp":
            if self.registry.find("tcp", "", url.port) is None:  # else a cloud endpoint is there
                self._ports.close(url.port)
            self._used_up_until = 0.0


def _none_left() -> Error:
    return Error("No free address is left; try again later.", 503)


def _agents_of(endpoint: Endpoint) -> list[SessionMember]:
    """List the members of an endpoint's pool that are agents, on all their legs."""
    return [each for each in endpoint.pool.members if isinstance(each, SessionMember)]


def _members_of(endpoint: Endpoint, client_id: str) -> list[SessionMember]:
    """List the members of one agent in an endpoint's pool, on all its legs."""
    return [each for each in _agents_of(endpoint) if each.client_id == client_id]
