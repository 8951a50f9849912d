"""TLS that ends at the edge, over real sockets: certificates, mutual TLS, ends in both directions."""

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.kit import mutual
from tests.kit.agent import code
from tests.kit.certificates import Authority
from tests.kit.programs import need
from tests.kit.service import DOMAIN, Running, running_worker
from tests.kit.tls_visitor import TlsVisitor, close_visitors, tls_visitor

from portway.codec import proxy_protocol
from portway.codec.client_hello import ALERT_NO_APPLICATION_PROTOCOL, alert_record
from portway.edge.ports import Limits
from portway.edge.tls_settings import TlsSettings
from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.net.tls import TlsPump, agent_context

PATIENCE = 10.0
NAME = f"ended.{DOMAIN}"
URL = f"tls://{NAME}"


def told(data: bytes) -> str:
    return base64.b64encode(data).decode()


def trusting(service: Running, shown: mutual.Signed | None = None) -> ssl.SSLContext:
    context = agent_context(service.certs.ca)
    return context if shown is None else shown.show(context)


CA = {"mutual_tls_ca": told(mutual.authority().pem)}


@pytest.fixture(autouse=True)
async def closing() -> AsyncGenerator[None]:
    """Close all visitors before the loop ends."""
    yield
    await close_visitors()


async def visit(service: Running, context: ssl.SSLContext, name: str = NAME, port: int = 0) -> TlsVisitor:
    """Come as a visitor of a name, to the https listener unless a port is said."""
    return await tls_visitor(port or service.https_port, context, name)


@pytest.mark.row("T-012", "G-103")
async def test_tls_ends_at_the_edge_with_the_services_certificate() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind("tls", {"URL": URL, "TLSTermination": {}})
        assert bound["Error"] == ""
        visitor = await visit(service, trusting(service))
        await visitor.until(lambda: visitor.pump.secure)
        taken = await agent.visitor()
        assert (taken.header.proto, taken.header.passthrough_tls) == ("tls", False)
        taken.writer.write(b"server first")
        await visitor.until(lambda: visitor.plain == b"server first")
        visitor.say(b"in clear")
        assert await taken.read(8) == b"in clear"
        visitor.end()
        assert await taken.rest() == b""
        taken.finish(b" and last")
        await visitor.until(lambda: visitor.pump.eof)
        assert visitor.plain == b"server first and last"
        await visitor.gone()
        event = await service.events.next(TcpConnectionClosed)
        assert (event.bytes_in, event.bytes_out, event.error) == (8, 21, "")
        assert (event.server_name, event.tls_version, event.url) == (NAME, "TLSv1.3", bound["URL"])
        assert event.ja4.startswith("t13d")


async def test_the_agent_ends_first_and_the_visitor_goes_on() -> None:
    async with running_worker() as service, service.connected() as agent:
        await agent.bind("tls", {"URL": URL, "TLSTermination": {}})
        visitor = await visit(service, trusting(service))
        taken = await agent.visitor()
        taken.finish(b"done")
        await visitor.until(lambda: visitor.pump.eof)
        visitor.say(b"still here")
        assert await taken.read(10) == b"still here"
        visitor.end()
        assert await taken.rest() == b""
        await visitor.gone()


async def test_a_certificate_of_ones_own_is_shown_also_for_a_foreign_name() -> None:
    own = Authority()
    chain, key = own.issue("shop.example.com")
    async with running_worker() as service, service.connected() as agent:
        service.control.reserve_domain("shop.example.com")
        ended = {"cert": told(chain), "key": told(key)}
        bound = await agent.bind("tls", {"URL": "tls://shop.example.com", "TLSTermination": ended})
        assert bound["Error"] == ""
        visitor = await visit(service, own.client_context(), "shop.example.com")
        taken = await agent.visitor()
        taken.finish(b"x")
        await visitor.until(lambda: visitor.plain == b"x")
        assert service.control.issued == []


