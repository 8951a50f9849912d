"""The controller's way to the agents: by its channel to the worker, which knows their sessions."""

from typing import TYPE_CHECKING, Final

from portway.control.ports import NoAgents
from portway.errors import Error
from portway.server.directory import COMMAND

if TYPE_CHECKING:
    from portway.server.channel import Channel

COMMAND_TIMEOUT: Final = 15.0
"""Seconds for a command: an agent has ten for its answer, the rest is the way there and back."""


class RemoteAgents:
    """The control plane's ``Agents``. Its channel is set once it stands."""

    def __init__(self) -> None:
        """Reach nobody yet."""
        self.channel: Channel | None = None

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Have an agent do something; see ``control/ports.py``. Raises Error."""
        if self.channel is None:
            return await NoAgents().command(session_id, what, version)
        order = {"session_id": session_id, "what": what, "version": version}
        try:
            await self.channel.call(COMMAND, order, dict[str, str], timeout=COMMAND_TIMEOUT)
        except Error as error:
            if error.code != "ERR_NGROK_128":
                raise
            raise Error("Contact with the agent was lost; what it did is not known.", 810) from error
