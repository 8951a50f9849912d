"""oauth and openid-connect: their configuration, what they ask for, and what they do with the answer."""

from typing import Any

import pytest
from msgspec.structs import replace as changed
from tests.kit.policies import action
from tests.kit.policy import begin, codes, facts, policy

from portway.model.identity import Person, ProviderApp, Tokens, VisitorSession
from portway.policy.actions.identity import APPS, SHARED
from portway.policy.compiler import Target, World, compile_policy
from portway.policy.engine import Run
from portway.policy.identity import Asked, IdentitySettings, NotSignedIn, SignedIn, Standing
from portway.policy.problem import PolicyError
from portway.policy.verdict import CONTINUE, Failed, Fetch, Respond

OAUTH = "provider: google\nclient_id: id\nclient_secret: secret"
OIDC = "issuer_url: https://idp.example/realm\nclient_id: id\nclient_secret: secret"

GOOD = [
    ("oauth", "provider: google"),
    *(
        ("oauth", f"provider: {name}")
        for name in ("amazon", "facebook", "github", "gitlab", "linkedin", "twitch")
    ),
    ("oauth", OAUTH + "\nscopes: [a, b]\nauthz_url_params: {hd: x}\nauth_id: q\nallow_cors_preflight: true"),
    ("oauth", OAUTH + "\nmax_session_duration: 24h\nidle_session_timeout: 1h\nuserinfo_refresh_interval: 1m"),
    ("oauth", OAUTH + "\nauth_cookie_domain: example.com\npath_prefix: /auth"),
    ("oauth", "provider: google\nclient_id: '${vars.a}'\nclient_secret: '${vars.b}'"),
    ("openid-connect", OIDC),
    ("oidc", OIDC + "\nidle_session_duration: 1h"),
    ("openid-connect", OIDC + "\nidle_session_timeout: 1h\nscopes: [groups]"),
    ("openid-connect", OIDC.replace("https://idp.example/realm", "http://127.0.0.1:9911")),
]

BAD = [
    ("oauth", "provider: myspace", 2222),
    ("oauth", "{}", 2234),
    ("oauth", "provider: google\nclient_id: id", 383),
    ("oauth", "provider: google\nclient_secret: x", 384),
    ("oauth", "provider: google\nscopes: [a]", 390),
    ("oauth", OAUTH + f"\nscopes: {['s'] * 31}", 368),
    ("oauth", OAUTH + f"\nscopes: [{'s' * 256}]", 391),
    ("oauth", OAUTH + "\nscopes: ['a b']", 2204),
    ("oauth", OAUTH + "\nauthz_url_params: {state: x}", 2204),
    ("oauth", OAUTH + "\nauthz_url_params: {Redirect_URI: x}", 2204),
    ("oauth", OAUTH + "\nuserinfo_refresh_interval: 4s", 1635),
    ("oauth", OAUTH + "\nmax_session_duration: soon", 2228),
    ("oauth", OAUTH + "\nauth_cookie_domain: com", 2243),
    ("oauth", OAUTH + "\npath_prefix: /elsewhere", 2222),
    ("oauth", OAUTH + "\nidle_session_timeout: 1h\nidle_session_duration: 1h", 2203),
    ("oauth", OAUTH + "\nallow_emails: [a]", 2203),
    ("openid-connect", "client_id: id\nclient_secret: x", 387),
    ("openid-connect", "issuer_url: https://idp.example\nclient_secret: x", 385),
    ("openid-connect", "issuer_url: https://idp.example\nclient_id: x", 386),
    ("openid-connect", OIDC.replace("/realm", "/" + "x" * 255), 1687),
    ("openid-connect", OIDC.replace("https", "http"), 2226),
    ("openid-connect", OIDC + f"\nscopes: {['s'] * 31}", 388),
    ("openid-connect", OIDC + f"\nscopes: [{'s' * 256}]", 392),
    ("openid-connect", OIDC + "\nprovider: google", 2203),
]


@pytest.mark.row("P-51", "P-52", "P-53", "G-014")
@pytest.mark.parametrize(("kind", "config"), GOOD, ids=lambda value: str(value)[:40])
def test_what_is_documented_is_accepted(kind: str, config: str) -> None:
    assert codes(action(kind, config, "on_http_request")) == []


@pytest.mark.parametrize(("kind", "config", "code"), BAD, ids=lambda value: str(value)[:40])
def test_every_mistake_has_its_code(kind: str, config: str, code: int) -> None:
    assert codes(action(kind, config, "on_http_request"))[:1] == [code]


def test_they_stand_in_the_request_phase_alone() -> None:
    assert codes(action("oauth", OAUTH, "on_http_response")) == [2202]
    assert codes(
        "on_tcp_connect: [{actions: [{type: oauth, config: {provider: google}}]}]", Target("tcp")
    ) == [2202]


