"""Issuers that policies name are asked when the policy comes."""

import asyncio
import json
from typing import Any

import pytest
from tests.kit.identity import ISSUER, Clock, FakeProvider, answer
from tests.kit.pipes import turns

from portway.edge.issuers import AT_ONCE, REMEMBERED, Issuers
from portway.net.web_client import WebAnswer, WebFailure, WebRequest
from portway.policy.compiler import Target, compile_policy
from portway.policy.engine import Policy
from portway.policy.problem import PolicyError

DOCUMENT = "/.well-known/openid-configuration"


def policy(*issuers: str) -> Policy:
    actions = [
        {"type": "openid-connect", "config": {
            "issuer_url": each, "client_id": "a", "client_secret": "b", "auth_id": str(number),
        }}
        for number, each in enumerate(issuers)
    ]  # fmt: skip
    rule = {"actions": actions or [{"type": "deny"}]}
    return compile_policy(json.dumps({"on_http_request": [rule]}), Target("https"))


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(Clock())


async def test_who_is_right_is_asked_once_an_hour(provider: FakeProvider) -> None:
    issuers = Issuers(provider, provider.clock)
    for _ in range(2):
        await issuers.check(policy(ISSUER))
    assert [each.url for each in provider.asked] == [ISSUER + DOCUMENT]
    provider.clock.now += REMEMBERED + 1
    await issuers.check(policy(ISSUER))
    assert len(provider.asked) == 2
    assert repr(issuers) == "<Issuers right=1>"


@pytest.mark.row("P-52")
@pytest.mark.parametrize(
    "given",
    [
        answer(404, {}),
        answer(200, b"<html>"),
        answer(200, []),
        answer(200, {"issuer": ISSUER}),
        answer(200, {"issuer": "https://another.example"}),
    ],
)
async def test_who_answers_as_no_issuer_does_is_refused(provider: FakeProvider, given: Any) -> None:
    provider.answers[DOCUMENT] = given
    with pytest.raises(PolicyError, match=ISSUER) as refused:
        await Issuers(provider, provider.clock).check(policy(ISSUER))
    assert [(each.code, each.line) for each in refused.value.problems] == [(2227, 1)]


@pytest.mark.parametrize(
    "given", [answer(503, {}), answer(429, {}), WebFailure("connect", "gone"), WebFailure("timeout", "slow")]
)
async def test_who_cannot_be_asked_is_not(provider: FakeProvider, given: Any) -> None:
    """The outage of a provider takes no endpoints with it."""
    provider.answers[DOCUMENT] = given
    await Issuers(provider, provider.clock).check(policy(ISSUER))
    assert len(provider.asked) == 1


async def test_nobody_else_is_asked(provider: FakeProvider) -> None:
    issuers = Issuers(None, provider.clock)
    await issuers.check(policy(ISSUER))  # there is nobody yet who could ask
    issuers.web = provider
    await issuers.check(None)
    await issuers.check(policy())
    assert provider.asked == []


async def test_issuers_that_hang_leave_room_for_others(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand agents that bring one policy at a time, few ask, and the others hear of it."""
    under_way: list[int] = []
    may = asyncio.Event()
    asked = provider.request

    async def request(wanted: WebRequest) -> WebAnswer:
        under_way.append(1)
        await may.wait()
        return await asked(wanted)

    monkeypatch.setattr(provider, "request", request)
    issuers = Issuers(provider, provider.clock)
    checks = [asyncio.ensure_future(issuers.check(policy(ISSUER))) for _ in range(3 * AT_ONCE)]
    await turns(20)
    assert len(under_way) == AT_ONCE
    may.set()
    await asyncio.gather(*checks)
    assert len(under_way) == AT_ONCE


async def test_who_gets_no_turn_is_believed(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.edge.issuers.AT_ONCE", 0)
    monkeypatch.setattr("portway.edge.issuers.TIMEOUT", 0.01)
    await Issuers(provider, provider.clock).check(policy(ISSUER))
    assert provider.asked == []
