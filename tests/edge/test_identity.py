"""Signing in, from the first request to the end of the session: what must work, and what must not."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from tests.kit.eventually import eventually_async
from tests.kit.identity import GOOGLE, ISSUER, OPENID, Place, answer, code_of, location

from portway.codec.repeated import RequestReader
from portway.edge import identity
from portway.net.tasks import Tasks
from portway.net.web_client import WebFailure
from portway.policy.identity import NotSignedIn, SignedIn, Standing


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    async with Tasks() as tasks:
        yield Place(tasks)


async def test_a_visitor_goes_to_the_provider_and_comes_back(place: Place) -> None:
    browser = place.browser()
    url = await browser.to_provider("/deep/page?x=1&y=%20")
    query = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{ISSUER}/auth?")
    assert query["redirect_uri"] == "https://auth.portway.example/oauth2/callback"
    assert query["response_type"] == "code"
    assert query["scope"] == "openid email profile"
    assert {"state", "nonce", "code_challenge"} <= set(query)
    assert await browser.sign_in("/deep/page?x=1&y=%20") == "/deep/page?x=1&y=%20"
    result = await browser.visit("/deep/page")
    assert isinstance(result, SignedIn)
    assert result.session.person.email == "ada@example.com"
    assert result.session.tokens.access == "access"


async def test_cookies_are_the_host_s_own(place: Place) -> None:
    browser = place.browser()
    await browser.sign_in()
    nonce, session = browser.set[0], next(each for each in browser.set if "session" in each)
    assert nonce.startswith("__Host-ngrok.nonce=")
    assert session.startswith("__Host-ngrok.session=")
    for line in (nonce, session):
        assert "; Path=/; HttpOnly; Secure; SameSite=Lax" in line
        assert "Domain" not in line
    assert "Max-Age=900" in nonce
    assert list(browser.cookies) == ["__Host-ngrok.session"]
    shared = replace(OPENID, cookie_domain="example", most=60.0)
    other = place.browser("b.app.example")
    await other.sign_in(settings=replace(shared, cookie_domain="app.example"))
    assert "__Secure-ngrok.session=" in other.set[-2]
    assert "; Domain=app.example; HttpOnly; Secure; SameSite=Lax; Max-Age=60" in other.set[-2]
    plain = place.browser(scheme="http")
    await plain.sign_in()
    assert {each.partition("=")[0] for each in plain.set} == {"ngrok.nonce", "ngrok.session"}
    assert not any("Secure" in each for each in plain.set)


async def test_what_stands_in_the_store_opens_nothing(place: Place) -> None:
    browser = place.browser()
    await browser.sign_in()
    (kept,) = place.store.sessions.values()
    cookie = browser.cookies["__Host-ngrok.session"]
    assert cookie not in kept[0]
    browser.cookies["__Host-ngrok.session"] = kept[0]
    assert code_of(await browser.visit()) == 0


async def test_a_session_outlives_a_restart(place: Place) -> None:
    browser = place.browser()
    await browser.sign_in()
    place.identities = place.made()
    assert isinstance(await browser.visit(), SignedIn)


async def test_somebody_else_s_state_signs_nobody_in(place: Place) -> None:
    """The attacker signs in and has the victim's browser finish it."""
    attacker, victim = place.browser(), place.browser()
    back = await attacker.back()
    assert code_of(await victim.visit(back)) == 3121
    await victim.visit()  # has a cookie of a login of its own now
    back = await attacker.back("/theirs")
    url = await victim.to_provider(back)
    assert not place.store.sessions
    person, place.provider.person = place.provider.person, place.provider.person | {"sub": "victim"}
    await victim.visit(place.onward(place.provider.authorize(url)))
    ((_, session),) = place.store.sessions.values()
    assert (session.person.subject, person["sub"]) == ("victim", "ada"), "it has signed in as itself"