@pytest.mark.row("S26", "T-068")
@pytest.mark.parametrize("version", [1, 2])
async def test_the_proxy_header_stands_before_the_bytes(version: int) -> None:
    async with running_worker() as service, service.connected() as agent:
        await agent.bind("tls", {"URL": URL, "TLSTermination": {}, "ProxyProto": version})
        visitor = await visit(service, trusting(service))
        taken = await agent.visitor()
        assert visitor.transport is not None
        ends = ["{}:{}".format(*visitor.transport.get_extra_info(end)) for end in ("sockname", "peername")]
        wanted = proxy_protocol.encode(version, *ends)
        assert await taken.read(len(wanted)) == wanted
        visitor.say(b"then data")
        assert await taken.read(9) == b"then data"


async def test_large_transfers_arrive_whole_in_both_directions_at_once() -> None:
    data = bytes(range(256)) * 4000
    async with running_worker() as service, service.connected() as agent:
        await agent.bind("tls", {"URL": URL, "TLSTermination": {}})
        visitor = await visit(service, trusting(service))
        await visitor.until(lambda: visitor.pump.secure)
        taken = await agent.visitor()
        visitor.say(data)
        visitor.end()
        taken.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            assert await taken.reader.read(-1) == data
        taken.finish()
        await visitor.until(lambda: visitor.pump.eof)
        assert visitor.plain == data
        await visitor.gone()


async def test_a_stream_that_is_cut_cuts_the_visitor_without_a_close_notify() -> None:
    async with running_worker() as service, service.connected() as agent:
        await agent.bind("tls", {"URL": URL, "TLSTermination": {}})
        visitor = await visit(service, trusting(service))
        taken = await agent.visitor()
        taken.writer.write(b"part")
        await visitor.until(lambda: visitor.plain == b"part")
        taken.stream.abort(6)
        await visitor.gone()
        assert not visitor.pump.eof
        event = await service.events.next(TcpConnectionClosed)
        assert "reset with code 6" in event.error


async def test_a_visitor_that_vanishes_in_its_handshake_costs_the_agent_nothing() -> None:
    async with running_worker(limits=Limits(tls_handshake=0.2)) as service, service.connected() as agent:
        await agent.bind("tls", {"URL": URL, "TLSTermination": {}})
        hello = TlsPump(trusting(service), server_side=False, server_hostname=NAME)
        hello.handshake()
        first = hello.output()
        for ends in (True, False):  # by closing, by saying nothing more
            reader, writer = await asyncio.open_connection("127.0.0.1", service.https_port)
            writer.write(first)
            if ends:
                writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                await reader.read()
            writer.close()
        events = [await service.events.next(TcpConnectionClosed, n) for n in (1, 2)]
        assert all("TLS handshake" in event.error for event in events)
        assert agent.visitors.empty()


async def test_an_agent_that_is_too_busy_is_asked_once_and_another_serves() -> None:
    async with (
        running_worker() as service,
        service.connected() as busy,
        service.connected("good2") as free,
    ):
        busy.takes = False
        opts: dict[str, Any] = {"URL": URL, "TLSTermination": {}}
        for agent in (busy, free):
            assert (await agent.bind("tls", opts, PoolingEnabled=True))["Error"] == ""
        for _ in range(4):
            visitor = await visit(service, trusting(service))
            taken = await free.visitor()
            taken.finish(b"served")
            await visitor.until(lambda each=visitor: each.plain == b"served")


async def test_members_of_a_pool_must_agree_on_tls() -> None:
    async with (
        running_worker() as service,
        service.connected() as first,
        service.connected("good2") as second,
    ):
        assert (await first.bind("tls", {"URL": URL, "TLSTermination": {}}, PoolingEnabled=True))[
            "Error"
        ] == ""
        others: list[dict[str, Any]] = [
            {"URL": URL},
            {"URL": URL, "TLSTermination": {}, "MutualTLSAtEdge": CA},
        ]
        for opts in others:
            answer = await second.bind("tls", opts, PoolingEnabled=True)
            assert code(answer) == "334"
        assert (await second.bind("tls", {"URL": URL, "TLSTermination": {}}, PoolingEnabled=True))[
            "Error"
        ] == ""


