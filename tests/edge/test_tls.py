"""The https and tls listener over real sockets: whose TLS it is, and which certificate is shown."""

import asyncio
import http.client
import ssl
from typing import Any

import pytest
from tests.kit.certificates import Authority
from tests.kit.service import DOMAIN, Running, running_worker
from tests.kit.uploads import upload

from portway.codec.client_hello import ALERT_DECODE_ERROR, ALERT_UNRECOGNIZED_NAME, alert_record
from portway.edge.ports import Limits
from portway.edge.tls import HELLO_RECORDS
from portway.errors import Error
from portway.model.event import TcpConnectionClosed
from portway.model.url import parse_endpoint_url
from portway.net.tls import TlsPump, agent_context

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def visit_tls(service: Running, name: str, context: ssl.SSLContext | None = None) -> Streams:
    """Connect to the https listener as a visitor of this name."""
    trusting = context or agent_context(service.certs.ca)
    return await asyncio.open_connection("127.0.0.1", service.https_port, ssl=trusting, server_hostname=name)


async def get(streams: Streams, host: str, path: str = "/") -> tuple[int, str, bytes]:
    """Ask for a path; return status, error code and body."""
    reader, writer = streams
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    writer.close()
    lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), fields.get("ngrok-error-code", ""), body


async def hello(name: str | None) -> bytes:
    """Return the ClientHello of an ordinary client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


async def say(service: Running, *pieces: bytes) -> bytes:
    """Write bytes to the https listener, piece by piece; return all that comes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.https_port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


