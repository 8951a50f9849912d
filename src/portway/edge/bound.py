"""One bind of one session: what is online, and what allowed it."""

import msgspec

from portway.edge.member import SessionMember
from portway.edge.permits import FREE, Owner, Permit
from portway.edge.registry import Endpoint
from portway.model.ids import sibling_id
from portway.model.url import Url
from portway.wire.messages import Bind


class Bound(msgspec.Struct, eq=False):
    """One bind of one session."""

    bind: Bind
    owner: Owner
    url: Url
    member: SessionMember
    endpoint: Endpoint
    name: str
    description: str
    metadata: str
    online_at: float
    permit: Permit = FREE
    drawn: bool = False
    """The service chose the address, now or when the endpoint was first bound."""

    @property
    def id(self) -> str:
        """The bind id, which is also the endpoint's."""
        return self.member.id

    @property
    def tunnel_id(self) -> str:
        """The id under which the bind is patched."""
        return sibling_id("tn", self.id)
