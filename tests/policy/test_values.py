"""Variables and what they are, from facts."""

import pytest
from tests.kit.policy import NOW, facts, value

from portway.policy.expression import EvaluationError
from portway.policy.facts import Connection, Endpoint, Facts, Request, Response, Tls
from portway.policy.geo import Geo, Place
from portway.policy.phase import Phase
from portway.policy.written import weigh

TOR = ["proxy", "proxy.anonymous", "proxy.anonymous.tor"]
HERE = Geo(
    Place(city="Berlin", country="Germany", country_code="DE", is_eu=True, latitude="52.5", longitude="13.4"),
    Place(country_code="FR"),
    3320,
    "Telekom",
    ("proxy.anonymous.tor", "com.a.b"),
)


@pytest.mark.row("P-19", "P-20", "P-22", "P-28")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("conn.client_ip + ':' + string(conn.client_port)", "192.0.2.1:40000"),
        ("conn.server_ip", "127.0.0.1"),
        ("conn.bytes_in + conn.bytes_out", 0),
        ("conn.tls.sni + conn.tls.version + conn.tls.negotiated_alpn", ""),
        ("endpoint.addr", "a.example:443"),
        (
            "endpoint.id + endpoint.protocol + endpoint.host + endpoint.url",
            "ep_1httpsa.examplehttps://a.example",
        ),
        ("endpoint.port", 443),
        ("req.method + req.version + req.host", "GETHTTP/1.1a.example"),
        ("req.url.uri + req.url.raw", "/x?y=1https://a.example/x?y=1"),
        ("req.content_length", 12),
        ("req.content_encoding", ["gzip", "br"]),
        ("req.location", "/l"),
        ("conn.k8s.pod.id + conn.k8s.pod.metadata.name", ""),
        ("conn.k8s.pod.metadata.annotations", {}),
        ("conn.ts.start == req.ts.header_received", True),
        ("res.status_code + 1", 405),
        ("res.content_type", "text/plain"),
        ("res.location", ""),
    ],
)
def test_values(source: str, wanted: object) -> None:
    known = facts(
        "/x?y=1",
        fields=[(b"content-length", b"12"), (b"Content-Encoding", b"GZIP, br"), (b"location", b"/l")],
        response=Response(404, [(b"Content-Type", b"Text/Plain")]),
    )
    assert value(source, known, Phase.HTTP_RESPONSE) == wanted


@pytest.mark.parametrize("length", [b"", b"-1", b"x", b"9" * 30, "١".encode()])
def test_a_length_that_is_none_is_absent(length: bytes) -> None:
    assert value("has(req.content_length)", facts(fields=[(b"content-length", length)])) is False


def test_connections_without_requests() -> None:
    connection = Connection("10.0.0.1", started=NOW, tls=Tls("a.example", "t13d"))
    known = Facts(connection, Endpoint("ep_1", "tcp://a:1", "tcp", "a", 1))
    assert value("conn.tls.sni + conn.tls.ja4_fingerprint", known, Phase.TCP_CONNECT) == "a.examplet13d"
    with pytest.raises(EvaluationError, match="absent"):
        value("req.url.path", known)


@pytest.mark.row("P-23", "P-24")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("conn.geo.city + conn.geo.country_code", "BerlinDE"),
        ("conn.client_ip.geo.location.is_eu", True),
        ("conn.client_ip.geo.registered_location.country_code", "FR"),
        ("conn.client_ip.as.number", 3320),
        ("conn.client_ip.as.organization", "Telekom"),
        (
            "conn.client_ip.categories",
            [*TOR, "com", "com.a", "com.a.b"],
        ),
        ("conn.client_ip.is_tor_node && !conn.client_ip.is_on_blocklist", True),
        ("double(conn.geo.latitude) > 52.0", True),
        ("conn.server_ip.geo.location.city", ""),
        ("has(conn.server_ip.as.number)", False),
    ],
)
def test_places(source: str, wanted: object) -> None:

    def geo(address: str) -> Geo:
        return HERE if address == "192.0.2.1" else Geo()

    assert value(source, geo=geo) == wanted


def test_the_request_is_seen_as_it_is_now() -> None:
    known = facts("/a")
    assert value("req.url.path", known) == "/a"
    assert known.request is not None
    known.request.target = "/b"
    assert value("req.url.path", known) == "/b"


def test_requests_of_absolute_oddity() -> None:
    assert value("req.url.path", Facts(request=Request(target="*"))) == "*"


def test_weights() -> None:
    assert weigh("a" * 1000) >= 1000
    assert weigh("é" * 1000) >= 2000
    assert weigh({"a": [b"x" * 100, 1, None]}) > 100