@pytest.mark.row("G-110")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_mutual_tls_at_the_edge_of_a_tls_endpoint(version: ssl.TLSVersion) -> None:
    async with running_worker() as service, service.connected() as agent:
        opts = {"URL": URL, "TLSTermination": {}, "MutualTLSAtEdge": CA}
        assert (await agent.bind("tls", opts))["Error"] == ""
        late = mutual.sign("late", mutual.authority(), expired=True)
        for shown in (None, late, mutual.sign("nobody")):
            context = trusting(service, shown)
            context.maximum_version = version
            visitor = await visit(service, context)
            await visitor.gone()
            assert visitor.error is not None, shown
            assert "alert" in str(visitor.error) or "certificate" in str(visitor.error)
            assert not visitor.plain
        assert agent.visitors.empty()
        context = trusting(service, mutual.client())
        context.maximum_version = version
        visitor = await visit(service, context)
        taken = await agent.visitor()
        taken.finish(b"welcome")
        await visitor.until(lambda: visitor.plain == b"welcome")


async def test_lax_strategies_let_visitors_in_and_remember_who_they_were() -> None:
    async with running_worker() as service, service.connected() as agent:
        await agent.bind("tls", {"URL": URL, "TLSTermination": {}})
        [endpoint] = service.worker.registry.all()
        for strategy, shown, admitted in (
            ("require-any", mutual.sign("self"), True),
            ("require-any", None, False),
            ("request", None, True),
        ):
            endpoint.tls = TlsSettings(strategy=strategy)  # type: ignore[arg-type]  # as a policy would
            visitor = await visit(service, trusting(service, shown))
            if admitted:
                taken = await agent.visitor()
                visitor.say(b"hello" * 20_000)
                assert await taken.read(100_000) == b"hello" * 20_000
                visitor.end()
                assert await taken.rest() == b""
                taken.finish(b"bye" * 50_000)
                await visitor.until(lambda each=visitor: each.pump.eof)
                assert visitor.plain == b"bye" * 50_000
            await visitor.gone()
        assert agent.visitors.empty()


@pytest.mark.row("G-103")
async def test_a_tcp_endpoint_may_have_its_visitors_tls_ended_too() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind("tcp")
        [endpoint] = service.worker.registry.all()
        endpoint.tls = TlsSettings()
        port = int(bound["URL"].rpartition(":")[2])
        visitor = await visit(service, trusting(service), "localhost", port)
        taken = await agent.visitor()
        assert (taken.header.proto, taken.header.passthrough_tls) == ("tcp", False)
        visitor.say(b"over tcp")
        assert await taken.read(8) == b"over tcp"
        visitor.end()
        taken.finish(b"answer")
        await visitor.until(lambda: visitor.pump.eof)
        assert visitor.plain == b"answer"
        await visitor.gone()


# -- https


