"""Cloud endpoints: those that the service answers itself, put online as the view has them.

Their members stand in the same pools as those of agents, so a URL may be shared by both. What a cloud
endpoint says to a visitor is decided by its traffic policy, which is compiled off the event loop when a row
brings it: requests wait for the first (``edge/preparing.py``), and a changed one takes the place of the old
one when it is ready. A visitor whom the policy lets through comes to nobody: to a page of an http or https
endpoint, the end of the connection of any other. Internal ones are found by policies of their account alone.

The control plane has made sure that a URL is free or shared by all. An agent may have been quicker all the
same: then the cloud endpoint waits until the URL is free.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from portway.edge.counters import Counters
from portway.edge.member import NoVerdict
from portway.edge.policy_pool import rule
from portway.edge.pool import Pool
from portway.edge.preparing import Preparing
from portway.edge.registry import Endpoint
from portway.edge.standing_ports import StandingPorts
from portway.edge.waiting import Waiting
from portway.errors import PortwayError, SessionClosed
from portway.model.url import parse_endpoint_url
from portway.model.view import AuthorityItem, CloudEndpointItem, IpPolicyItem
from portway.policy.phase import HTTP

if TYPE_CHECKING:
    from portway.edge.member import Visitor
    from portway.edge.policy import EndpointPolicy, Policies
    from portway.edge.ports import Claims, Ports
    from portway.edge.registry import Registry
    from portway.edge.view import View
    from portway.model.url import Url
    from portway.model.view import ViewItem
    from portway.net.tasks import Tasks
    from portway.pipe import Pipe, Sink

_log = logging.getLogger(__name__)


class CloudMember:
    """A cloud endpoint in a pool."""

    __slots__ = ("counters", "forwards_proto", "item", "policy", "preparing", "retired")

    def __init__(self, item: CloudEndpointItem) -> None:
        """Serve as this row says."""
        self.item = item
        self.counters = Counters()
        self.forwards_proto = ""
        self.policy: EndpointPolicy | None = None
        """Its Traffic Policy; None while it has none that can be carried out."""
        self.preparing: Preparing | None = None
        """Where requests wait for the first one."""
        self.retired = False

    def __repr__(self) -> str:
        """Show which it is."""
        return f"<CloudMember {self.id} {'gone' if self.retired else self.item.url}>"

    @property
    def id(self) -> str:
        """The endpoint's identifier."""
        return self.item.id

    @property
    def pooled(self) -> bool:
        """Whether it shares its URL."""
        return self.item.pooling_enabled

    @property
    def usable(self) -> bool:
        """False once it was deleted or has moved."""
        return not self.retired

    def open(self, visitor: "Visitor", sink: "Sink") -> "Pipe":
        """Raise NoVerdict: its policy let the visitor through, to nobody; SessionClosed when it is gone."""
        if self.retired:
            raise SessionClosed("the cloud endpoint is gone")
        raise NoVerdict("the traffic policy of a cloud endpoint gave no answer")

    def lead(self, endpoint: Endpoint) -> None:
        """Let an endpoint go by this one's identifier and texts."""
        endpoint.id = self.id
        endpoint.name, endpoint.forwards_to, endpoint.forwards_proto, endpoint.proxy_proto = "", "", "", 0
        endpoint.description, endpoint.metadata = self.item.description, self.item.metadata


def refuses(registry: "Registry", url: "Url", account_id: str, *, pooled: bool) -> bool:
    """Tell whether a cloud endpoint keeps an agent from this URL: not both share it, or schemes differ."""
    found = registry.beside(url, account_id)
    if found is None:
        return False
    shared = pooled and found.url == url
    return any(isinstance(each, CloudMember) and not (shared and each.pooled) for each in found.pool.members)


