"""What providers send back: who answers, what is believed, what becomes of errors."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.kit.identity import ISSUER, Browser, Place, answer, location

from portway.net.tasks import Tasks
from portway.policy.identity import NotSignedIn


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    async with Tasks() as tasks:
        yield Place(tasks)


async def began(place: Place) -> tuple[Browser, dict[str, str]]:
    """Begin a login and sign in; return the browser and the query of the way back."""
    browser = place.browser()
    return browser, place.provider.authorize(await browser.to_provider("/x"))


async def finished(place: Place, browser: Browser, query: dict[str, str]) -> Any:
    """Come back to the endpoint; return what is answered there."""
    result = await browser.visit(place.onward(query))
    assert isinstance(result, NotSignedIn)
    return result.answer


async def test_the_way_back_leads_to_the_endpoint_with_a_code_of_ours(place: Place) -> None:
    _, query = await began(place)
    done = place.callback(query)
    assert done.status == 303
    assert len(place.provider.asked) == 1  # the discovery document: the endpoint is who spends the code
    assert location(done).startswith("https://app.example/ngrok/login/complete?code=")
    assert "code-1" not in location(done)
    assert (b"referrer-policy", b"no-referrer") in done.headers


@pytest.mark.parametrize("state", ["", "x", "A" * 9000, "ü", None])
async def test_a_state_that_is_none_of_ours_is_refused(place: Place, state: str | None) -> None:
    _, query = await began(place)
    query.pop("state")
    refused = place.callback(query if state is None else query | {"state": state})
    assert refused.code == (3108 if state else 3107)
    assert refused.status == 400


async def test_a_state_that_was_changed_is_refused(place: Place) -> None:
    _, query = await began(place)
    state = query["state"]
    for number in (0, 20, len(state) // 2, len(state) - 1):
        other = "A" if state[number] != "A" else "B"
        changed = state[:number] + other + state[number + 1 :]
        assert place.callback(query | {"state": changed}).code == 3108


@pytest.mark.parametrize("issuer", ["https://other.example", "", f"{ISSUER}/"])
async def test_another_issuer_is_refused(place: Place, issuer: str) -> None:
    """RFC 9207: a code of one provider is never shown to another."""
    browser, query = await began(place)
    refused = await finished(place, browser, query | {"iss": issuer})
    assert refused.code == 3303
    assert len(place.provider.asked) == 1


async def test_who_says_that_it_names_itself_must(place: Place) -> None:
    browser, query = await began(place)
    del query["iss"]
    assert (await finished(place, browser, query)).code == 3303
    place.provider.document["authorization_response_iss_parameter_supported"] = None
    place.identities = place.made()
    browser, query = await began(place)
    del query["iss"]
    assert location(await finished(place, browser, query)) == "/x"


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        ("access_denied", 3101, 403),
        ("consent_required", 3114, 403),
        ("invalid_scope", 3126, 502),
        ("server_error", 3166, 502),
        ("temporarily_unavailable", 3165, 503),
        ("never heard of it", 3112, 502),
    ],
)
async def test_errors_have_pages_with_a_way_on(place: Place, error: str, code: int, status: int) -> None:
    browser, query = await began(place)
    refused = await finished(place, browser, {"state": query["state"], "iss": ISSUER, "error": error})
    assert (refused.code, refused.status) == (code, status)
    assert b'href="/ngrok/login?redirect_path=%2Fx"' in refused.body
    assert error.encode() not in refused.body
    assert len(place.provider.asked) == 1  # no code was tried


async def test_an_error_is_told_to_nobody_but_the_browser_that_began(place: Place) -> None:
    _, query = await began(place)
    refused = await finished(place, place.browser(), {"state": query["state"], "error": "access_denied"})
    assert refused.code == 3121


async def test_neither_a_code_nor_an_error_is_nothing(place: Place) -> None:
    browser, query = await began(place)
    assert (await finished(place, browser, {"state": query["state"], "iss": ISSUER})).code == 3107


async def test_a_code_of_any_length_is_not_handed_on(place: Place) -> None:
    browser, query = await began(place)
    assert place.callback(query | {"code": "x" * 4097}).code == 3108
    longest = query | {"code": "x" * 4096, "error_description": "ü" * 9000, "iss": ISSUER}
    place.provider.answers["/token"] = answer(400, {"error": "invalid_grant"})
    assert (await finished(place, browser, longest)).code == 3122


async def test_parameters_do_not_stand_twice(place: Place) -> None:
    _, query = await began(place)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    for doubled in (f"{text}&code=other", f"{text}&state=x", "&".join(f"a{n}=1" for n in range(99))):
        assert place.callback(doubled).code == 3108