def two(first: str, second: str) -> str:
    """Write a policy of two actions."""
    both = ", ".join(f"{{type: oauth, config: {each}}}" for each in (first, second))
    return f"on_http_request: [{{actions: [{both}]}}]"


def test_two_of_them_need_names() -> None:
    google, github = "{provider: google}", "{provider: github}"
    assert codes(two(google, github)) == [2239]
    assert codes(two(google, google)) == []
    assert codes(two(google, "{provider: github, auth_id: b}")) == []


@pytest.mark.row("G-014")
def test_a_provider_without_an_application_names_the_key() -> None:
    text = "on_http_request: [{actions: [{type: oauth, config: {provider: github}}]}]"
    with pytest.raises(PolicyError, match=r"oauth\.providers\.github\.client_id"):
        compile_policy(text, world=World(extra={APPS: {}}))
    app = ProviderApp("id", "secret", "https://git.example")
    compiled = compile_policy(text, world=World(extra={APPS: {"github": app}}))
    settings = asked(begin(compiled))
    assert (settings.client_id, settings.issuer, settings.managed) == ("id", "https://git.example", True)
    own = text.replace("github}", "github, client_id: mine, client_secret: x}")
    settings = asked(begin(compile_policy(own, world=World(extra={APPS: {"github": app}}))))
    assert (settings.client_id, settings.issuer, settings.managed) == ("mine", "https://git.example", False)


def test_a_domain_that_all_accounts_share_is_no_cookie_domain() -> None:
    text = action("oauth", OAUTH + "\nauth_cookie_domain: portway.example", "on_http_request")
    with pytest.raises(PolicyError) as raised:
        compile_policy(text, world=World(extra={SHARED: ("portway.example",)}))
    assert raised.value.code == "ERR_NGROK_2241"


def asked(run: Run) -> IdentitySettings:
    """Run it to where it asks; return for what."""
    verdict = run.step()
    assert isinstance(verdict, Fetch)
    settings = verdict.arguments["settings"]
    assert isinstance(settings, IdentitySettings)
    return settings


PERSON = Person("google", "https://accounts.google.com", "subject", "ada@example.com", "Ada\u00e4", "ada")
SESSION = VisitorSession(
    "appsess_1", "ac_1", "appusr_1", "r", "c", "s", PERSON, Tokens("acc", "ref", "idt", 1_800_000_000.0),
    1.0, 2.0, 3.0, 4.0,
)  # fmt: skip


def run_of(kind: str, config: str, **more: Any) -> Run:
    """Begin a policy of one action and a rule behind it."""
    return begin(policy(action(kind, config, "on_http_request")), known=facts(**more))


@pytest.mark.row("P-51", "P-64")
def test_who_is_known_is_told_to_rules_and_to_the_upstream() -> None:
    sent = [(b"Ngrok-Auth-User-Email", b"boss@example.com"), (b"ngrok-auth-oauth-access-token", b"x")]
    run = run_of("oauth", OAUTH, fields=sent)
    asked(run)
    assert run.resume(SignedIn(SESSION, "id")) is CONTINUE
    got = run.facts.results["oauth"]
    assert isinstance(got, dict)
    assert got["identity"] == {
        "id": "appusr_1", "email": "ada@example.com", "name": "Ada\u00e4", "provider_user_id": "subject",
        "current_provider_session_id": "appsess_1", "current_session_id": "appsess_1",
    }  # fmt: skip
    assert (got["access_token"], got["refresh_token"]) == ("acc", "ref")
    assert got["expires_at"] == "2027-01-15T08:00:00Z"
    assert got["error"] == {"code": "", "message": ""}
    fields = [each for each in run.request.fields if each[0].lower().startswith(b"ngrok-auth")]
    assert fields == [
        (b"ngrok-auth-user-id", b"subject"),
        (b"ngrok-auth-user-name", "Ada\u00e4".encode()),
        (b"ngrok-auth-user-email", b"ada@example.com"),
        (b"ngrok-auth-oauth-access-token", b"acc"),
        (b"ngrok-auth-oauth-refresh-token", b"ref"),
    ]
    assert run.decisions == {
        "oauth.decision": "allow", "oauth.app_client_id": "id", "oauth.user.id": "appusr_1",
        "oauth.user.name": "Ada\u00e4",
    }  # fmt: skip


def test_tokens_of_the_operator_s_application_are_nobody_s() -> None:
    run = run_of("oauth", "provider: google")
    asked(run)
    run.resume(SignedIn(SESSION, "id"))
    got = run.facts.results["oauth"]
    assert isinstance(got, dict)
    assert (got["access_token"], got["refresh_token"]) == ("", "")
    assert not [name for name, _ in run.request.fields if b"token" in name]


