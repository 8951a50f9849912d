"""What the control plane asks of the data plane. ``server`` joins it to the channel, tests to a fake."""

from typing import Protocol

from portway.errors import Error


class Agents(Protocol):
    """The agents that are online, wherever they are connected."""

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Have an agent "stop", "restart" or "update" itself, and return when it says that it does.

        ``version`` is for update, "" meaning the newest. Raises Error: 804 to 806 when the agent does
        not do that, 807 to 809 when it failed, 810 when nobody knows what it did. Cancelled: it may
        have done it.
        """
        ...


class NoAgents:
    """No data plane to ask, as when ``portway admin`` works on the store alone."""

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Refuse. Raises Error 810."""
        raise Error("No agent can be reached from here.", 810)
