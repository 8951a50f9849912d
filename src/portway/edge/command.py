"""Asking an agent to stop, to restart or to update itself.

An agent says at Auth which of these it bears and, if not, why: one that does not is not even asked.
Its answer is an error text or none. Without an answer nobody knows what the agent did: that is told
apart (810) from a refusal (804 to 806) and from a failure (807 to 809).
"""

from dataclasses import dataclass
from typing import Final

from portway.errors import Error, MessageError, SessionClosed, StreamLimit, StreamReset
from portway.session import Session, StreamType
from portway.wire.messages import AuthExtra, Command, CommandResp, Update, decode, encode

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that an agent may take to answer."""

LOST: Final = 810


@dataclass(frozen=True, slots=True)
class _Order:
    kind: StreamType
    unsupported: int
    failed: int


_ORDERS: Final = {
    "restart": _Order(StreamType.RESTART, 804, 808),
    "stop": _Order(StreamType.STOP, 805, 807),
    "update": _Order(StreamType.UPDATE, 806, 809),
}


def lost_contact(why: object) -> Error:
    """Make the error of a command whose outcome nobody knows."""
    return Error(f"Contact with the agent was lost; what it did is not known: {why}", LOST)


async def send(
    session: Session, agent: AuthExtra, what: str, version: str = "", *, timeout: float = ANSWER_TIMEOUT
) -> None:
    """Have the agent stop, restart or update itself, and return when it says that it does.

    ``version`` is for update, "" meaning the newest. Raises Error: 804, 805 or 806 when this agent does
    not do that, 807, 808 or 809 when it tried and failed, 810 when there is no answer. Cancelled: the
    agent may have done it.
    """
    order = _ORDERS.get(what)
    if order is None:
        raise Error(f"There is no command {what!r} for agents.")
    reason = _unsupported(agent, what)
    if reason:
        raise Error(f"This agent cannot {what} remotely: {reason}", order.unsupported)
    request = Update(version=version) if what == "update" else Command()
    try:
        body = await session.call(order.kind, encode(request), timeout=timeout)
        answer = decode(CommandResp, body)
    except TimeoutError:
        raise lost_contact(f"no answer within {timeout:g} s") from None
    except (SessionClosed, StreamReset, StreamLimit, MessageError) as error:
        raise lost_contact(error) from error
    if answer.error:
        told = Error.parse(answer.error)
        raise Error(f"The agent failed to {what}: {told.message or told.code}", order.failed)


def _unsupported(agent: AuthExtra, what: str) -> str:
    """Return why an agent does not do this, "" if it does. One that says nothing is too old for it."""
    said = {
        "restart": agent.restart_unsupported_error,
        "stop": agent.stop_unsupported_error,
        "update": agent.update_unsupported_error,
    }[what]
    return "it does not know of remote commands" if said is None else said