class CloudEndpoints:
    """All cloud endpoints that are online here."""

    def __init__(
        self,
        registry: "Registry",
        view: "View",
        ports: "Ports",
        claims: "Claims",
        tasks: "Tasks",
        *,
        lead: Callable[[Endpoint], None],
        below: Callable[[int], int],
        policies: "Policies",
    ) -> None:
        """Follow the view. ``lead`` lets an endpoint go by its oldest member."""
        self._registry = registry
        self._standing = StandingPorts(ports, registry, claims, tasks)
        self._tasks = tasks
        self._lead = lead
        self._below = below
        self._policies = policies
        self._known = view.known
        self._online: dict[str, tuple[CloudMember, Endpoint]] = {}
        self._waiting = Waiting(self._put_on, claims)
        view.on_change(self._changed)
        registry.on_room(self._has_room)

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<CloudEndpoints online={len(self._online)} waiting={len(self._waiting)}>"

    def _changed(self, item: "ViewItem", _before: "ViewItem | None") -> None:
        """Hear of a row."""
        if isinstance(item, AuthorityItem | IpPolicyItem):
            for known, endpoint in list(self._online.values()):
                if known.policy is None and item.id in known.item.traffic_policy:
                    self._start_rule(known, endpoint)  # it was told of after who names it
        if not isinstance(item, CloudEndpointItem):
            return
        self._waiting.forget(item.id)
        member, endpoint = self._online.get(item.id, (None, None))
        if member is not None and endpoint is not None:
            if not item.gone and (item.url, item.binding) == (member.item.url, member.item.binding):
                member.item = item  # changed in place: visitors notice nothing but the change
                if endpoint.id == item.id:
                    member.lead(endpoint)
                self._start_rule(member, endpoint)
                return
            self._take_off(member, endpoint)
        if not item.gone:
            self._put_on(item)

    def _has_room(self, endpoint: Endpoint) -> None:
        """An internal endpoint is gone, or an edge's; or one that is online shares its URL now.

        A public URL of agents that is offline may be kept for them: when it is not, it is freed.
        """
        if endpoint.url.is_internal or endpoint.edge_id or endpoint.pool.members:
            self._waiting.try_again()

    def _put_on(self, item: CloudEndpointItem) -> None:
        try:
            url = parse_endpoint_url(item.url)
        except PortwayError as error:
            _log.error("cloud endpoint %s has a URL that cannot be read: %s", item.id, error)
            return
        member = CloudMember(item)
        if url.is_internal != (item.binding == "internal"):
            _log.error("cloud endpoint %s is %s, which %s cannot be", item.id, item.binding, item.url)
            return
        endpoint = self._registry.beside(url, item.account_id)
        if endpoint is None:
            endpoint = Endpoint(item.id, url, url.scheme, item.account_id, Pool(self._below))
            member.lead(endpoint)
            self._registry.add(endpoint)
        elif endpoint.url != url or not (item.pooling_enabled and _shared(endpoint)):
            self._waiting.add(item, f"cloud endpoint {item.id}")
            return
        member.counters = self._registry.members.take((url.scheme, item.id))
        endpoint.pool.add(member)
        self._online[item.id] = member, endpoint
        if url.scheme in HTTP:
            member.preparing = Preparing()
            rule(endpoint)
        self._start_rule(member, endpoint)
        if url.scheme == "tcp" and not url.is_internal:
            self._standing.open(url, item.id, lambda: not member.retired)

    def _start_rule(self, member: CloudMember, endpoint: Endpoint) -> None:
        """Let the policy that a row brings rule, as soon as it is compiled."""
        if member.policy is None or member.policy.text != member.item.traffic_policy:
            self._tasks.start(self._rule(member, endpoint), name=f"policy of {member.id}")
        else:
            rule(endpoint)

    async def _rule(self, member: CloudMember, endpoint: Endpoint) -> None:
        text, account = member.item.traffic_policy, member.item.account_id
        await self._known()
        try:
            compiled = await self._policies.compile(text, endpoint.url, account, cloud=True)
        except PortwayError as error:
            _log.error("the policy of cloud endpoint %s cannot be used: %s", member.id, error)
            compiled = None
        if member.retired or member.item.traffic_policy != text:
            return  # another change came meanwhile
        place = self._policies.place
        member.policy = None if compiled is None else place(compiled, endpoint.url, account, text)
        _stop_waiting(member, endpoint)

    def _take_off(self, member: CloudMember, endpoint: Endpoint) -> None:
        member.retired = True
        del self._online[member.id]
        self._registry.members.give_back((endpoint.scheme, member.id))
        endpoint.pool.remove(member)
        if endpoint.pool.members:
            if endpoint.id == member.id:
                self._lead(endpoint)
            _stop_waiting(member, endpoint)
            return
        _stop_waiting(member, endpoint)
        self._registry.remove(endpoint)
        if endpoint.scheme == "tcp" and not endpoint.url.is_internal:
            self._standing.close(endpoint.url)


def _stop_waiting(member: CloudMember, endpoint: Endpoint) -> None:
    """Let what a member has now rule over an endpoint, and over those that have waited for it."""
    preparing, member.preparing = member.preparing, None
    rule(endpoint)
    if preparing is not None:
        preparing.ready()


def _shared(endpoint: Endpoint) -> bool:
    """Tell whether everybody at an endpoint shares it."""
    return all(getattr(each, "pooled", False) for each in endpoint.pool.members)