async def ask(visitor: TlsVisitor, host: str, *fields: str) -> None:
    lines = "".join(f"{field}\r\n" for field in fields)
    visitor.say(f"GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())


HOST = f"mutual.{DOMAIN}"


async def test_mutual_tls_of_an_https_endpoint_tells_the_upstream_who_visits() -> None:
    async with running_worker() as service, service.connected() as agent:
        assert (await agent.bind("https", {"URL": f"https://{HOST}", "MutualTLSCA": CA}))["Error"] == ""
        stranger = await visit(service, trusting(service), HOST)
        await stranger.gone()
        assert stranger.error is not None
        assert not stranger.plain  # an alert, no answer in HTTP
        visitor = await visit(service, trusting(service, mutual.client()), HOST)
        await visitor.until(lambda: visitor.pump.secure)
        await ask(visitor, HOST, "Ngrok-Mtls-Subject-CN: root", "ngrok_mtls_subject_cn: root")
        taken = await agent.visitor()
        head = (await taken.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "ngrok-mtls-subject-cn: alice\r\n" in head
        assert "ngrok-mtls-subject-alt-name-dns: alice.test,a.test\r\n" in head
        assert "ngrok-mtls-email-addresses: alice@a.test\r\n" in head
        assert "ngrok-mtls-serial-number: abcdef\r\n" in head
        assert "root" not in head
        taken.finish(b"HTTP/1.1 204 No Content\r\n\r\n")
        await visitor.until(lambda: visitor.plain.endswith(b"\r\n\r\n"))
        assert visitor.plain.startswith(b"HTTP/1.1 204 ")
        event = await service.events.next(HttpRequestComplete)
        assert (event.client_certificate_cn, event.client_certificate_serial) == ("alice", "abcdef")
        assert event.ja4.startswith("t13d")


async def test_mutual_tls_over_http2_tells_the_upstream_too(tmp_path: Path) -> None:
    ca, shown = tmp_path / "ca.pem", tmp_path / "client.pem"
    async with running_worker() as service, service.connected() as agent:
        ca.write_bytes(service.certs.ca)
        shown.write_bytes(mutual.client().pem + mutual.client().key_pem)
        assert (await agent.bind("https", {"URL": f"https://{HOST}", "MutualTLSCA": CA}))["Error"] == ""
        client = await asyncio.create_subprocess_exec(
            str(need("curl")), "--silent", "--http2", "--noproxy", "*",
            "--write-out", "%{http_version} %{http_code}",
            "--cacert", str(ca), "--cert", str(shown), "--resolve", f"{HOST}:{service.https_port}:127.0.0.1",
            "--header", "ngrok-mtls-subject-cn: root", f"https://{HOST}:{service.https_port}/",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        taken = await agent.visitor()
        head = (await taken.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "ngrok-mtls-subject-cn: alice\r\n" in head
        assert "root" not in head
        taken.finish(b"HTTP/1.1 204 No Content\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            out, _ = await client.communicate()
        assert out == b"2 204"


async def test_without_mutual_tls_nobody_can_pose_as_somebody() -> None:
    async with running_worker() as service, service.connected() as agent:
        await agent.bind("https", {"URL": f"https://{HOST}"})
        visitor = await visit(service, trusting(service), HOST)
        await visitor.until(lambda: visitor.pump.secure)
        await ask(visitor, HOST, "Ngrok-Mtls-Subject-CN: root", "ngrok_mtls_subject_cn: root")
        taken = await agent.visitor()
        assert b"mtls" not in (await taken.reader.readuntil(b"\r\n\r\n")).lower()


async def test_a_connection_from_before_mutual_tls_is_not_served_behind_it() -> None:
    async with running_worker() as service, service.connected() as agent:
        visitor = await visit(service, trusting(service), HOST)
        await visitor.until(lambda: visitor.pump.secure)
        await ask(visitor, HOST)
        await visitor.until(lambda: b"\r\n\r\n" in visitor.plain)
        assert visitor.plain.startswith(b"HTTP/1.1 404 ")
        await agent.bind("https", {"URL": f"https://{HOST}", "MutualTLSCA": CA})
        visitor.forget()
        await ask(visitor, HOST)
        await visitor.until(lambda: b"\r\n\r\n" in visitor.plain)
        assert visitor.plain.startswith(b"HTTP/1.1 421 ")
        assert agent.visitors.empty()


async def test_who_speaks_no_http_is_told_so_by_an_alert() -> None:
    async with running_worker() as service, service.connected() as agent:
        await agent.bind("https", {"URL": f"https://{HOST}"})
        for protocols, wanted in (
            (["imap"], None),
            (["imap", "http/1.1"], "http/1.1"),
            (["http/1.0"], "http/1.0"),
        ):
            context = trusting(service)
            context.set_alpn_protocols(protocols)
            visitor = await visit(service, context, HOST)
            if wanted is None:
                await visitor.gone()
                assert bytes(visitor.raw) == alert_record(ALERT_NO_APPLICATION_PROTOCOL)
            else:
                await visitor.until(lambda each=visitor: each.pump.secure)
                assert visitor.pump.alpn == wanted


async def test_early_data_which_somebody_could_replay_is_never_asked_for(tmp_path: Path) -> None:
    openssl, session = str(need("openssl")), tmp_path / "session"
    request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()

    def run(*command: str, said: bytes = b"") -> bytes:
        return subprocess.run(
            [openssl, *command], input=said, capture_output=True, check=True, timeout=PATIENCE
        ).stdout

    async with running_worker() as service:
        target = f"127.0.0.1:{service.https_port}"
        options = ("-connect", target, "-servername", HOST, "-tls1_3", "-ign_eof", "-sess_out", str(session))
        assert b"404 Not Found" in await asyncio.to_thread(run, "s_client", *options, said=request)
        assert b"Max Early Data: 0\n" in run("sess_id", "-in", str(session), "-noout", "-text")
