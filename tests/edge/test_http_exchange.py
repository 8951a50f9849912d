"""The events that are made of requests and connections."""

from portway.codec.http1 import parse_request
from portway.edge.http_exchange import ConnectionFacts, Exchange
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint
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
