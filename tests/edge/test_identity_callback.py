"""What providers send back: who answers, what is believed, what becomes of errors."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.kit.identity import ISSUER, Place, location

from portway.edge.identity_callback import Callback
from portway.net.tasks import Tasks


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    async with Tasks() as tasks:
        yield Place(tasks)


async def began(place: Place) -> dict[str, str]:
    """Begin a login and sign in; return the query of the way back."""
    return place.provider.authorize(await place.browser().to_provider("/x"))


async def test_the_way_back_leads_to_the_endpoint_with_a_code_of_ours(place: Place) -> None:
    done = await place.callback(await began(place))
    assert done.status == 303
    assert location(done).startswith("https://app.example/ngrok/login/complete?code=")
    assert "code-1" not in location(done)
    assert (b"referrer-policy", b"no-referrer") in done.headers


@pytest.mark.parametrize("state", ["", "x", "A" * 9000, "ü", None])
async def test_a_state_that_is_none_of_ours_is_refused(place: Place, state: str | None) -> None:
    query = await began(place)
    query.pop("state")
    refused = await place.callback(query if state is None else query | {"state": state})
    assert refused.code == (3108 if state else 3107)
    assert refused.status == 400
    assert len(place.provider.asked) == 1  # the discovery document: no code was tried


async def test_a_state_that_was_changed_is_refused(place: Place) -> None:
    query = await began(place)
    state = query["state"]
    for number in (0, 20, len(state) // 2, len(state) - 1):
        other = "A" if state[number] != "A" else "B"
        changed = state[:number] + other + state[number + 1 :]
        assert (await place.callback(query | {"state": changed})).code == 3108


@pytest.mark.parametrize("issuer", ["https://other.example", "", f"{ISSUER}/"])
async def test_another_issuer_is_refused(place: Place, issuer: str) -> None:
    """RFC 9207: a code of one provider is never shown to another."""
    refused = await place.callback(await began(place) | {"iss": issuer})
    assert refused.code == 3303
    assert len(place.provider.asked) == 1


async def test_who_says_that_it_names_itself_must(place: Place) -> None:
    query = await began(place)
    del query["iss"]
    assert (await place.callback(query)).code == 3303
    place.provider.document["authorization_response_iss_parameter_supported"] = None
    place.identities = place.made()
    query = await began(place)
    del query["iss"]
    assert (await place.callback(query)).status == 303


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
    query = await began(place)
    refused = await place.callback({"state": query["state"], "iss": ISSUER, "error": error})
    assert (refused.code, refused.status) == (code, status)
    assert b'href="https://app.example/ngrok/login?redirect_path=%2Fx"' in refused.body
    assert error.encode() not in refused.body


async def test_neither_a_code_nor_an_error_is_nothing(place: Place) -> None:
    query = await began(place)
    assert (await place.callback({"state": query["state"], "iss": ISSUER})).code == 3107


async def test_parameters_do_not_stand_twice(place: Place) -> None:
    query = await began(place)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    for doubled in (f"{text}&code=other", f"{text}&state=x", "&".join(f"a{n}=1" for n in range(99))):
        assert (await Callback(place.identities, doubled, html=False).answer()).code == 3108


async def test_after_a_restart_the_visitor_is_told_to_begin_anew(place: Place) -> None:
    query = await began(place)
    place.identities = place.made()
    refused: Any = await place.callback(query)
    assert refused.code == 3106
    assert b"https://app.example/ngrok/login" in refused.body
