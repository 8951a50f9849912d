"""Names that may be reserved, and the service's own."""

import pytest

from portway.errors import Error
from portway.model.domain import ServiceNames, cname_target, names_above, parse_domain

OURS = ServiceNames("portway.example", "1.tcp.portway.example")
DEEP = ServiceNames("a.b.example", "localhost")


@pytest.mark.parametrize(("text", "name"), [
    ("app.example.com", "app.example.com"),
    (" App.Example.COM. ", "app.example.com"),
    ("bücher.example.com", "xn--bcher-kva.example.com"),
    ("*.example.com", "*.example.com"),
    ("foo.portway.example", "foo.portway.example"),
    ("*.foo.portway.example", "*.foo.portway.example"),
    ("a.b.c.foo.portway.example", "a.b.c.foo.portway.example"),
    ("nas.lan", "nas.lan"),
    ("notportway.example", "notportway.example"),
    ("apis.portway.example", "apis.portway.example"),
])  # fmt: skip
def test_names_are_folded(text: str, name: str) -> None:
    assert parse_domain(text, OURS) == name


@pytest.mark.parametrize(("text", "code"), [
    ("a.*.example.com", 402), ("*", 402), ("a*.example.com", 403), ("**.example.com", 403),
    ("a b.example.com", 406), ("a/b.example.com", 406), ("-a.example.com", 407), (".example.com", 407),
    ("a-.example.com", 408), ("a..example.com", 409), ("a.example.com..", 409), ("ab--c.example.com", 410),
    ("xn--\x7f.example.com", 406), ("xn--a-ecp.xn--zzzzzzzzz9.com", 429), ("a_b.example.com", 438),
    ("", 448), ("  ", 448), ("localhost", 448), ("foo", 448),
    ("a" * 64 + ".example.com", 513), (".".join(["a" * 60] * 5), 514),
    ("foo.internal", 411), ("foo.onion", 411), ("10.0.0.1", 411), ("1.0x7f", 411),
    ("portway.example", 404), ("api.portway.example", 404), ("connect.portway.example", 404),
    ("1.tcp.portway.example", 404), ("tcp.portway.example", 404),
    ("v2.api.portway.example", 450), ("x.cname.portway.example", 450), ("2.tcp.portway.example", 450),
    ("*.portway.example", 416), ("*.com", 416), ("*.api.portway.example", 416),
])  # fmt: skip
def test_what_is_refused_and_how(text: str, code: int) -> None:
    with pytest.raises(Error) as caught:
        parse_domain(text, OURS)
    assert caught.value.code == f"ERR_NGROK_{code}"


@pytest.mark.parametrize(("text", "code"), [("b.example", 404), ("*.b.example", 416)])
def test_what_covers_the_service_is_refused(text: str, code: int) -> None:
    with pytest.raises(Error) as caught:
        parse_domain(text, DEEP)
    assert caught.value.code == f"ERR_NGROK_{code}"


def test_a_tcp_host_elsewhere_is_the_services_too() -> None:
    names = ServiceNames("portway.example", "tcp.example.net")
    with pytest.raises(Error, match="itself"):
        parse_domain("tcp.example.net", names)
    assert parse_domain("x.tcp.example.net", names) == "x.tcp.example.net"


@pytest.mark.parametrize(("name", "above"), [
    ("example.com", []),
    ("app.example.com", ["*.example.com", "example.com"]),
    ("a.b.example.com", ["*.b.example.com", "b.example.com", "*.example.com", "example.com"]),
    ("*.example.com", ["example.com"]),
    ("*.b.example.com", ["b.example.com", "*.example.com", "example.com"]),
    ("foo.portway.example", []),
    ("*.foo.portway.example", ["foo.portway.example"]),
    ("a.foo.portway.example", ["*.foo.portway.example", "foo.portway.example"]),
])  # fmt: skip
def test_who_is_above(name: str, above: list[str]) -> None:
    assert names_above(name, OURS) == above


def test_names_below_a_base_of_one_label() -> None:
    names = ServiceNames("localhost")
    assert parse_domain("foo.localhost", names) == "foo.localhost"
    assert names_above("a.foo.localhost", names) == ["*.foo.localhost", "foo.localhost"]


def test_only_a_foreign_name_needs_a_cname() -> None:
    assert cname_target("rd_2aBc", "foo.portway.example", OURS) is None
    assert cname_target("rd_2aBc", "www.example.com", OURS) == "2abc.cname.portway.example"
