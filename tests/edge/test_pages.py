"""Our own answers: right status, right fields, nothing unescaped."""

import http.client
import io
import re
from typing import TYPE_CHECKING, cast

import pytest

from portway.edge import pages
from portway.edge.member import NoVerdict
from portway.edge.pages import error_page, wants_html
from portway.errors import SessionClosed, StreamLimit

if TYPE_CHECKING:
    from socket import socket


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return io.BytesIO(self._data)


def read(raw: bytes, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    response = http.client.HTTPResponse(cast("socket", _Socket(raw)), method=method)
    response.begin()
    return response, response.read()


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, pages.OFFLINE),
        (502, pages.UNREACHABLE),
        (502, pages.INVALID_ANSWER),
        (504, pages.TIMEOUT),
        (400, 0),
    ],
)
@pytest.mark.row("G-126")
def test_an_answer_is_whole_and_says_its_code(status: int, code: int, html: bool) -> None:
    response, body = read(error_page(status, code, html=html, host="a.example"))
    assert response.status == status
    assert response.headers["ngrok-error-code"] == (f"ERR_NGROK_{code}" if code else None)
    assert int(response.headers["content-length"]) == len(body)
    assert response.headers.get_content_type() == ("text/html" if html else "text/plain")
    assert response.headers["connection"] == "close"
    assert (f"ERR_NGROK_{code}".encode() in body) == bool(code)


def test_head_has_the_length_but_no_body() -> None:
    with_body, body = read(error_page(404, pages.OFFLINE))
    raw = error_page(404, pages.OFFLINE, body=False, keep_alive=True)
    without, nothing = read(raw, "HEAD")
    assert without.headers["content-length"] == with_body.headers["content-length"] == str(len(body))
    assert without.headers["connection"] == "keep-alive"
    assert nothing == b""
    assert raw.endswith(b"\r\n\r\n")


def test_what_came_from_outside_is_escaped() -> None:
    _, body = read(error_page(404, pages.OFFLINE, html=True, host="<script>alert('1')</script>"))
    assert b"<script" not in body
    _, body = read(error_page(400, html=True, detail='"><img src=x onerror=y>'))
    assert b"<img" not in body
    _, body = read(error_page(400, detail="a\x1b[31mb\r\nc"))
    assert b"\x1b" not in body
    assert b"\r" not in body


def test_a_page_needs_nothing_from_elsewhere() -> None:
    response, body = read(error_page(404, pages.OFFLINE, html=True))
    assert not re.search(rb"https?://|src=|@import|url\(", body)
    assert b"prefers-color-scheme:dark" in body
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_every_text_can_be_written() -> None:
    for status in (400, 404, 408, 417, 421, 431, 501, 502, 504, 505, 599):
        for code in (0, pages.OFFLINE, pages.NOT_FORWARDED, 9999):
            response, _ = read(error_page(status, code))
            assert response.status == status


def test_browsers_get_html() -> None:
    assert wants_html([(b"Accept", b"text/html,application/xhtml+xml")])
    assert wants_html([(b"accept", b"*/*"), (b"ACCEPT", b"Text/HTML")])
    assert not wants_html([(b"Accept", b"*/*")])
    assert not wants_html([(b"X-Accept", b"text/html")])


def test_whom_nobody_takes_is_told_why() -> None:
    assert pages.unserved(NoVerdict()) == (500, pages.NO_VERDICT)
    assert pages.unserved(StreamLimit()) == (502, pages.NOT_FORWARDED)
    assert pages.unserved(SessionClosed()) == (404, pages.OFFLINE)


@pytest.mark.parametrize("code", [2238, 2253, 2254, 2300])
def test_who_owns_a_policy_that_failed_is_told_where_the_reason_stands(code: int) -> None:
    _, body = read(error_page(500, code))
    assert b"policy_error" in body
