"""Pages of what goes wrong: for each code a text, escaped, with a way on."""

import pytest
from tests.kit.identity import code_of

from portway.edge.identity_pages import TEXTS, LoginFailed, failed_page, signed_out_page, status_of
from portway.policy.identity import NotSignedIn


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_every_code_has_a_page(code: int) -> None:
    page = failed_page(code, html=True, host="app.example", link="/ngrok/login")
    assert page.status == status_of(code) >= 400
    assert page.final
    body = page.body.decode()
    assert f"ERR_NGROK_{code}" in body
    assert '<a href="/ngrok/login">Sign in again</a>' in body
    assert "{" not in body.partition("</style>")[2]
    assert code_of(NotSignedIn(page)) == code
    plain = failed_page(code, html=False, host="app.example", link="/ngrok/login").body.decode()
    assert "Sign in again: /ngrok/login" in plain
    assert "<" not in plain


def test_what_came_from_outside_is_escaped() -> None:
    page = failed_page(3100, html=True, host="<b>", link='/x?"><script>')
    assert b"<b>" not in page.body
    assert b"<script>" not in page.body
    fields = dict(page.headers)
    assert fields[b"Cache-Control"] == b"no-store"
    assert b"ngrok-error-code" not in fields  # whoever carries the answer out sets it, once


def test_a_code_without_a_text_has_the_general_one() -> None:
    assert failed_page(3310, html=False, host="a", link="").status == 502
    assert b"Sign in again" not in failed_page(3310, html=False, host="a", link="").body


def test_without_a_link_none_is_spoken_of() -> None:
    page = failed_page(3108, html=False, host="this service").body.decode()
    assert "below" not in page
    assert "Open the page that you wanted once more" in page


def test_who_is_signed_out_is_told() -> None:
    page = signed_out_page(
        html=True, host="app.example", link="/ngrok/login", cookies=((b"set-cookie", b"a=b"),)
    )
    assert (page.status, page.code) == (200, 0)
    assert (b"set-cookie", b"a=b") in page.headers


def test_only_what_is_not_the_visitor_s_doing_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        LoginFailed(3108, "a state").log("here")
        LoginFailed(3160, "a provider").log("here")
        LoginFailed(3119).log("here")
    assert [each.levelname for each in caplog.records] == ["DEBUG", "WARNING"]
