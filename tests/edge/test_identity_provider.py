"""Asking providers: those that are honest, and those that lie, stall or say too much."""

import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from joserfc import jwk
from tests.kit.identity import (
    CALLBACK,
    GOOGLE,
    ISSUER,
    OPENID,
    Clock,
    FakeProvider,
    Place,
    answer,
    code_of,
)

from portway.edge.identity_pages import LoginFailed
from portway.edge.identity_provider import WAITING, Metadata, ProviderClient, scopes_of
from portway.edge.identity_state import LoginState, new_root
from portway.model.identity import Tokens
from portway.net.tasks import Tasks
from portway.net.web_client import WebFailure
from portway.policy.identity import IdentitySettings, NotSignedIn, SignedIn
from portway.policy.providers import PROVIDERS

STATE = LoginState(
    0.0, "ac_1", "client", "all", "app.example oidc", "", "/ngrok", "https://app.example", "/", "bound",
    new_root(),
)  # fmt: skip


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    async with Tasks() as tasks:
        yield Place(tasks)


async def refused(place: Place, settings: IdentitySettings = OPENID) -> int:
    """Try to sign in; return the code of the page that says why not."""
    browser = place.browser()
    result = await browser.visit(await browser.back("/", settings), settings)
    assert isinstance(result, NotSignedIn)
    assert b"access" not in result.answer.body
    return result.answer.code


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://idp.example/token"},
        {"jwks_uri": "ftp://idp.example/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://idp.example/auth?a=\r\nSet-Cookie: b=c"},
        {"end_session_endpoint": "https://idp.example/out?ü=1"},
        {"authorization_endpoint": "https://ada@idp.example/auth"},
        {"authorization_endpoint": "//idp.example/auth"},
        {"userinfo_endpoint": 7},
    ],
)
async def test_a_document_that_cannot_be_trusted_is_refused(place: Place, document: dict[str, Any]) -> None:
    place.provider.document = document
    assert code_of(await place.browser().visit()) == 3160


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_a_document_that_is_none_is_refused(place: Place, body: bytes) -> None:
    place.provider.answers["/.well-known/openid-configuration"] = answer(200, body)
    assert code_of(await place.browser().visit()) == 3160


async def test_a_provider_that_stalls_is_asked_once_for_all(place: Place) -> None:
    place.provider.answers["/.well-known/openid-configuration"] = WebFailure("timeout", "no answer")
    for _ in range(20):
        assert code_of(await place.browser().visit()) == 3160
    assert len(place.provider.asked) == 1
    place.clock.now += 6
    place.provider.answers.clear()
    assert code_of(await place.browser().visit()) == 0


async def test_documents_are_remembered_and_outlive_an_outage(place: Place) -> None:
    await place.browser().sign_in()
    first = len(place.provider.asked)
    await place.browser().sign_in()
    assert [urlsplit(each.url).path for each in place.provider.asked[first:]] == ["/token", "/me"]
    place.clock.now += 3601
    place.provider.answers["/.well-known/openid-configuration"] = answer(500, {})
    assert code_of(await place.browser().visit()) == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"aud": "somebody else"},
        {"aud": ["portway", "other"]},
        {"azp": "other"},
        {"nonce": "of another login"},
        {"exp": 1},
        {"at_hash": "AAAA"},
        {"sub": "somebody else"},
    ],
)
async def test_a_lying_id_token_is_refused(place: Place, claims: dict[str, Any]) -> None:
    place.provider.claims = claims
    assert await refused(place) == 3164


async def test_another_key_s_signature_is_refused(place: Place) -> None:
    place.provider.key = jwk.generate_key("EC", "P-256", {"kid": "one"})
    assert await refused(place) == 3164


