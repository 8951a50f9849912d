"""What the service may tell an agent to do: stop, restart or update itself.

The application decides, in its handler::

    def handler(session: AgentSession, request: RPCRequest) -> None:
        if request.method == "UpdateAgent":
            raise RuntimeError("updates come with the next deployment")


    agent = Agent(rpc_handler=handler)

Without a handler the agent says that it does none of this. A handler that raises refuses, and its text
goes back to whoever asked. One that returns has agreed: after StopAgent and RestartAgent the session
then ends for good, its endpoints too, and what follows is the application's to do. After RestartAgent
the service keeps the endpoints' names for a while, as it does for any agent that may come back.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from portway.errors import MessageError
from portway.net.tasks import told_to_end
from portway.session import StreamType
from portway.wire.messages import NO_CALLBACK, CommandResp, Update, decode

if TYPE_CHECKING:
    from portway.agent.info import AgentSession

RPCMethod = Literal["StopAgent", "RestartAgent", "UpdateAgent"]

METHODS: Final[Mapping[int, RPCMethod]] = {
    StreamType.STOP: "StopAgent",
    StreamType.RESTART: "RestartAgent",
    StreamType.UPDATE: "UpdateAgent",
}
"""The request types of the wire and what they are called."""


@dataclass(frozen=True, slots=True)
class RPCRequest:
    """What the service asks for. ``version`` is for UpdateAgent: "" means the newest one.

    ``permit_major_version`` says whether the update may go beyond the major version.
    """

    method: RPCMethod
    version: str = ""
    permit_major_version: bool = False


RPCHandler: TypeAlias = Callable[["AgentSession", RPCRequest], Awaitable[object] | object]
"""Called on the agent's event loop with each command; it may be a coroutine function."""


async def obey(
    handler: RPCHandler | None, session: "AgentSession", kind: int, body: bytes, logger: logging.Logger
) -> CommandResp:
    """Have the handler carry out a command; return the answer, whose error is "" when it agreed."""
    if handler is None:
        return CommandResp(error=NO_CALLBACK)
    try:
        update = decode(Update, body) if kind == StreamType.UPDATE else Update()
    except MessageError as error:
        return CommandResp(error=str(error))
    request = RPCRequest(METHODS[kind], update.version, update.permit_major_version)
    logger.info("the service asks for %s", request.method)
    try:
        await _call(handler, session, request)
    except Exception as error:  # noqa: BLE001 - whatever the application raises is its answer
        logger.warning("%s was refused: %s", request.method, error)
        return CommandResp(error=str(error) or type(error).__name__)
    return CommandResp()


async def _call(handler: RPCHandler, session: "AgentSession", request: RPCRequest) -> None:
    """Call the handler. What it cancelled itself is a failure of its own: we were not told to end."""
    try:
        outcome = handler(session, request)
        if inspect.isawaitable(outcome):
            await outcome
    except asyncio.CancelledError as error:
        if told_to_end(error):
            raise
        raise RuntimeError("the handler was cancelled") from error