@pytest.mark.row("P-54")
async def test_tabs_that_begin_at_the_same_time_all_come_in(place: Place) -> None:
    """Each answer sets a cookie, and the browser keeps the last: the others begin anew with that, unseen."""
    browser = place.browser()
    tabs = [browser.copy() for _ in range(3)]
    backs = [await tab.back(f"/tab/{number}") for number, tab in enumerate(tabs)]
    browser.cookies = tabs[-1].cookies
    url = await browser.to_provider(backs[0])
    assert len(browser.set) == 1
    assert browser.cookies == tabs[-1].cookies, "the cookie is the one that it had"
    first = await browser.visit(place.onward(place.provider.authorize(url)))
    others = [await browser.visit(back) for back in backs[1:]]
    assert [location(each.answer) for each in (first, *others) if isinstance(each, NotSignedIn)] == [
        "/tab/0", "/tab/1", "/tab/2",
    ]  # fmt: skip
    assert len(place.store.sessions) == 1
    browser.cookies.clear()
    assert code_of(await browser.visit(backs[0])) == 3121, "who keeps no cookies is told so"


@pytest.mark.parametrize("mode", ["cors", "same-origin", "no-cors", "websocket"])
async def test_what_scripts_ask_for_is_not_sent_to_the_provider(place: Place, mode: str) -> None:
    browser = place.browser()
    result = await browser.visit("/api", mode=mode)
    assert isinstance(result, NotSignedIn)
    assert (result.answer.status, result.answer.code, browser.set) == (401, 3105, [])
    assert (b"www-authenticate", b'Cookie realm="app.example", form-action="/ngrok/login"') in (
        result.answer.headers
    )
    await browser.visit(await browser.back(mode="navigate"), mode="navigate")
    assert isinstance(await browser.visit("/api", mode=mode), SignedIn)


async def test_a_stolen_state_buys_tokens_once(place: Place) -> None:
    """Whoever has copied the browser's cookie too comes too late, with the same code and with another."""
    browser, thief = place.browser(), place.browser()
    url = await browser.to_provider()
    thief.cookies = dict(browser.cookies)
    back, other = (place.onward(place.provider.authorize(url)) for _ in range(2))
    assert code_of(await browser.visit(back)) == 0
    for stolen in (back, other):
        assert code_of(await thief.visit(stolen)) == 3123
    assert [each.url for each in place.provider.asked].count(f"{ISSUER}/token") == 1
    assert len(place.store.sessions) == 1


async def test_of_two_at_the_same_time_one_comes_in(place: Place) -> None:
    browser = place.browser()
    back = await browser.back()
    browser.set.clear()
    results = await asyncio.gather(*(browser.copy().visit(back) for _ in range(3)))
    assert sorted(map(code_of, results)) == [0, 3123, 3123]
    assert len(place.store.sessions) == 1


async def test_a_browser_whose_connection_broke_off_goes_on(place: Place) -> None:
    browser = place.browser()
    back = await browser.back()
    place.provider.slow = asyncio.Event()
    gone = asyncio.ensure_future(browser.copy().visit(back))
    await eventually_async(lambda: _asked(place, "/token"), "the code is being exchanged")
    gone.cancel()
    place.provider.slow.set()
    assert code_of(await browser.visit(back)) == 0
    assert isinstance(await browser.visit(), SignedIn)
    assert [each.url for each in place.provider.asked].count(f"{ISSUER}/token") == 1


async def _asked(place: Place, path: str) -> bool:
    return f"{ISSUER}{path}" in [each.url for each in place.provider.asked]


async def test_what_comes_back_is_good_once_and_for_a_minute(place: Place) -> None:
    browser = place.browser()
    back = await browser.back()
    assert code_of(await browser.visit(back)) == 0
    place.store.sessions.clear()
    place.identities = place.made()
    assert code_of(await browser.visit(back)) == 3121  # the cookie of the login is gone with it
    browser = place.browser()
    back = await browser.back()
    place.clock.now += 61
    assert code_of(await browser.visit(back)) == 3122
    assert code_of(await browser.visit("/ngrok/login/complete?code=x")) == 3123
    assert code_of(await browser.visit("/ngrok/login/complete")) == 3120
    state = dict(parse_qsl(urlsplit(await browser.to_provider()).query))["state"]
    assert code_of(await browser.visit(f"/ngrok/login/complete?code={state}")) == 3123


@pytest.mark.parametrize("when", ["at the provider", "on the way back", "at the endpoint"])
async def test_a_restart_interrupts_no_login(place: Place, when: str) -> None:
    browser = place.browser()
    query = place.provider.authorize(await browser.to_provider("/deep"))
    if when == "at the provider":
        place.identities = place.made()
    back = place.onward(query)
    if when == "on the way back":
        place.identities = place.made()
    done = await browser.visit(back)
    assert isinstance(done, NotSignedIn)
    assert location(done.answer) == "/deep"
    if when == "at the endpoint":
        # What was used is forgotten; the provider gives nothing for a code that it has seen.
        place.identities = place.made()
        place.store.sessions.clear()
        thief = browser.copy()
        thief.take(browser.set[0])
        place.provider.answers["/token"] = answer(400, {"error": "invalid_grant"})
        assert code_of(await thief.visit(back)) == 3122
        assert not place.store.sessions