@pytest.mark.row("P-52")
def test_openid_connect_tells_more() -> None:
    run = run_of("openid-connect", OIDC)
    asked(run)
    run.resume(SignedIn(SESSION, "id", refreshed=True))
    got = run.facts.results["oidc"]
    assert isinstance(got, dict)
    assert got["identity_token"] == "idt"
    assert got["user_info_refreshed"] is got["userinfo_refreshed"] is True


def test_claims_inject_no_fields_and_tokens_have_a_bound() -> None:
    person = changed(PERSON, name="a\r\nx-admin: yes", email="b\x00c@d.example")
    session = changed(SESSION, person=person, tokens=Tokens("t" * 9000))
    run = run_of("oauth", OAUTH)
    asked(run)
    run.resume(SignedIn(session, "id"))
    fields = dict(run.request.fields)
    assert fields[b"ngrok-auth-user-name"] == b"a  x-admin: yes"
    assert b"\x00" not in fields[b"ngrok-auth-user-email"]
    assert b"ngrok-auth-oauth-access-token" not in fields


def test_who_is_not_known_is_sent_away_and_no_rule_behind_runs() -> None:
    run = run_of("oauth", OAUTH)
    asked(run)
    away = Respond(302, ((b"location", b"https://idp.example"),))
    assert run.resume(NotSignedIn(away, Standing.OLD)) is away
    got = run.facts.results["oauth"]
    assert isinstance(got, dict)
    assert got["session_max_duration_reached"] is True
    assert got["session_timed_out"] is False
    assert run.decisions["oauth.decision"] == "block"


def test_cookies_of_sibling_hosts_push_none_of_ours_out() -> None:
    tossed = "; ".join(f"ngrok.session.{number}=x" for number in range(50))
    fields = [(b"cookie", f"{tossed}; __Host-ngrok.session=mine".encode()), (b"sec-fetch-mode", b"cors")]
    verdict = run_of("oauth", OAUTH, fields=fields).step()
    assert isinstance(verdict, Fetch)
    seen = verdict.arguments["asked"]
    assert isinstance(seen, Asked)
    assert ("__Host-ngrok.session", "mine") in seen.cookies
    assert (len(seen.cookies), seen.mode) == (32, "cors")


def test_what_fails_refuses() -> None:
    run = run_of("oauth", OAUTH)
    asked(run)
    refused = run.resume(Failed(2300, "Too many requests wait already.", 503))
    assert isinstance(refused, Respond)
    assert (refused.status, refused.code) == (503, 2300)
    assert run.decisions["oauth.decision"] == "block"


@pytest.mark.row("P-53")
def test_preflights_pass_where_they_may() -> None:
    fields = [(b"origin", b"https://b.example"), (b"access-control-request-method", b"PUT")]
    allowed = OAUTH + "\nallow_cors_preflight: true"
    assert run_of("oauth", allowed, method="OPTIONS", fields=fields).step() is CONTINUE
    assert isinstance(run_of("oauth", OAUTH, method="OPTIONS", fields=fields).step(), Fetch)
    assert isinstance(run_of("oauth", allowed, method="OPTIONS").step(), Fetch)
    assert isinstance(run_of("oauth", allowed, method="GET", fields=fields).step(), Fetch)
    for target, more in (("/ngrok/logout?a=b", ""), ("/auth/x", "\npath_prefix: /auth")):
        run = run_of("oauth", allowed + more, method="OPTIONS", target=target, fields=fields)
        assert isinstance(run.step(), Fetch)  # what is reserved never reaches the upstream
    spoofed = [*fields, (b"ngrok-auth-user-id", b"boss")]
    run = run_of("oauth", allowed, method="OPTIONS", fields=spoofed)
    run.step()
    assert not [name for name, _ in run.request.fields if name.startswith(b"ngrok-auth")]


def test_an_application_that_computes_to_nothing_is_told() -> None:
    run = run_of(
        "oauth", "provider: google\nclient_id: \"${req.host + ''}\"\nclient_secret: '${req.url.query}'"
    )
    refused = run.step()
    assert isinstance(refused, Respond)
    assert refused.code == 3125


@pytest.mark.row("G-015", "G-017")
@pytest.mark.parametrize(("email", "status"), [("ada@example.com", 200), ("bob@elsewhere.example", 403)])
def test_a_rule_behind_it_decides_by_the_address(email: str, status: int) -> None:
    text = """
        on_http_request:
          - actions: [{type: oauth, config: {provider: google}}]
          - expressions: ["!actions.ngrok.oauth.identity.email.endsWith('@example.com')"]
            actions:
              - type: custom-response
                config: {status_code: 403, content: "no, ${actions.ngrok.oauth.identity.name}"}
          - actions: [{type: custom-response, config: {status_code: 200}}]
        """
    run = begin(policy(text))
    asked(run)
    verdict = run.resume(SignedIn(changed(SESSION, person=changed(PERSON, email=email, name="Bob")), "id"))
    assert isinstance(verdict, Respond)
    assert verdict.status == status
    if status == 403:
        assert verdict.body == b"no, Bob"
