"""Labelled tunnels: agents that serve edges. An agent says labels, and an edge's backend finds it by them.

::

    agent ── StartTunnelWithLabel {team: web, edge: edgtcp_1} ──▶ Tunnels ──▶ every group whose labels it has

A tunnel has no address of its own: it is not claimed, not kept when its session is lost, and no token
belongs to it. It serves each tunnel group of its account *all* of whose labels it has; a group without
labels has no tunnel. Groups are filed under one of their labels, so a bind looks only at those that share one
with it, and the pool of a group is ready when a visitor comes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.edge.member import SessionMember
from portway.edge.pool import Pool
from portway.edge.view import read_acl
from portway.errors import Error, SessionClosed
from portway.model.edge import check_labels
from portway.model.event import EndpointOffline, EndpointOnline
from portway.model.ids import new_id
from portway.model.plan import Plan
from portway.model.view import CredentialItem, SshKeyItem
from portway.wire.messages import BindLabels, BindLabelsResp, ProxyHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.endpoints import Randomness
    from portway.edge.member import Carrier, Visitor
    from portway.edge.permits import Owner
    from portway.edge.ports import Control, EdgeConfig, EventSink
    from portway.model.view import ViewItem
    from portway.pipe import Pipe, Sink

EDGE_TYPES: Final = {"tcp": "1", "tls": "2", "http": "3", "https": "3"}
"""What an agent is told of the edge that a visitor came through."""

_Label = tuple[str, str, str]
"""Account, key and value."""


class LabelledMember(SessionMember):
    """A labelled tunnel in the pools of its groups."""

    __slots__ = ()

    def open(self, visitor: "Visitor", sink: "Sink") -> "Pipe":
        """Open a stream that says which kind of edge it comes from. Raises StreamLimit, SessionClosed."""
        if self.retired:
            raise SessionClosed("the tunnel was given up")
        kind = EDGE_TYPES.get(visitor.proto, "0")
        header = ProxyHeader(self.id, visitor.client_addr, visitor.proto, kind, visitor.passthrough)
        stream = self._session.open_proxy(header, sink)
        self.counters.connections += 1
        return stream


@dataclass(slots=True, eq=False)
class Tunnel:
    """One labelled tunnel of one session."""

    owner: "Owner"
    member: LabelledMember
    labels: Mapping[str, str]
    forwards_to: str
    metadata: str
    online_at: float

    @property
    def id(self) -> str:
        """The bind id."""
        return self.member.id


@dataclass(slots=True, eq=False)
class Group:
    """A tunnel group: its labels, and the tunnels that have them all."""

    id: str
    account_id: str
    labels: Mapping[str, str]
    pool: Pool

    def takes(self, tunnel: Tunnel) -> bool:
        """Tell whether a tunnel has all the labels."""
        if not self.labels or tunnel.owner.account_id != self.account_id:
            return False
        return all(tunnel.labels.get(key) == value for key, value in self.labels.items())

    @property
    def filed(self) -> _Label:
        """Where it is looked for."""
        key = min(self.labels)
        return self.account_id, key, self.labels[key]


class Tunnels:
    """All labelled tunnels that are online here, and the groups that they serve."""

    def __init__(
        self,
        config: "EdgeConfig",
        control: "Control",
        events: "EventSink",
        *,
        wall: "Callable[[], float]",
        random: "Randomness",
    ) -> None:
        """Have none yet."""
        self._config = config
        self._control = control
        self._events = events
        self._wall = wall
        self._random = random
        self._tunnels: dict[str, dict[Tunnel, None]] = {}
        self._groups: dict[str, Group] = {}
        self._filed: dict[_Label, dict[str, Group]] = {}
        control.view.on_change(self._changed)

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Tunnels {sum(map(len, self._tunnels.values()))} groups={len(self._groups)}>"

    # -- for agents

    async def bind(
        self, owner: "Owner", session: "Carrier", asked: BindLabels
    ) -> tuple[Tunnel, BindLabelsResp]:
        """Bring a tunnel online. Raises Error 358, 394, 399, 6508–6510, 6531, 15003 or 18013."""
        if not self._config.plans.get(owner.plan, Plan()).labelled_tunnels:
            raise Error("Your plan does not allow labelled tunnels.", 358)
        if not asked.labels:
            raise Error("A labelled tunnel needs at least one label.", 394)
        check_labels(asked.labels)
        if asked.forwards_proto not in {"", "http1", "http2"}:
            raise Error(
                f"The upstream protocol {asked.forwards_proto!r} is unknown; use http1 or http2.", 15003
            )
        limit = self._config.limits.metadata
        if len(asked.metadata.encode()) > limit:
            raise Error(f"The metadata is longer than {limit} bytes.", 18013)
        await self._permitted(owner, asked.labels)
        if session.closed:
            raise SessionClosed("the session ended while it was binding")
        now = self._wall()
        member = LabelledMember(
            session,
            new_id("ep", self._random.octets, now),
            owner.client_id,
            pooled=True,
            forwards_proto=asked.forwards_proto,
        )
        tunnel = Tunnel(owner, member, dict(asked.labels), asked.forwards_to, asked.metadata, now)
        self._tunnels.setdefault(owner.account_id, {})[tunnel] = None
        for group in self._groups_of(tunnel):
            group.pool.add(member)
        self._tell_online(tunnel)
        return tunnel, BindLabelsResp(id=tunnel.id)

    def unbind(self, tunnel: Tunnel, reason: str) -> None:
        """Take a tunnel off at once. Idempotent."""
        if tunnel.member.retired:
            return
        tunnel.member.retired = True
        account = tunnel.owner.account_id
        own = self._tunnels.get(account, {})
        own.pop(tunnel, None)
        if not own:
            self._tunnels.pop(account, None)
        for group in self._groups_of(tunnel):
            group.pool.remove(tunnel.member)
        self._events.emit(
            EndpointOffline(
                endpoint_id=tunnel.id,
                account_id=account,
                session_id=tunnel.owner.session_id,
                url="",
                proto="",
                online_at=tunnel.online_at,
                offline_at=self._wall(),
                reason=reason,
            )
        )

    # -- for backends

    def put_group(self, group_id: str, account_id: str, labels: Mapping[str, str]) -> None:
        """Know a tunnel group, or that its labels are these now. Running connections go on."""
        self.drop_group(group_id)
        group = self._groups[group_id] = Group(group_id, account_id, labels, Pool(self._random.below))
        if labels:
            self._filed.setdefault(group.filed, {})[group_id] = group
        for tunnel in self._tunnels.get(account_id, ()):
            if group.takes(tunnel):
                group.pool.add(tunnel.member)

    def drop_group(self, group_id: str) -> None:
        """Forget a group; one that is not known is ignored."""
        group = self._groups.pop(group_id, None)
        if group is not None and group.labels:
            filed = self._filed[group.filed]
            del filed[group_id]
            if not filed:
                del self._filed[group.filed]

    def pool(self, group_id: str) -> Pool | None:
        """Return who serves a group; None when it is not known."""
        group = self._groups.get(group_id)
        return None if group is None else group.pool

    # -- inside

    def _groups_of(self, tunnel: Tunnel) -> Iterator[Group]:
        account = tunnel.owner.account_id
        for key, value in tunnel.labels.items():
            for group in self._filed.get((account, key, value), {}).values():
                if group.takes(tunnel):
                    yield group

    async def _permitted(self, owner: "Owner", labels: Mapping[str, str]) -> None:
        """Judge a bind by the rules of its credential. Raises Error 399."""
        await self._control.view.known()
        if not self._allows(owner, labels):
            await self._control.caught_up()  # who was just allowed it may be quicker than the news
            if not self._allows(owner, labels):
                raise _forbidden()

    def _allows(self, owner: "Owner", labels: Mapping[str, str]) -> bool:
        rules = self._control.view.acl(owner.credential_id) or read_acl(owner.rules)
        return rules.allows_labels(labels)

    def _changed(self, item: "ViewItem", _before: "ViewItem | None") -> None:
        """End what changed rules allow no more. Revoked credentials end their sessions elsewhere."""
        if not isinstance(item, CredentialItem | SshKeyItem) or item.gone:
            return
        for tunnel in list(self._tunnels.get(item.account_id, ())):
            if tunnel.owner.credential_id == item.id and not self._allows(tunnel.owner, tunnel.labels):
                tunnel.owner.stop(tunnel.id, _forbidden())

    def _tell_online(self, tunnel: Tunnel) -> None:
        self._events.emit(
            EndpointOnline(
                endpoint_id=tunnel.id,
                account_id=tunnel.owner.account_id,
                session_id=tunnel.owner.session_id,
                url="",
                proto="",
                region=self._config.region,
                metadata=tunnel.metadata,
                forwards_to=tunnel.forwards_to,
                upstream_protocol=tunnel.member.forwards_proto,
                labels=tuple(tunnel.labels.items()),
                online_at=tunnel.online_at,
            )
        )


def _forbidden() -> Error:
    return Error("The access rules of this credential do not allow these labels.", 399)
