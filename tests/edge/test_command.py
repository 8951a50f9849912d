"""Commands to agents: who is asked, and what every kind of answer and silence becomes."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.kit.agent import Agent
from tests.kit.service import running_worker

from portway.edge import command
from portway.edge.gateway import Gateway
from portway.errors import Error, SessionClosed
from portway.session import Session, StreamType
from portway.wire.messages import AuthExtra

WILLING = {"RestartUnsupportedError": "", "StopUnsupportedError": "", "UpdateUnsupportedError": ""}
COMMANDS = [("restart", 804, 808), ("stop", 805, 807), ("update", 806, 809)]


class Obedient(Agent):
    """An agent whose answer to commands is the test's; None ends the stream without one."""

    reply: bytes | None = b'{"Error":""}'
    vanishes = False
    silent = False

    async def on_request(self, session: Session, kind: int, body: bytes, /) -> bytes | None:
        """Remember, and answer as told."""
        self.requests.put_nowait((kind, json.loads(body)))
        if self.vanishes:
            session.abort(SessionClosed("gone"))
        if self.silent:
            await asyncio.Event().wait()
        return self.reply


@asynccontextmanager
async def obedient(**said: Any) -> AsyncGenerator[tuple[Obedient, Gateway, str]]:
    """Connect such an agent, which says of itself what it is told to; give it, the gateway, its session."""
    async with running_worker() as service:
        assert service.worker.gateway is not None
        agent = Obedient(service.agent_port, service.certs.ca)
        await agent.connect()
        answer = await agent.auth(**(WILLING | said))
        try:
            yield agent, service.worker.gateway, answer["Extra"]["AgentSessionID"]
        finally:
            await agent.leave()


async def refusal(gateway: Gateway, session: str, what: str) -> Error:
    with pytest.raises(Error) as caught:
        await gateway.command(session, what)
    return caught.value


@pytest.mark.row("S28")
async def test_an_agent_is_asked_and_its_answer_returned() -> None:
    async with obedient() as (agent, gateway, session):
        await gateway.command(session, "stop")
        assert await agent.request() == (StreamType.STOP, {})
        await gateway.command(session, "restart")
        assert await agent.request() == (StreamType.RESTART, {})
        await gateway.command(session, "update", "3.9.1")
        assert await agent.request() == (
            StreamType.UPDATE,
            {"Version": "3.9.1", "PermitMajorVersion": False},
        )


@pytest.mark.row("S28", "G-176")
@pytest.mark.parametrize(("what", "unsupported", "_failed"), COMMANDS)
@pytest.mark.parametrize("said", ["not on this machine", None])
async def test_an_agent_that_does_not_do_it_is_not_asked(
    what: str, unsupported: int, _failed: int, said: str | None
) -> None:
    async with obedient(**{f"{what.title()}UnsupportedError": said}) as (agent, gateway, session):
        error = await refusal(gateway, session, what)
        assert error.code == f"ERR_NGROK_{unsupported}"
        assert (said or "does not know") in error.message
        assert agent.requests.empty()


@pytest.mark.row("G-175")
@pytest.mark.parametrize(("what", "_unsupported", "failed"), COMMANDS)
async def test_a_failure_is_told_with_the_agents_words(what: str, _unsupported: int, failed: int) -> None:
    async with obedient() as (agent, gateway, session):
        agent.reply = b'{"Error":"no\\r\\n\\r\\nERR_NGROK_999\\r\\n"}'
        error = await refusal(gateway, session, what)
        assert error.code == f"ERR_NGROK_{failed}"
        assert error.message.endswith(": no")


@pytest.mark.parametrize("reply", [None, b"not JSON", b'{"Error": 5}'])
async def test_an_answer_that_cannot_be_read_says_nothing_about_the_outcome(reply: bytes | None) -> None:
    async with obedient() as (agent, gateway, session):
        agent.reply = reply
        assert (await refusal(gateway, session, "stop")).code == "ERR_NGROK_810"


async def test_an_agent_that_goes_instead_of_answering() -> None:
    async with obedient() as (agent, gateway, session):
        agent.vanishes = agent.silent = True
        assert (await refusal(gateway, session, "stop")).code == "ERR_NGROK_810"


async def test_an_agent_that_never_answers_is_not_waited_for() -> None:
    async with obedient() as (agent, gateway, session):
        agent.silent = True
        [handler] = gateway.legs.values()
        assert handler.session is not None
        with pytest.raises(Error, match=r"no answer within 0\.05 s") as caught:
            await command.send(handler.session, AuthExtra(stop_unsupported_error=""), "stop", timeout=0.05)
        assert caught.value.code == "ERR_NGROK_810"
        agent.silent = False
        await gateway.command(session, "stop")  # the session is none the worse for it


async def test_a_session_that_is_over_and_a_command_that_does_not_exist() -> None:
    async with obedient() as (agent, gateway, session):
        assert (await refusal(gateway, "ts_unknown", "stop")).code == "ERR_NGROK_810"
        assert (await refusal(gateway, session, "dance")).code == ""
        [handler] = gateway.legs.values()
        handler.session = None
        assert (await refusal(gateway, session, "stop")).code == "ERR_NGROK_810"
        assert agent.requests.empty()
