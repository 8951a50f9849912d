"""What the control plane asks of the data plane. ``server`` joins it to the channel, tests to a fake."""

from typing import TYPE_CHECKING, Protocol

import msgspec

from portway.errors import Error

if TYPE_CHECKING:
    from portway.model.event_target import Target
    from portway.policy.engine import Policy


class Agents(Protocol):
    """The agents that are online, wherever they are connected."""

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Have an agent "stop", "restart" or "update" itself, and return when it says that it does.

        ``version`` is for update, "" meaning the newest. Raises Error: 804 to 806 when the agent does
        not do that, 807 to 809 when it failed, 810 when nobody knows what it did. Cancelled: it may
        have done it.
        """
        ...


class Issuers(Protocol):
    """Who asks the issuers of identities that policies name."""

    async def check(self, policy: "Policy | None") -> None:
        """Raise PolicyError 2227 for a policy that names one which is none."""
        ...


class NoIssuers:
    """Nobody asks them, as when ``portway admin`` works on the store alone."""

    async def check(self, policy: "Policy | None") -> None:
        """Believe what a policy says."""


class NoAgents:
    """No data plane to ask, as when ``portway admin`` works on the store alone."""

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Refuse. Raises Error 810."""
        raise Error("No agent can be reached from here.", 810)


class Delivered(msgspec.Struct, frozen=True):
    """How a destination fares. ``waiting`` events are still to be sent."""

    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    last_error: str = ""


class Deliveries(Protocol):
    """Whoever sends events to their destinations."""

    def state(self, destination_id: str, kind: str) -> Delivered:
        """Say how a destination fares, which has a target of this kind."""
        ...

    async def test(self, account_id: str, destination_id: str, target: "Target") -> str:
        """Send one event; return its identifier. Raises Error 5132 with what the receiver said."""
        ...


class NoDeliveries:
    """Nobody sends events, as when ``portway admin`` works on the store alone."""

    def state(self, destination_id: str, kind: str) -> Delivered:
        """Say that nothing was sent."""
        return Delivered()

    async def test(self, account_id: str, destination_id: str, target: "Target") -> str:
        """Refuse. Raises Error 5132."""
        raise Error("Nobody sends events here.", 5132)