async def test_keys_change_and_a_flood_of_unknown_ones_asks_rarely(place: Place) -> None:
    await place.browser().sign_in()
    fresh = jwk.generate_key("EC", "P-256", {"kid": "two"})
    place.provider.key, place.provider.header = fresh, {"alg": "ES256", "kid": "two"}
    place.provider.keys = [fresh.as_dict(private=False)]
    for _ in range(5):
        assert await refused(place) == 3164  # within half a minute nobody asks again
    place.clock.now += 31
    await place.browser().sign_in()
    asked = [each for each in place.provider.asked if each.url.endswith("/keys")]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ({"id_token": ""}, 3160),
        ({"id_token": "x" * 20_000}, 3160),
        ({"access_token": "x" * 20_000}, 3160),
        ({"access_token": "a\r\nX: y"}, 3160),
        ({"access_token": 7}, 3160),
        ({"access_token": ""}, 3160),
        ({"error": "invalid_grant"}, 3122),
        ({"error": "invalid_client"}, 3125),
        ({"error": "invalid_scope"}, 3126),
        ({"error": "redirect_uri_mismatch"}, 3115),
        ({"error": "whatever"}, 3164),
    ],
)
async def test_what_cannot_be_used_of_a_token_endpoint(
    place: Place, token: dict[str, Any], code: int
) -> None:
    place.provider.token = token
    assert await refused(place) == code


@pytest.mark.parametrize(
    ("path", "given", "code"),
    [
        ("/token", answer(500, {}), 3164),
        ("/token", answer(429, {}), 3161),
        ("/token", answer(429, {}, ("Retry-After", "3600")), 3162),
        ("/token", answer(200, b"<html>"), 3160),
        ("/token", WebFailure("length", "too long"), 3160),
        ("/keys", answer(404, {}), 3160),
        ("/keys", answer(200, {"keys": "none"}), 3164),
        ("/me", answer(403, {}), 3118),
        ("/me", answer(503, {}), 3167),
        ("/me", answer(200, b"eyJ"), 3160),
        ("/me", answer(200, {"sub": "somebody else"}), 3164),
    ],
)
async def test_trouble_has_its_code(place: Place, path: str, given: Any, code: int) -> None:
    place.provider.answers[path] = given
    assert await refused(place) == code


async def test_claims_inject_nothing(place: Place) -> None:
    place.provider.person |= {"name": "Ada\r\nx-admin: yes\x00" + "n" * 999, "email": "a@b.example\r\nx: y"}
    browser = place.browser()
    await browser.sign_in()
    ((_, session),) = place.store.sessions.values()
    assert session.person.email == ""
    assert "\r" not in session.person.name
    assert "\n" not in session.person.name
    assert len(session.person.name) <= 255


async def test_the_secret_goes_where_the_provider_takes_it(place: Place) -> None:
    await place.browser().sign_in()
    request = next(each for each in place.provider.asked if each.url.endswith("/token"))
    assert dict(request.headers)["Authorization"] == "Basic cG9ydHdheTpzM2NyZXQ="
    assert b"client_secret" not in request.body
    place.identities = place.made()
    place.provider.asked.clear()
    place.provider.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await place.browser().sign_in()
    request = next(each for each in place.provider.asked if each.url.endswith("/token"))
    assert "Authorization" not in dict(request.headers)
    assert parse_qs(request.body.decode())["client_secret"] == ["s3cret"]


async def test_what_a_policy_adds_is_asked_for(place: Place) -> None:
    settings = replace(OPENID, scopes=("groups", "email"), parameters=(("hd", "a b&c"),))
    query = dict(parse_qsl(urlsplit(await place.browser().to_provider("/", settings)).query))
    assert query["scope"] == "openid email profile groups"
    assert query["hd"] == "a b&c"
    assert scopes_of(GOOGLE) == ("openid", "email", "profile")


GITHUB = IdentitySettings("oauth", "github", "https://github.com", "id", "s3cret")