async def test_the_back_button_finds_a_session(place: Place) -> None:
    browser = place.browser()
    back = await browser.back()
    await browser.visit(back)
    again = await browser.visit(back)
    assert isinstance(again, NotSignedIn)
    assert location(again.answer) == "/"


async def test_a_login_takes_a_quarter_of_an_hour_at_most(place: Place) -> None:
    browser = place.browser()
    query = place.provider.authorize(await browser.to_provider())
    place.clock.now += 901
    refused = place.callback(query)
    assert (refused.status, refused.code) == (400, 3119)


async def test_a_code_of_one_place_is_none_of_another(place: Place) -> None:
    ours, theirs = place.browser(), place.browser("other.example")
    back = await ours.back()
    theirs.cookies = dict(ours.cookies)
    assert code_of(await theirs.visit(back)) == 3124
    back = await ours.back()
    ours.account = "ac_2"
    assert code_of(await ours.visit(back)) == 3124
    ours.account = "ac_1"
    back = await ours.back()
    assert code_of(await ours.visit(back, replace(OPENID, client_id="another"))) == 3124


async def test_a_session_is_good_at_one_place(place: Place) -> None:
    browser = place.browser()
    await browser.sign_in()
    assert isinstance(await browser.visit(), SignedIn)
    for change in ({"auth_id": "b"}, {"client_id": "other"}, {"issuer": "https://other.example"}):
        stranger = place.browser()
        settings = replace(OPENID, **change)
        stranger.cookies = {f"__Host-ngrok.session{settings.mark}": browser.cookies["__Host-ngrok.session"]}
        place.provider.issuer = settings.issuer
        assert code_of(await stranger.visit("/", settings)) == 0
    place.provider.issuer = ISSUER
    browser.host = "other.example"
    assert code_of(await browser.visit()) == 0
    browser.host, browser.account = "app.example", "ac_2"
    assert code_of(await browser.visit()) == 0


async def test_tossed_cookies_let_nobody_in(place: Place) -> None:
    """On http a page of a sibling host can set cookies: two good ones are one too many."""
    victim, attacker = place.browser(scheme="http"), place.browser(scheme="http")
    await victim.sign_in()
    await attacker.sign_in()
    own = tuple(victim.cookies.items())
    assert code_of(await victim.visit(cookies=(*own, *attacker.cookies.items()))) == 3151
    nonsense = tuple(("ngrok.session", str(number) * 52) for number in range(5))
    place.store.calls.clear()
    assert isinstance(await victim.visit(cookies=(*nonsense, *own)), SignedIn)
    assert place.store.calls in ([], ["find"])


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "evil",
        "/\t/evil.example",
        "/a\r\nb: c",
        "/%5C\\",
    ],
)
async def test_nobody_is_sent_elsewhere(place: Place, target: str) -> None:
    browser = place.browser()
    refused = await browser.visit(f"/ngrok/login?redirect_path={quote(target)}")
    assert code_of(refused) == 3117
    assert code_of(await browser.visit(f"/ngrok/logout?redirect_path={quote(target)}")) == 3117


async def test_a_path_of_two_slashes_is_not_gone_back_to(place: Place) -> None:
    assert await place.browser().sign_in("//evil.example/x") == "/"
    assert await place.browser().sign_in("/" + "x" * 3000) == "/"


async def test_login_begins_anew_and_leads_where_it_is_told(place: Place) -> None:
    browser = place.browser()
    await browser.sign_in()
    before = browser.cookies["__Host-ngrok.session"]
    url = await browser.to_provider("/ngrok/login?redirect_path=/after%3Fa%3D1")
    assert "prompt=login" in url
    done = await browser.visit(place.onward(place.provider.authorize(url)))
    assert isinstance(done, NotSignedIn)
    assert location(done.answer) == "/after?a=1"
    assert browser.cookies["__Host-ngrok.session"] != before
    assert len(place.store.sessions) == 1


