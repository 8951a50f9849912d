"""Requests of the data plane for sessions: what is sent, and what comes of the answers."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from portway.model.identity import Browser, Person, SessionOpening, SessionRefresh, Tokens, VisitorSession
from portway.server.channel import arguments
from portway.server.identity_link import Found, IdentityLink

PERSON = Person("google", "u", "ada")
SESSION = VisitorSession(
    "appsess_1", "ac_1", "appusr_1", "r", "c", "s", PERSON, Tokens("a"), 1.0, 2.0, 3.0, 4.0
)
OPENING = SessionOpening("ac_1", "ep_1", "u", "r", "c", "s", "h", PERSON, Tokens("a"), Browser())


class FakeLink:
    """Answers as a controller would, over JSON."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[str, bytes]] = []

    async def ask(self, do: str, args: Mapping[str, object], into: type[Any]) -> Any:
        self.asked.append((do, msgspec.json.encode(args)))
        return arguments(msgspec.Raw(msgspec.json.encode(self.answer)), into)


async def test_each_question_is_one_request() -> None:
    link = FakeLink(Found(SESSION))
    store = IdentityLink(cast("Any", link))
    refresh = SessionRefresh("appsess_1", "ac_1", "s", PERSON, Tokens("b"))
    assert await store.find_session("h") == SESSION
    assert await store.refresh_session(refresh) == SESSION
    link.answer = Found()
    assert await store.find_session("h") is None
    link.answer = SESSION
    assert await store.open_session(OPENING) == SESSION
    link.answer = None
    await store.use_session("appsess_1", 5.0)
    await store.close_session("appsess_1")
    names = [name for name, _ in link.asked]
    assert names == [
        "find_session", "refresh_session", "find_session", "open_session", "use_session", "close_session",
    ]  # fmt: skip
    assert msgspec.json.decode(link.asked[3][1], type=SessionOpening) == OPENING
    assert msgspec.json.decode(link.asked[1][1], type=SessionRefresh) == refresh