class GitHub:
    """GitHub's answers, and those of a provider like it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "/login/oauth/access_token": {"access_token": "gho_1", "token_type": "bearer"},
            "/user": {"id": 7, "login": "ada", "name": None, "email": "public@example.com"},
            "/user/emails": [
                {"email": "old@example.com", "primary": False, "verified": True},
                {"email": "ada@example.com", "primary": True, "verified": True},
            ],
            **answers,
        }
        self.asked: list[Any] = []

    async def request(self, request: Any) -> Any:
        self.asked.append(request)
        return answer(200, self.answers[urlsplit(str(request.url)).path.removeprefix("/api/v3")])


async def exchanged(web: GitHub, settings: IdentitySettings = GITHUB) -> tuple[Tokens, Any]:
    """Exchange a code."""
    client = ProviderClient(web, CALLBACK, Clock(), Clock())
    return await client.exchange(settings, STATE, "code")


async def test_github_tells_the_primary_verified_address() -> None:
    web = GitHub()
    tokens, person = await exchanged(web)
    assert tokens.access == "gho_1"
    assert (person.subject, person.email, person.name, person.username) == (
        "7",
        "ada@example.com",
        "ada",
        "ada",
    )
    assert [each.url for each in web.asked] == [
        "https://github.com/login/oauth/access_token",
        "https://api.github.com/user",
        "https://api.github.com/user/emails",
    ]


async def test_a_github_of_one_s_own_is_asked_below_its_base() -> None:
    web = GitHub()
    await exchanged(web, replace(GITHUB, issuer="https://git.example"))
    assert web.asked[1].url == "https://git.example/api/v3/user"


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"/user/emails": []}, 3109),
        ({"/user/emails": [{"email": "a@b.c", "primary": True, "verified": False}]}, 3109),
        ({"/login/oauth/access_token": {"error": "bad_verification_code"}}, 3122),
        ({"/user": {}}, 3160),
        ({"/user": []}, 3160),
    ],
)
async def test_what_github_does_not_say(answers: dict[str, Any], code: int) -> None:
    with pytest.raises(LoginFailed) as raised:
        await exchanged(GitHub(**answers))
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("name", "base", "path", "answer_of"),
    [
        ("facebook", "https://www.facebook.com", "/me", {"id": "9"}),
        ("amazon", "https://www.amazon.com", "/user/profile", {"user_id": "amzn1"}),
    ],
)
async def test_those_without_discovery_have_their_own_shapes(
    name: str, base: str, path: str, answer_of: dict[str, Any]
) -> None:
    token = {"access_token": "t", "expires_in": "3600"}
    said = {"name": "Ada", "email": "a@b.example"} | answer_of
    web = GitHub(**{path: said, "/oauth/access_token": token, "/auth/o2/token": token})
    tokens, person = await exchanged(web, IdentitySettings("oauth", name, base, "id", "s3cret"))
    assert (person.provider, person.email, person.name) == (name, "a@b.example", "Ada")
    assert tokens.expires_at > 0


@pytest.mark.parametrize(
    ("name", "base", "changed"),
    [
        ("facebook", "https://www.facebook.com", {"/me": {"id": "8", "email": "a@b.example"}}),
        ("amazon", "https://www.amazon.com", {"/user/profile": {"user_id": "8", "email": "a@b.example"}}),
        ("github", "https://github.com", {"/user": {"id": 8}}),
    ],
)
async def test_those_without_discovery_are_asked_again(name: str, base: str, changed: dict[str, Any]) -> None:
    token = {"access_token": "t"}
    said = {"name": "Ada", "email": "a@b.example", "id": "7", "user_id": "7"}
    web = GitHub(
        **{"/me": said, "/user/profile": said, "/oauth/access_token": token, "/auth/o2/token": token}
    )
    settings = IdentitySettings("oauth", name, base, "id", "s3cret")
    client = ProviderClient(web, CALLBACK, Clock(), Clock())
    tokens, person = await client.exchange(settings, STATE, "code")
    assert await client.refresh(settings, tokens, person.subject) == (tokens, person)
    web.answers |= changed
    with pytest.raises(LoginFailed) as raised:
        await client.refresh(settings, tokens, person.subject)
    assert raised.value.code == 3113


async def test_microsoft_s_addresses_are_believed_as_long_as_the_session(place: Place) -> None:
    """Its userinfo names neither the tenant nor the name for signing in."""
    issuer, tenant = PROVIDERS["microsoft"].issuer, "00000000-1111-2222-3333-444444444444"
    settings = IdentitySettings("oauth", "microsoft", issuer, "portway", "s3cret", refresh=300.0)
    place.provider.issuer = issuer.replace("common", "{tenantid}")
    place.provider.document["authorization_response_iss_parameter_supported"] = None
    place.provider.claims = {
        "iss": issuer.replace("common", tenant), "tid": tenant, "preferred_username": "ada@corp.example",
    }  # fmt: skip
    place.provider.info = {"sub": "ada", "name": "Ada", "email": "boss@victim.example"}
    browser = place.browser()
    query = place.provider.authorize(await browser.to_provider("/", settings))
    del query["iss"]
    assert code_of(await browser.visit(place.onward(query), settings)) == 0
    for refreshed in (False, True):
        result = await browser.visit("/", settings)
        assert isinstance(result, SignedIn)
        assert (result.refreshed, result.session.person.email) == (refreshed, "ada@corp.example")
        place.clock.now += 301


async def test_a_slow_answer_is_waited_for_by_all_and_asked_once() -> None:
    from asyncio import Event, ensure_future, gather, timeout

    gate, arrived = Event(), Event()

    class Slow(FakeProvider):
        async def request(self, request: Any) -> Any:
            arrived.set()
            await gate.wait()
            return await super().request(request)

    web = Slow(Clock())
    client = ProviderClient(web, CALLBACK, Clock(), Clock())
    begun = time.monotonic()
    waiting = [ensure_future(client.metadata(OPENID)) for _ in range(WAITING + 3)]
    async with timeout(20):
        await arrived.wait()  # all of them have begun by then
    gate.set()
    found = await gather(*waiting, return_exceptions=True)
    assert {each.issuer for each in found if isinstance(each, Metadata)} == {ISSUER}
    refused = [each for each in found if isinstance(each, LoginFailed)]
    assert [each.code for each in refused] == [3165, 3165], "strangers do not take all the room there is"
    assert len(web.asked) == 1
    assert await client.metadata(OPENID)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("provider", "issuer", "said", "taken"),
    [
        ("github", "", "https://github.com/login/oauth", True),  # as it does since April 2026
        ("github", "", None, True),
        ("github", "", "https://github.com.evil.example/login/oauth", False),
        ("github", "", "https://github.com@evil.example/", False),
        ("github", "https://git.corp.example", "https://git.corp.example/login/oauth", True),
        ("github", "https://git.corp.example", "https://github.com/login/oauth", False),
        ("facebook", "", "https://accounts.google.com", False),
        ("microsoft", "", f"https://login.microsoftonline.com/{'1' * 36}/v2.0", True),
        ("microsoft", "", "https://login.microsoftonline.com/common/v2.0", False),
        ("microsoft", "", f"https://login.microsoftonline.com/x/{'1' * 36}/v2.0", False),
        ("google", "", "https://accounts.google.com", True),
        ("google", "", "https://accounts.google.com/", False),
    ],
)
async def test_an_answer_is_of_the_provider_that_was_asked(
    place: Place, provider: str, issuer: str, said: str | None, taken: bool
) -> None:
    usual = PROVIDERS[provider].issuer
    place.provider.issuer = usual.replace("common", "{tenantid}")
    place.provider.document["authorization_response_iss_parameter_supported"] = None
    settings = IdentitySettings("oauth", provider, issuer or usual, "portway", "s3cret")
    metadata = await place.identities.provider.metadata(settings)
    assert metadata.may_say(said) is taken