async def answer_http(agent: Any, body: bytes) -> Any:
    """Answer one request of the next visitor; return the visitor."""
    taken = await agent.visitor()
    head = await taken.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"GET ")
    taken.finish(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return taken


@pytest.mark.row("S24")
async def test_https_is_terminated_and_forwarded() -> None:
    async with running_worker() as service, service.connected() as agent:
        host = parse_endpoint_url((await agent.bind("https"))["URL"]).host
        streams = await visit_tls(service, host)
        asked = asyncio.create_task(get(streams, host))
        taken = await answer_http(agent, b"hello")
        assert await asked == (200, "", b"hello")
        assert (taken.header.proto, taken.header.passthrough_tls) == ("https", False)


async def test_an_unknown_name_below_the_domain_gets_the_error_page() -> None:
    async with running_worker() as service:
        for host in (f"nobody.{DOMAIN}", DOMAIN):
            status, error, _body = await get(await visit_tls(service, host), host)
            assert (status, error) == (404, "ERR_NGROK_3200")


async def test_http_is_forwarded_plain() -> None:
    async with running_worker() as service, service.connected() as agent:
        host = parse_endpoint_url((await agent.bind("http"))["URL"]).host
        streams = await asyncio.open_connection("127.0.0.1", service.http_port)
        asked = asyncio.create_task(get(streams, host))
        taken = await answer_http(agent, b"plain")
        assert await asked == (200, "", b"plain")
        assert taken.header.proto == "http"
        assert http.client.responses[200] == "OK"


@pytest.mark.row("S24")
async def test_tls_endpoints_are_passed_through() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind("tls", {"URL": f"tls://secret.{DOMAIN}"})
        own = Authority()
        visiting = asyncio.create_task(visit_tls(service, f"secret.{DOMAIN}", own.client_context()))
        taken = await agent.visitor()
        assert (taken.header.proto, taken.header.passthrough_tls) == ("tls", True)
        pump = TlsPump(own.server_context(f"secret.{DOMAIN}"), server_side=True)
        while not pump.handshake():
            taken.writer.write(pump.output())
            pump.received(await taken.reader.read(65_536))
        taken.writer.write(pump.output())
        reader, writer = await visiting
        writer.write(b"in confidence")
        plain = memoryview(bytearray(100))
        while not (n := pump.read_into(plain)):
            pump.received(await taken.reader.read(65_536))
        assert plain[:n] == b"in confidence"
        pump.write(b"understood")
        pump.close_notify()
        taken.finish(pump.output())
        assert await reader.read() == b"understood"
        writer.close()
        event = await service.events.next(TcpConnectionClosed)
        assert event.server_name == f"secret.{DOMAIN}"
        assert event.url == bound["URL"]
        assert event.tls_version == "TLSv1.3"
        assert event.bytes_in > 13
        assert event.bytes_out > 10


@pytest.mark.row("S26")
async def test_the_proxy_header_stands_before_the_hello() -> None:
    async with running_worker() as service, service.connected() as agent:
        name = f"p.{DOMAIN}"
        await agent.bind("tls", {"URL": f"tls://{name}", "ProxyProto": 1})
        first = await hello(name)
        reader, writer = await asyncio.open_connection("127.0.0.1", service.https_port)
        writer.write(first[:40])
        await writer.drain()
        writer.write(first[40:] + b"early")
        taken = await agent.visitor()
        assert (await taken.reader.readuntil(b"\r\n")).startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
        assert await taken.read(len(first) + 5) == first + b"early"
        taken.finish(b"bye")
        assert await reader.read() == b"bye"
        writer.close()


async def test_deeper_and_custom_names_get_certificates_once_claimed() -> None:
    async with running_worker() as service, service.connected() as agent:
        service.control.reserve_domain("example.com")
        for host in (f"a.b.{DOMAIN}", "www.example.com"):
            assert await say(service, await hello(host)) == alert_record(ALERT_UNRECOGNIZED_NAME)
            assert service.control.issued == []
            assert (await agent.bind("https", {"URL": f"https://{host}"}))["Error"] == ""
            trusting = service.control.authority.client_context()
            for _ in range(2):
                streams = await visit_tls(service, host, trusting)
                asked = asyncio.create_task(get(streams, host))
                await answer_http(agent, b"issued")
                assert (await asked)[2] == b"issued"
            assert service.control.issued == [host]
            service.control.issued.clear()


async def test_a_certificate_that_cannot_be_had_ends_the_handshake() -> None:
    async with running_worker() as service, service.connected() as agent:
        service.control.reserve_domain("www.example.com")
        assert (await agent.bind("https", {"URL": "https://www.example.com"}))["Error"] == ""

        async def refuse(name: str) -> Any:
            raise Error(f"no certificate for {name}", 128)

        service.control.certificate = refuse  # type: ignore[method-assign]
        assert await say(service, await hello("www.example.com")) == alert_record(80)


async def test_names_that_nobody_has_and_no_name_at_all_get_an_alert() -> None:
    async with running_worker() as service:
        assert await say(service, await hello("nobody.test")) == alert_record(ALERT_UNRECOGNIZED_NAME)
        assert await say(service, await hello(None)) == alert_record(ALERT_UNRECOGNIZED_NAME)


async def test_what_is_no_tls_is_answered_with_an_alert() -> None:
    async with running_worker() as service:
        assert (await say(service, b"GET / HTTP/1.1\r\n\r\n"))[:1] == b"\x15"


def cut_fine(first: bytes, size: int) -> bytes:
    """Cut the one record of a hello into records of this size."""
    payload = first[5:]
    pieces = (payload[at : at + size] for at in range(0, len(payload), size))
    return b"".join(first[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


async def test_a_hello_may_come_byte_by_byte_and_in_several_records() -> None:
    async with running_worker() as service, service.connected() as agent:
        name = f"fine.{DOMAIN}"
        await agent.bind("tls", {"URL": f"tls://{name}"})
        first = await hello(name)
        for said in (first, cut_fine(first, len(first) // 3)):
            reader, writer = await asyncio.open_connection("127.0.0.1", service.https_port)
            for byte in said:
                writer.write(bytes((byte,)))
                await asyncio.sleep(0)
            taken = await agent.visitor()
            assert await taken.read(len(said)) == said
            taken.finish(b"bye")
            assert await reader.read() == b"bye"
            writer.close()


async def test_a_hello_cut_too_fine_is_refused() -> None:
    async with running_worker() as service:
        first = await hello(f"fine.{DOMAIN}")
        pieces = cut_fine(first, 2)
        assert len(pieces) // 7 >= 2 * HELLO_RECORDS
        assert await say(service, pieces[: len(pieces) // 2]) == alert_record(ALERT_DECODE_ERROR)


async def test_a_visitor_without_a_hello_is_closed() -> None:
    async with running_worker(limits=Limits(client_hello=0.05)) as service:
        assert await say(service) == b""
        assert await say(service, (await hello("a.test"))[:20]) == b""


async def served(service: Running, host: str, shown: Authority) -> int:
    """Visit a name over TLS, trusting one authority; return the status."""
    streams = await visit_tls(service, host, shown.client_context())
    return (await get(streams, host))[0]


async def test_an_uploaded_certificate_is_shown_for_its_domain_online_or_not() -> None:
    async with running_worker() as service, service.connected() as agent:
        control = service.control
        local, control.authority = control.authority, Authority()
        mine = control.authority
        item = upload(control, "cert_1", "shop.example.com")
        control.authority = local
        asked = len(control.issued)
        assert await served(service, "shop.example.com", mine) == 404  # our page, under its certificate
        await agent.bind("https", {"URL": "https://shop.example.com"})
        for _ in range(2):
            asking = asyncio.create_task(served(service, "shop.example.com", mine))
            await answer_http(agent, b"mine")
            assert await asking == 200
        assert len(control.issued) == asked
        control.reserve_domain("shop.example.com")  # the certificate is taken off
        control.delete(item)
        asking = asyncio.create_task(served(service, "shop.example.com", local))
        await answer_http(agent, b"local")
        assert await asking == 200


async def test_a_wildcard_endpoint_has_one_certificate_and_serves_any_depth() -> None:
    async with running_worker() as service, service.connected() as agent:
        service.control.reserve_domain("*.example.com")
        assert (await agent.bind("https", {"URL": "https://*.example.com"}))["Error"] == ""
        trusting = service.control.authority.client_context()
        for _ in range(2):
            for host in ("a.example.com", "b.example.com"):
                asking = asyncio.create_task(get(await visit_tls(service, host, trusting), host))
                await answer_http(agent, b"wild")
                assert (await asking)[2] == b"wild"
        trusting.check_hostname = False  # a wildcard certificate covers one label
        asking = asyncio.create_task(
            get(await visit_tls(service, "a.b.example.com", trusting), "a.b.example.com")
        )
        await answer_http(agent, b"deep")
        assert (await asking)[2] == b"deep"
        assert service.control.issued == ["*.example.com"]
        assert await say(service, await hello("example.com")) == alert_record(ALERT_UNRECOGNIZED_NAME)
