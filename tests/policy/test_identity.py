"""What a session is worth, which paths are of the same host, and what is a domain for cookies."""

from dataclasses import replace

import pytest

from portway.model.identity import Person, Tokens, VisitorSession, issuer_problem
from portway.policy.identity import (
    IdentitySettings,
    Standing,
    check_cookie_domain,
    clean,
    is_email,
    local_target,
    standing,
)

SETTINGS = IdentitySettings("oidc", "", "https://idp.example", "id", "secret")
SESSION = VisitorSession(
    "appsess_1", "ac_1", "appusr_1", SETTINGS.realm("a.example"), SETTINGS.client, SETTINGS.digest,
    Person("https://idp.example", "https://idp.example", "ada"), Tokens(), 1000.0, 1500.0, 1200.0, 9000.0,
)  # fmt: skip


@pytest.mark.row("P-53")
@pytest.mark.parametrize(
    ("change", "now", "wanted"),
    [
        ({}, 2000.0, Standing.GOOD),
        ({"most": 1000.0}, 1999.0, Standing.GOOD),
        ({"most": 1000.0}, 2000.0, Standing.OLD),
        ({"idle": 500.0}, 1999.0, Standing.GOOD),
        ({"idle": 500.0}, 2000.0, Standing.IDLE),
        ({}, 9000.0, Standing.IDLE),
        ({"refresh": 800.0}, 1999.0, Standing.GOOD),
        ({"refresh": 800.0}, 2000.0, Standing.STALE),
        ({"scopes": ("more",)}, 2000.0, Standing.STALE),
        ({"client_id": "other"}, 2000.0, Standing.FOREIGN),
        ({"issuer": "https://other.example"}, 2000.0, Standing.FOREIGN),
    ],
)
def test_what_a_session_is_worth(change: dict[str, object], now: float, wanted: Standing) -> None:
    settings = replace(SETTINGS, **change)  # type: ignore[arg-type]
    assert standing(SESSION, "ac_1", SETTINGS.realm("a.example"), settings, now) is wanted


def test_a_session_of_another_account_or_place_is_none() -> None:
    realm = SETTINGS.realm("a.example")
    assert standing(SESSION, "ac_2", realm, SETTINGS, 2000.0) is Standing.FOREIGN
    assert standing(SESSION, "ac_1", SETTINGS.realm("b.example"), SETTINGS, 2000.0) is Standing.FOREIGN
    named = replace(SETTINGS, auth_id="x")
    assert standing(SESSION, "ac_1", named.realm("a.example"), named, 2000.0) is Standing.FOREIGN


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(SETTINGS)
    tokens = Tokens("eyJ.secret", "r-secret", "i-secret")
    assert repr(tokens) == "Tokens(access, refresh, identity)"


@pytest.mark.parametrize(
    "text", ["/", "/a", "/a?b=c&d=%20", "/a//b", "/?next=https://b.example", "/" + "x" * 2047]
)
def test_a_path_of_this_host(text: str) -> None:
    assert local_target(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "//b",
        "/\\b",
        "/a\\b",
        "https://b",
        "javascript:x",
        "/a b",
        "/a\r\nb",
        "/ä",
        "/\t/b",
        "/" + "x" * 2048,
    ],
)
def test_what_leads_elsewhere_is_none(text: str) -> None:
    assert local_target(text) is None


def test_claims_are_one_line_of_bounded_length() -> None:
    assert clean("a\r\nX-Evil: y\x00\x1b[2J", 100) == "a  X-Evil: y  [2J"
    assert clean("ä" * 300, 255) == "ä" * 255
    assert clean("  a  ", 10) == "a"
    for odd in (None, 7, ["a"], {"a": 1}, True):
        assert clean(odd, 10) == ""


@pytest.mark.parametrize("text", ["a@b.example", "a.b+c@b.co", "ü@b.example"])
def test_an_address(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "@b.example", "a@", "a@b@c.example", "a b@c.example", "a@b.example\n",
     "a@b.example,c@d.example", "<a@b.example>", "a@b.example/", "x" * 250 + "@b.example",
     "a\u2028@b.example"],
)  # fmt: skip
def test_no_address(text: str) -> None:
    assert not is_email(text)


@pytest.mark.parametrize(
    "text", ["https://idp.example", "https://idp.example:8443/a/b", "http://127.0.0.1:9911", "http://localhost",
             "http://idp.localhost:80"],
)  # fmt: skip
def test_issuers(text: str) -> None:
    assert issuer_problem(text) == ""


@pytest.mark.parametrize(
    "text",
    ["", "idp.example", "ftp://idp.example", "http://idp.example", "https://", "https://a b", "https://a?b", "https://a#",
     "https://u:p@a", "https://a:99999", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "https://ä.example"],
)  # fmt: skip
def test_no_issuers(text: str) -> None:
    assert issuer_problem(text)


@pytest.mark.row("P-53")
@pytest.mark.parametrize(
    ("text", "host", "code"),
    [
        ("example.com", "app.example.com", 0),
        (".Example.com", "app.example.com", 0),
        ("app.example.com", "app.example.com", 0),
        ("example.com", "*.example.com", 0),
        ("example.com", "", 0),
        ("ample.com", "app.example.com", 2241),
        ("b.example.com", "app.example.com", 2241),
        ("portway.example", "app.portway.example", 2241),
        ("com", "app.example.com", 2243),
        ("10.0.0.1", "10.0.0.1", 2243),
        ("*.example.com", "app.example.com", 2243),
        ("ex ample.com", "app.example.com", 2243),
        ("xn--\u00fc.example.com", "app.example.com", 2242),
    ],
)
def test_domains_for_cookies(text: str, host: str, code: int) -> None:
    _, problem = check_cookie_domain(text, host, ("portway.example",))
    assert (problem[0] if problem else 0) == code
