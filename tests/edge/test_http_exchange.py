"""The events that are made of requests and connections."""

from types import SimpleNamespace
from typing import cast

from msgspec.structs import replace

from portway.codec.http1 import parse_request
from portway.edge.http_exchange import ConnectionFacts, Exchange
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint
from portway.edge.tls_facts import Identity, TlsFacts
from portway.model.event import HttpRequestComplete, Trace
from portway.model.url import Url

FACTS = ConnectionFacts(5.0, "https", "203.0.113.7", 51000, "192.0.2.1", 443, "a.example", "TLSv1.3", "AES")
ENDPOINT = Endpoint("ep_1", Url("https", "a.example", 443), "https", "ac_1", Pool(lambda n: n - 1))


def test_a_request_is_told_with_what_is_known() -> None:
    head = parse_request(b"GET /x?y HTTP/1.1\r\nHost: A.example\r\nUser-Agent:  curl/8 \r\n\r\n")
    exchange = Exchange(head, ENDPOINT, 7.0, status=200, bytes_in=1, bytes_out=2, reused=True)
    event = exchange.event(FACTS, 9.0)
    assert (event.account_id, event.endpoint_id, event.start_ts, event.end_ts) == ("ac_1", "ep_1", 7.0, 9.0)
    assert (event.client_ip, event.client_port, event.server_port) == ("203.0.113.7", 51000, 443)
    assert (event.method, event.target, event.host, event.user_agent) == (
        "GET",
        "/x?y",
        "a.example",
        "curl/8",
    )
    assert (event.request_length, event.response_length, event.connection_reused) == (1, 2, True)
    assert (event.error_code, event.aborted, event.tls_cipher) == ("", False, "AES")


def test_every_fact_is_told_by_its_own_name() -> None:
    head = parse_request(b"PUT /x?y HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8\r\n\r\n")
    place = Trace("t", "s")
    exchange = Exchange(
        head, ENDPOINT, 7.0, reused=True, status=502, code=3004, bytes_in=1, bytes_out=2, aborted=True,
        answer_at=8.5, complete_at=8.0, trace=place,
    )  # fmt: skip
    tls = SimpleNamespace(ja4="t13", identity=Identity(subject_cn="cn", serial_number="1"))
    facts = replace(FACTS, tls=cast("TlsFacts", tls), version="HTTP/2.0", _told=None)
    assert exchange.event(facts, 9.0) == HttpRequestComplete(
        account_id="ac_1", endpoint_id="ep_1", client_ip="203.0.113.7", client_port=51000,
        server_ip="192.0.2.1", server_port=443, server_name="a.example", start_ts=7.0, end_ts=9.0,
        scheme="https", host="a.example", method="PUT", target="/x?y", version="HTTP/2.0",
        user_agent="curl/8", request_length=1, status=502,
        response_length=2, connection_reused=True, tls_version="TLSv1.3", tls_cipher="AES", ja4="t13",
        client_certificate_cn="cn", client_certificate_serial="1",
        error_code="ERR_NGROK_3004", aborted=True, conn_start_ts=5.0, request_end_ts=8.0,
        response_start_ts=8.5, trace=place,
    )  # fmt: skip


def test_an_answer_of_ours_is_told_with_its_code() -> None:
    head = parse_request(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    event = Exchange(head, None, 7.0, status=404, code=3200).event(FACTS, 9.0)
    assert (event.error_code, event.endpoint_id, event.version, event.user_agent) == (
        "ERR_NGROK_3200",
        "",
        "HTTP/1.0",
        "",
    )


def test_a_connection_is_told() -> None:
    event = FACTS.event(ENDPOINT, 9.0, 10, 20)
    assert (event.url, event.start_ts, event.end_ts) == ("https://a.example", 5.0, 9.0)
    assert (event.bytes_in, event.bytes_out, event.server_name) == (10, 20, "a.example")
