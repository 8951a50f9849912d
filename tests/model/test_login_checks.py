"""What the login modules may not say, each with its code."""

from typing import Any

import pytest
from tests.kit.names import refused

from portway.model.login_checks import YEAR, check_oauth, check_oidc

OWN = {"client_id": "c", "client_secret": "s"}


def google(**block: Any) -> dict[str, Any]:
    return {"provider": {"google": block, "github": None}}


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ({}, 7037),
        ({"provider": {"google": {}, "github": {}}}, 7036),
        ({"provider": {"nobody": {}}}, 7165),
        (google(client_id="c"), 7033),
        (google(scopes=["a"]), 7034),
        (google(client_id="c" * 513, client_secret="s"), 7137),
        (google(client_id="c", client_secret="s" * 513), 7138),
        (google(**OWN, scopes=["a"] * 21), 7056),
        (google(**OWN, scopes=["a" * 256]), 7141),
        (google(email_addresses=["a@b.c"] * 101), 7060),
        (google(email_addresses=[""]), 7051),
        (google(email_addresses=["a" * 250 + "@b.cde"]), 7139),
        (google(email_addresses=["nobody"]), 7043),
        (google(email_addresses=["A@b.c"]), 7067),
        (google(email_addresses=["a@b.c", "a@b.c"]), 7046),
        (google(email_domains=["b.c"] * 101), 7061),
        (google(email_domains=[""]), 7052),
        (google(email_domains=["b." + "c" * 255]), 7140),
        (google(email_domains=["-"]), 7039),
        (google(email_domains=["B.c"]), 7068),
        (google(email_domains=["b.c", "b.c"]), 7047),
        (google() | {"cookie_prefix": "x" * 65}, 7136),
        (google() | {"cookie_prefix": "a b"}, 7042),
        (google() | {"auth_check_interval": 4}, 7035),
        (google() | {"auth_check_interval": YEAR + 1}, 7158),
        (google() | {"maximum_duration": YEAR + 1}, 7161),
        (google() | {"inactivity_timeout": YEAR + 1}, 7092),
    ],
)
def test_oauth(module: dict[str, Any], code: int) -> None:
    check_oauth(google(**OWN, scopes=["a"], email_addresses=["a@b.c"], email_domains=["b.c"]))
    with refused(code):
        check_oauth(module)


OIDC = {"issuer": "https://id.example.org", **OWN}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"issuer": ""}, 7088),
        ({"client_id": ""}, 7089),
        ({"client_secret": ""}, 7090),
        ({"issuer": "https://" + "x" * 250}, 7087),
        ({"client_id": "c" * 513}, 7148),
        ({"client_secret": "c" * 513}, 7149),
        ({"scopes": ["a"] * 21}, 7150),
        ({"scopes": ["a" * 256]}, 7151),
        ({"cookie_prefix": "x" * 65}, 7153),
        ({"auth_check_interval": 1}, 7159),
        ({"auth_check_interval": YEAR + 1}, 7160),
        ({"maximum_duration": YEAR + 1}, 7162),
    ],
)
def test_oidc(change: dict[str, Any], code: int) -> None:
    check_oidc(OIDC)
    with refused(code):
        check_oidc(OIDC | change)
