"""Whom a request asks for."""

import pytest
from tests.kit.http_edge import HandEdge

from portway.codec.http1 import RequestHead, parse_request
from portway.edge.http_naming import Misdirected, name, never_asked
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint
from portway.model.url import Url


def head(host: str, target: str = "/") -> RequestHead:
    return parse_request(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def edge() -> tuple[HandEdge, Endpoint]:
    """An edge with https://app.example."""
    made = HandEdge()
    endpoint = Endpoint("ep", Url("https", "app.example", 443), "https", "ac", Pool(lambda n: n - 1))
    made.registry.add(endpoint)
    return made, endpoint


def test_host_sni_and_scheme_agree() -> None:
    made, endpoint = edge()
    for host in ("app.example", "APP.example:443", "app.example."):
        assert name(made, head(host), "https", "app.example", None) is endpoint
    assert name(made, head("app.example", "https://app.example/x"), "https", "", None) is endpoint


@pytest.mark.parametrize(
    ("host", "target", "sni", "status", "code"),
    [
        ("other.example", "/", "app.example", 421, 3007),
        ("app.example", "/", "other.example", 421, 3007),
        ("app.example", "http://app.example/", "app.example", 421, 3007),
        ("other.example", "/", "other.example", 404, 3200),
    ],
)
def test_they_do_not(host: str, target: str, sni: str, status: int, code: int) -> None:
    made, _ = edge()
    with pytest.raises(Misdirected) as caught:
        name(made, head(host, target), "https", sni, None)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_connection_without_a_request_was_for_whom_its_hello_named() -> None:
    made, endpoint = edge()
    assert never_asked(made, "app.example") is endpoint
    assert never_asked(made, "other.example") is None
    assert never_asked(made, "") is None
