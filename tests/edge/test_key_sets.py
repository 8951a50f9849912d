"""Tests of key sets that policies name: when they are asked for, and when not."""

import asyncio
from typing import cast

import pytest
from tests.kit.fetching import fetching
from tests.kit.tokens import jwk, jwks, token
from tests.kit.web import Web, answered

from portway.edge import key_sets
from portway.edge.key_sets import KeySets
from portway.net.web_client import WebClient, WebFailure

URL = "https://issuer.example/keys"


class Set:
    """Key sets with a clock that is set."""

    def __init__(self, *keys: dict[str, object]) -> None:
        self.clock = 1000.0
        self.web = Web(answered(jwks(*(keys or (jwk("P-256", "k1"),)))))
        self.sets = KeySets(cast("WebClient", self.web), lambda: self.clock)

    async def kids(self, *kids: str, url: str = URL) -> list[str] | None:
        keys = await self.sets.keys(url, kids)
        return None if keys is None else [key.kid for key in keys]


async def test_a_set_is_asked_for_once_for_all_who_wait() -> None:
    made = Set()
    assert await asyncio.gather(*(made.kids("k1") for _ in range(5))) == [["k1"]] * 5
    made.clock += key_sets.FRESH - 1
    await made.kids("k1")
    assert len(made.web.asked) == 1
    made.clock += 1
    await made.kids("k1")
    assert len(made.web.asked) == 2


@pytest.mark.row("P-50")
async def test_a_key_that_is_not_known_is_asked_for_now_and_then() -> None:
    """Keys are rotated; but names that are invented do not make us ask for each of them."""
    made = Set()
    await made.kids("k1")
    made.web.answer = answered(jwks(jwk("P-256", "k2")))
    made.clock += key_sets.AGAIN
    assert await made.kids("k2") == ["k2"]
    for number in range(100):
        await made.kids(f"x{number}")
    assert len(made.web.asked) == 2


async def test_while_an_issuer_is_away_its_last_keys_hold() -> None:
    made = Set()
    await made.kids("k1")
    made.web.answer = WebFailure("connect", "away")
    made.clock += key_sets.FRESH
    assert await made.kids("k1") == ["k1"]
    assert await made.kids("k1") == ["k1"]
    assert len(made.web.asked) == 2
    made.clock += key_sets.STALE
    assert await made.kids("k1") is None


@pytest.mark.parametrize(
    "answer", [answered(b"no"), answered(b"{}"), answered(b"", 500), WebFailure("timeout", "slow")]
)
async def test_an_issuer_that_stalls_or_lies_is_not_asked_at_once_again(answer: object) -> None:
    made = Set()
    good, made.web.answer = made.web.answer, cast("WebFailure", answer)
    assert await made.kids("k1") is None
    assert await made.kids("k1") is None
    assert len(made.web.asked) == 1
    made.clock += key_sets.FAILED
    made.web.answer = good
    assert await made.kids("k1") == ["k1"]


async def test_sets_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_sets, "SETS", 2)
    made = Set()
    for name in "abc":
        await made.kids(url=f"https://{name}.example/")
    assert repr(made.sets) == "<KeySets 2>"


POLICY = f"""
on_http_request:
  - actions:
      - type: jwt-validation
        config:
          issuer: {{allow_list: [{{value: me}}]}}
          http: {{tokens: [{{type: jwt, method: header, name: authorization, prefix: "Bearer "}}]}}
          jws:
            allowed_algorithms: [ES256]
            keys: {{sources: {{additional_jkus: ["{URL}", "{URL}2"]}}}}
      - type: add-headers
        config: {{headers: {{x-who: "${{actions.ngrok.jwt_validation.tokens[0].payload.sub}}"}}}}
"""


@pytest.mark.row("P-50")
async def test_visitors_with_a_token_reach_the_upstream_and_others_do_not() -> None:
    made = Set()
    async with fetching(POLICY, {"keys": made.sets.fetch}) as (on, _):
        client = await on.stand.visit()
        client.get("/", f"Authorization: Bearer {token({'iss': 'me', 'sub': 'ada'})}")
        stream = await on.stand.agent.stream()
        assert b"x-who: ada" in await stream.heads()
        stream.ok()
        assert (await client.answer())[0] == 200
        assert [asked.url for asked in made.web.asked] == [URL]
        client.get("/", f"Authorization: Bearer {token({'iss': 'you', 'sub': 'ada'})}")
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (401, "ERR_NGROK_3401")
        client.get("/")
        assert (await client.answer())[0] == 401
        assert on.stand.agent.streams == 1


async def test_without_any_key_set_nobody_enters() -> None:
    made = Set()
    made.web.answer = WebFailure("refused", "127.0.0.1")
    async with fetching(POLICY, {"keys": made.sets.fetch}) as (on, _):
        client = await on.stand.visit()
        client.get("/", f"Authorization: Bearer {token({'iss': 'me'})}")
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (401, "ERR_NGROK_3422")
