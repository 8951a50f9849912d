"""Tables of messages: header fields, cookies, parameters."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.kit.policy import facts

from portway.policy.facts import Facts, Response
from portway.policy.lookup import MOST, http_date, lookup, set_cookie, whole


def test_header_fields() -> None:
    known = facts(fields=[(b"A", b"1"), (b"a", b"\xff"), (b"b", "ü".encode())])
    assert lookup("req.headers", "a", known) == ["1", "ÿ"]
    assert whole("req.headers", known)["b"] == ["ü"]
    assert lookup("res.headers", "a", known) == []
    assert lookup("req.headers", "a", Facts()) == []


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/?a=1&a=2&b", {"a": ["1", "2"], "b": [""]}),
        ("/?a+b=%20&%zz=%&=x", {"a b": [" "], "%zz": ["%"], "": ["x"]}),
        ("/", {}),
        ("/?", {}),
        ("/?&&", {}),
        ("/?a=b=c#d=e", {"a": ["b=c"]}),
    ],
)
def test_query_parameters(target: str, wanted: dict[str, list[str]]) -> None:
    assert whole("req.url.query_params", facts(target)) == wanted


def test_the_cookies_of_a_request() -> None:
    known = facts(fields=[(b"Cookie", b'a=1; b="2"; c; =x; a=3'), (b"cookie", b"d=e=f")])
    found = whole("req.cookies", known)
    assert found == {
        "a": [{"name": "a", "value": "1"}, {"name": "a", "value": "3"}],
        "b": [{"name": "b", "value": "2"}],
        "d": [{"name": "d", "value": "e=f"}],
    }


def test_what_is_looked_at_is_bounded() -> None:
    many = facts("/?" + "a=1&" * 5000, fields=[(b"cookie", b"a=1; " * 5000)])
    assert len(lookup("req.url.query_params", "a", many)) <= MOST
    assert len(lookup("req.cookies", "a", many)) <= MOST


@pytest.mark.row("P-22")
def test_a_cookie_of_a_response() -> None:
    line = "id=a=b; Path=/x; Domain=.a.example; Secure; HttpOnly; SameSite=Lax; Max-Age=90"
    line += "; Expires=Sat, 13-Jul-2024 00:10:16 GMT; Y"
    cookie = set_cookie(line)
    assert cookie == {
        "name": "id",
        "value": "a=b",
        "path": "/x",
        "domain": ".a.example",
        "secure": True,
        "http_only": True,
        "same_site": "Lax",
        "max_age": timedelta(seconds=90),
        "expires": datetime(2024, 7, 13, 0, 10, 16, tzinfo=UTC),
        "unparsed_attributes": {"Y": ""},
    }
    assert "max_age" not in set_cookie("a=1; Max-Age=soon; Expires=never")


def test_the_longest_path_comes_first() -> None:
    known = facts(response=Response(200, [(b"set-cookie", b"a=1"), (b"Set-Cookie", b"a=2; path=/long")]))
    assert [each["value"] for each in whole("res.cookies", known)["a"]] == ["2", "1"]  # type: ignore[index, call-overload]


def test_dates() -> None:
    assert http_date("Sun, 06 Nov 1994 08:49:37 GMT") == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    for wrong in ("", "x", "Sun, 99 Nov 1994 08:49:37 GMT", "1e400"):
        assert http_date(wrong) is None
