"""URLs and bindings of cloud endpoints."""

import pytest

from portway.errors import Error
from portway.model.cloud_endpoint import parse_binding, parse_url
from portway.model.url import Binding

PORTS = {"http": 7080, "https": 7443, "tls": 7443}


@pytest.mark.parametrize(
    ("text", "binding", "written", "bound"),
    [
        ("https://App.Example.com", None, "https://app.example.com:7443", "public"),
        ("https://app.example.com:443", None, "https://app.example.com:7443", "public"),
        ("http://app.example.com:7080", "public", "http://app.example.com:7080", "public"),
        ("tls://*.example.com", None, "tls://*.example.com:7443", "public"),
        ("tcp://1.tcp.example.com:20001", None, "tcp://1.tcp.example.com:20001", "public"),
        ("http://api.internal", None, "http://api.internal", "internal"),
        ("https://a.b.internal:9", "internal", "https://a.b.internal:9", "internal"),
        ("tcp://db.internal:5432", None, "tcp://db.internal:5432", "internal"),
    ],
)
def test_a_whole_url_is_folded(text: str, binding: Binding | None, written: str, bound: str) -> None:
    url, found = parse_url(text, binding, PORTS)
    assert (str(url), found) == (written, bound)


@pytest.mark.parametrize(
    ("text", "binding", "code"),
    [
        ("", None, 18022),
        ("app.example.com", None, 18022),
        ("ftp://app.example.com", None, 18022),
        ("ssh://app.example.com:22", None, 18022),
        ("tcp://app.example.com", None, 18003),
        ("tcp://db.internal", None, 18003),
        ("https://app.example.com:x", None, 18003),
        ("https://app.example.com:0", None, 18003),
        ("https://app.example.com:65536", None, 18003),
        ("https://app.example.com:8443", None, 18023),
        ("http://app.example.com:443", None, 18023),
        ("https://", None, 18001),
        ("tcp://", None, 18001),
        ("https://app..example.com", None, 18001),
        ("https://app.example.com/path", None, 18001),
        ("https://user@app.example.com", None, 18001),
        ("https://a b.example.com", None, 18001),
        ("https://a.b.c.d.e.f.internal", None, 18001),
        ("https://app.internal", "public", 9029),
        ("https://app.example.com", "internal", 9029),
    ],
)
def test_anything_else_is_refused(text: str, binding: Binding | None, code: int) -> None:
    with pytest.raises(Error) as caught:
        parse_url(text, binding, PORTS)
    assert caught.value.code == f"ERR_NGROK_{code}", caught.value


def test_one_binding_or_none() -> None:
    assert parse_binding([]) is None
    assert parse_binding(["public"]) == "public"
    assert parse_binding(["internal"]) == "internal"


@pytest.mark.parametrize(
    ("bindings", "code"),
    [
        (["private"], 15005),
        (["public", "internal"], 15005),
        (["public", "public"], 15006),
        (["kubernetes"], 15010),
    ],
)
def test_other_bindings_are_refused(bindings: list[str], code: int) -> None:
    with pytest.raises(Error) as caught:
        parse_binding(bindings)
    assert caught.value.code == f"ERR_NGROK_{code}"