async def test_logout_ends_the_session_everywhere(place: Place) -> None:
    browser, copy = place.browser(), place.browser()
    await browser.sign_in()
    copy.cookies = dict(browser.cookies)
    done = await browser.visit("/ngrok/logout")
    assert isinstance(done, NotSignedIn)
    assert done.answer.status == 200
    assert b"signed out" in done.answer.body
    assert not browser.cookies
    assert code_of(await copy.visit()) == 0

    told = [each.url for each in place.provider.asked].count(f"{ISSUER}/revoke")
    assert told == 2, "both tokens, before the answer: a provider may take back what follows with them"
    browser.set.clear()
    await browser.visit("/ngrok/logout")
    assert browser.set == []  # nothing was shown, nothing is taken away
    await browser.sign_in()
    away = await browser.visit("/ngrok/logout?redirect_path=/bye")
    assert isinstance(away, NotSignedIn)
    assert location(away.answer) == "/bye"


async def test_a_provider_that_stalls_keeps_nobody_from_signing_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "REVOCATION", 0.01)
    browser = place.browser()
    await browser.sign_in()
    place.provider.slow = asyncio.Event()
    done = await browser.visit("/ngrok/logout")
    assert isinstance(done, NotSignedIn)
    assert done.answer.status == 200
    place.provider.slow.set()

    async def revoked() -> bool:
        return [each.url for each in place.provider.asked].count(f"{ISSUER}/revoke") == 2

    await eventually_async(revoked, "both tokens are revoked all the same")


async def test_logout_reaches_the_provider_where_it_offers_that(place: Place) -> None:
    place.provider.document["end_session_endpoint"] = f"{ISSUER}/out"
    browser = place.browser()
    await browser.sign_in()
    done = await browser.visit("/ngrok/logout")
    assert isinstance(done, NotSignedIn)
    assert location(done.answer).startswith(f"{ISSUER}/out?client_id=portway&id_token_hint=")


async def test_sessions_end_by_age_and_by_idleness(place: Place) -> None:
    settings = replace(OPENID, most=1000.0, idle=100.0)
    browser = place.browser()
    await browser.sign_in(settings=settings)
    for _ in range(4):
        place.clock.now += 90
        assert isinstance(await browser.visit("/", settings), SignedIn)
    place.clock.now += 101
    gone = await browser.visit("/", settings)
    assert isinstance(gone, NotSignedIn)
    assert gone.standing is Standing.IDLE
    await browser.sign_in(settings=settings)
    for _ in range(11):
        place.clock.now += 90
        assert isinstance(await browser.visit("/", settings), SignedIn)
    place.clock.now += 50
    gone = await browser.visit("/", settings)
    assert isinstance(gone, NotSignedIn)
    assert gone.standing is Standing.OLD


async def test_a_person_is_looked_up_again(place: Place) -> None:
    settings = replace(OPENID, refresh=300.0)
    browser = place.browser()
    await browser.sign_in(settings=settings)
    place.provider.person["name"] = "Ada the Second"
    result = await browser.visit("/", settings)
    assert isinstance(result, SignedIn)
    assert not result.refreshed
    place.clock.now += 301
    result = await browser.visit("/", settings)
    assert isinstance(result, SignedIn)
    assert result.refreshed
    assert result.session.person.name == "Ada the Second"
    changed = await browser.visit("/", replace(settings, scopes=("more",)))
    assert isinstance(changed, SignedIn)
    assert changed.refreshed
    place.clock.now += 600  # the access token is over: the refresh token buys another
    result = await browser.visit("/", replace(settings, scopes=("more",)))
    assert isinstance(result, SignedIn)
    assert result.session.tokens.access == "fresh"


async def test_whose_access_was_revoked_is_told_and_out(place: Place) -> None:
    settings = replace(OPENID, refresh=300.0)
    browser = place.browser()
    await browser.sign_in(settings=settings)
    place.clock.now += 301
    place.provider.answers["/me"] = answer(401, {})
    refused = await browser.visit("/", settings)
    assert code_of(refused) == 3113
    assert isinstance(refused, NotSignedIn)
    assert b'href="/ngrok/login?redirect_path=%2F"' in refused.answer.body
    assert not place.store.sessions
    assert not browser.cookies


