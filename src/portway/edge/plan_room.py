"""Whether a plan has room for one more endpoint of an agent: among all that are online, and at one URL.

Endpoints are counted by their identifiers, so one that is bound again, or on several legs of its agent, is
one. Labelled tunnels are no endpoints, and cloud endpoints are counted by the control plane; in a pool they
take their place as all others do.
"""

from typing import TYPE_CHECKING

from portway.errors import Error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portway.edge.permits import Owner
    from portway.edge.registry import Endpoint
    from portway.model.plan import Plan


class PlanRoom:
    """The endpoints of agents that are online, counted for each account."""

    def __init__(self, plans: "Mapping[str, Plan]") -> None:
        """Go by the limits of these plans; a plan that is not named has none."""
        self._plans = plans
        self._online: dict[str, dict[str, int]] = {}

    def __repr__(self) -> str:
        """Show how many accounts have endpoints."""
        return f"<PlanRoom {len(self._online)} accounts>"

    def check(self, owner: "Owner", bind_id: str, shared: "Endpoint | None") -> None:
        """Refuse an endpoint for which there is no room; ``shared`` is what it would join.

        Raises Error 18020 or 18021.
        """
        plan = self._plans.get(owner.plan)
        if plan is None:
            return
        online = self._online.get(owner.account_id, {})
        if plan.endpoints is not None and bind_id not in online and len(online) >= plan.endpoints:
            raise Error(f"The plan of this account allows {plan.endpoints} endpoints at once.", 18021)
        if plan.pool_size is None or shared is None:
            return
        members = {each.id for each in shared.pool.members} - {bind_id}
        if len(members) >= plan.pool_size:
            raise Error(f"The plan of this account allows pools of {plan.pool_size} endpoints.", 18020)

    def take(self, owner: "Owner", bind_id: str) -> None:
        """Count an endpoint, or one leg more of it."""
        online = self._online.setdefault(owner.account_id, {})
        online[bind_id] = online.get(bind_id, 0) + 1

    def give_back(self, owner: "Owner", bind_id: str) -> None:
        """Count it no more, or one leg less."""
        online = self._online[owner.account_id]
        online[bind_id] -= 1
        if not online[bind_id]:
            del online[bind_id]
            if not online:
                del self._online[owner.account_id]