async def test_a_provider_in_trouble_lets_nobody_in_and_ends_nothing(place: Place) -> None:
    settings = replace(OPENID, refresh=300.0)
    browser = place.browser()
    await browser.sign_in(settings=settings)
    place.clock.now += 301
    place.provider.answers["/me"] = WebFailure("timeout", "no whole answer within 10 s")
    assert code_of(await browser.visit("/", settings)) == 3160
    place.provider.answers["/me"] = answer(503, {})
    assert code_of(await browser.visit("/", settings)) == 3167
    del place.provider.answers["/me"]
    assert isinstance(await browser.visit("/", settings), SignedIn)


async def test_a_flood_of_strangers_leaves_nothing_behind(place: Place) -> None:
    for number in range(300):
        await place.browser(f"h{number}.example").visit(f"/{number}")
    shown = repr(place.identities)
    assert "known=0 unknown=0" in shown
    assert "spent=0" in shown
    assert len(place.provider.asked) == 1


async def test_two_actions_on_one_host(place: Place) -> None:
    first, second = replace(OPENID, auth_id="a"), replace(OPENID, auth_id="b")
    browser = place.browser()
    others = ("a", "b")
    await browser.sign_in("/", first, others=others)
    assert code_of(await browser.visit("/ngrok/login?auth_id=b", second, others=others)) == 0
    assert isinstance(await browser.visit("/ngrok/login?auth_id=b", first, others=others), SignedIn)
    assert code_of(await browser.visit("/ngrok/login?auth_id=c", first, others=others)) == 3117
    await browser.sign_in("/", second, others=others)
    assert len(browser.cookies) == 2


async def test_the_older_paths_are_those_of_older_agents(place: Place) -> None:
    settings = replace(OPENID, prefix="/auth")
    browser = place.browser()
    assert code_of(await browser.visit("/auth/authn", settings)) == 0
    assert await browser.sign_in("/x", settings) == "/x"
    assert code_of(await browser.visit("/auth/anything", settings)) == 3117
    assert isinstance(await browser.visit("/ngrok/login", settings), SignedIn)


async def test_the_cookie_s_domain_must_be_the_visitor_s(place: Place) -> None:
    browser = place.browser("app.example")
    assert code_of(await browser.visit("/", replace(OPENID, cookie_domain="other.example"))) == 3313


async def test_writing_requests_come_back_as_reading_ones(place: Place) -> None:
    result = await place.browser().visit("/form", method="POST")
    assert isinstance(result, NotSignedIn)
    assert result.answer.status == 303
    assert (b"cache-control", b"no-store") in result.answer.headers


async def test_named_providers_need_an_address(place: Place) -> None:
    place.provider.person["email_verified"] = False
    browser = place.browser()
    refused = await browser.visit(await browser.back("/", GOOGLE), GOOGLE)
    assert isinstance(refused, NotSignedIn)
    assert (refused.answer.status, refused.answer.code) == (403, 3104)
    await browser.sign_in()  # of OpenID Connect the rules behind it judge
    result = await browser.visit()
    assert isinstance(result, SignedIn)
    assert result.session.person.email == ""


async def test_who_was_rewritten_comes_back_to_what_it_asked_for(place: Place) -> None:
    """Rules in front may have changed the path, and an endpoint that forwards here the host."""
    browser, identities = place.browser(), place.identities

    async def ask(target: str, seen: str) -> tuple[Any, Any]:
        lines = f"GET {target} HTTP/1.1\r\nHost: app.example\r\nAccept: text/html\r\n\r\n"
        exchange = SimpleNamespace(head=RequestReader(100).read(lines.encode()))
        endpoint = SimpleNamespace(id="ep_1")
        passage = SimpleNamespace(exchange=exchange)
        asking: Any = SimpleNamespace(passage=passage, account_id="ac_1", endpoint=endpoint)
        asked = replace(browser.asked(seen), authority="inner.internal")
        result = await identities.fetch(asking, {"settings": OPENID, "asked": asked})
        for name, value in result.answer.headers if isinstance(result, NotSignedIn) else ():
            if name == b"set-cookie":
                browser.take(value.decode())
        return result, exchange.head.target

    result, _ = await ask("/old?x=1", "/base/old?x=1")
    back = place.onward(place.provider.authorize(location(result.answer)))
    result, logged = await ask(back, f"/base{back}")
    assert (location(result.answer), logged) == ("/old?x=1", b"/ngrok/login/complete")
    assert isinstance((await ask("/old", "/base/old"))[0], SignedIn)
