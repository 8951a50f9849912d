"""Edges in the data plane: put online from rows, served by labelled tunnels, closed to everybody else."""

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from tests.kit.agent import Agent, code
from tests.kit.certificates import Authority
from tests.kit.edges import ACCOUNT, backend, edge, opened, route, serve, tell
from tests.kit.eventually import eventually_async
from tests.kit.service import DOMAIN, Running, running_worker
from tests.kit.traffic import Answer, get, visitor

from portway.model.event import EndpointOffline, TcpConnectionClosed
from portway.model.view import AuthorityItem, CloudEndpointItem, EdgeItem, IpPolicyItem, IpRuleItem
from portway.session import StreamType


async def until(true: Callable[[], object], what: str) -> None:
    """Wait until something is so."""

    async def look() -> object:
        return true()

    await eventually_async(look, what)


async def attached(service: Running, place: int = 0, **modules: Any) -> int:
    """Put a TCP edge online at one of the ports, with a tunnel group; return the port."""
    port = service.worker.config.tcp_ports[place]
    tell(service, backend(), edge("tcp", [f"tcp://localhost:{port}"], backend="bkdtg_1", **modules))
    return await opened(service, port)


async def closed_without_a_byte(port: int) -> bool:
    """Visit; tell whether the connection is closed and nothing was said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await asyncio.wait_for(reader.read(), 10) == b""
    except ConnectionResetError:
        return True
    finally:
        writer.close()


@pytest.mark.row("T-087", "T-088", "S24")
async def test_a_labelled_tunnel_serves_a_tcp_edge() -> None:
    async with running_worker() as service, service.connected() as agent:
        port = await attached(service)
        assert await closed_without_a_byte(port)
        answer = await serve(agent, {"edge": "one", "team": "web"})
        assert answer["Error"] == ""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping")
        taken = await agent.visitor()
        assert await taken.read(4) == b"ping"
        assert (taken.header.id, taken.header.proto, taken.header.edge_type) == (answer["Id"], "tcp", "1")
        taken.finish(b"pong")
        assert await asyncio.wait_for(reader.read(), 10) == b"pong"
        writer.close()
        await agent.call(StreamType.UNBIND, {"Id": answer["Id"]})
        assert await closed_without_a_byte(port)


@pytest.mark.row("T-082", "T-083", "ED-03", "ED-08")
async def test_an_address_of_an_edge_is_refused_to_agents_until_it_is_detached() -> None:
    async with running_worker() as service, service.connected() as agent:
        port = await attached(service)
        service.control.reserve_address(port)
        url = {"URL": f"tcp://localhost:{port}"}
        assert code(await agent.bind("tcp", url)) == "381"
        _, address = edge("tcp", [f"tcp://localhost:{port}"])
        service.control.delete(address)
        bound = await agent.bind("tcp", url)
        assert bound["Error"] == ""
        tell(service, [address])  # the agent was quicker: the edge waits for it
        assert "waiting=1" in repr(service.worker.edges)
        await agent.call(StreamType.UNBIND, {"Id": bound["Id"]})
        assert "waiting=0" in repr(service.worker.edges)
        assert code(await agent.bind("tcp", url)) == "381"


@pytest.mark.row("T-081", "ED-09")
async def test_a_tcp_edge_has_several_addresses_which_come_and_go() -> None:
    async with running_worker() as service, service.connected() as agent:
        ports = [service.worker.config.tcp_ports[place] for place in (1, 2)]
        urls = [f"tcp://localhost:{port}" for port in ports]
        rows = edge("tcp", urls, backend="bkdtg_1")
        tell(service, backend(), rows)
        await serve(agent)
        for port in ports:
            await opened(service, port)
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            taken = await agent.visitor()
            taken.finish()
            writer.close()
        service.control.delete(rows[1])
        assert str(ports[0]) not in repr(service.worker.ports)
        assert str(ports[1]) in repr(service.worker.ports)


async def test_a_cloud_endpoint_that_waited_for_an_edge_is_online_once_it_goes() -> None:
    async with running_worker() as service:
        port = service.worker.config.tcp_ports[0]
        rows = edge("tcp", [f"tcp://localhost:{port}"])
        tell(service, rows)
        await opened(service, port)
        deny = "on_tcp_connect: [{actions: [{type: deny}]}]"
        cloud = CloudEndpointItem("ep_c", ACCOUNT, f"tcp://localhost:{port}", "public", False, deny)
        tell(service, [cloud])  # news of one moment may come in this order
        service.control.delete(rows[1])
        found = service.worker.registry.find("tcp", "", port)
        assert found is not None
        assert (found.id, found.edge_id) == ("ep_c", "")
        await until(lambda: str(port) in repr(service.worker.ports), "it listens")


@pytest.mark.row("T-093", "T-094", "T-088")
async def test_nobody_behind_it_means_closed_without_a_byte_and_an_event_that_says_why() -> None:
    async with running_worker() as service, service.connected() as agent:
        port = await attached(service)
        assert await closed_without_a_byte(port)
        event = await service.events.next(TcpConnectionClosed)
        assert "no tunnel matches" in event.error
        assert (event.account_id, event.bytes_in, event.bytes_out) == (ACCOUNT, 0, 0)
        await serve(agent, {"edge": "another"})
        assert await closed_without_a_byte(port), "not all labels match"
        tell(service, edge("tcp", [f"tcp://localhost:{port}"]))
        assert await closed_without_a_byte(port), "it has no backend"
        off = {"enabled": False, "backend_id": "bkdtg_1"}
        await serve(agent)
        tell(service, edge("tcp", [f"tcp://localhost:{port}"], backend=off))
        assert await closed_without_a_byte(port), "its backend is switched off"


async def test_an_edge_that_is_not_known_or_cannot_be_built_serves_nobody() -> None:
    async with running_worker() as service, service.connected() as agent:
        await serve(agent)
        port = service.worker.config.tcp_ports[0]
        item, address = edge("tcp", [f"tcp://localhost:{port}"], backend="bkdtg_1")
        tell(service, backend(), [address])
        await opened(service, port)
        assert await closed_without_a_byte(port)
        broken = EdgeItem(item.id, ACCOUNT, "tcp", json.dumps({"traffic_policy": {"value": "nonsense: ["}}))
        tell(service, [broken])
        assert await closed_without_a_byte(port)
        tell(service, [item])
        await eventually_async(lambda: _answers(agent, port), "the edge serves")
        service.control.delete(item)
        assert await closed_without_a_byte(port)


async def _answers(agent: Agent, port: int) -> bool:
    """Visit; tell whether the agent was reached."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if await asyncio.wait_for(reader.read(1), 0.2) == b"":
            return False
    except TimeoutError:
        (await agent.visitor()).finish()
    finally:
        writer.close()
    return True


async def test_what_is_told_of_after_who_names_it_is_used_all_the_same() -> None:
    async with running_worker() as service, service.connected() as agent:
        await serve(agent)
        port = await attached(service, ip_restriction={"ip_policy_ids": ["ipp_1"]})
        assert await closed_without_a_byte(port)
        rule = IpRuleItem("ipr_1", ACCOUNT, "ipp_1", "127.0.0.0/8", "allow")
        tell(service, [rule, IpPolicyItem("ipp_1", ACCOUNT)])
        await eventually_async(lambda: _answers(agent, port), "the edge serves")
        named = route("/", 1, traffic_policy="{}", ip_restriction={"ip_policy_ids": ["ipp_2"]})
        tell(service, backend("http_response", 1, **answer(200)), named)
        https(service)
        await eventually_async(lambda: _status_is(service, "/", 503), "its route cannot be made")
        tell(service, [IpPolicyItem("ipp_2", ACCOUNT)])
        await eventually_async(lambda: _status_is(service, "/", 403), "nobody is let in")


@pytest.mark.row("T-084", "ED-02")
async def test_the_policy_of_a_tcp_edge_judges_its_connections() -> None:
    policy = "on_tcp_connect: [{actions: [{type: deny}]}]"
    async with running_worker() as service, service.connected() as agent:
        await serve(agent)
        port = await attached(service, traffic_policy=policy)
        assert await closed_without_a_byte(port)
        assert agent.visitors.empty()


@pytest.mark.row("T-080")
async def test_two_tunnels_of_a_group_share_its_visitors_and_leave_one_by_one() -> None:
    async with running_worker() as service:
        one, two = await service.two_agents()
        port = await attached(service)
        await serve(one)
        await serve(two)
        for _ in range(24):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
        await until(lambda: one.visitors.qsize() + two.visitors.qsize() == 24, "all are served")
        assert one.visitors.qsize() > 0
        assert two.visitors.qsize() > 0
        await one.leave()
        await service.events.next(EndpointOffline)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await until(lambda: two.visitors.qsize() > 0, "the other serves")
        await two.leave()


HOST = f"edge.{DOMAIN}"


def https(service: Running, *routes: Any, **modules: Any) -> str:
    """Put an HTTPS edge online; return its URL."""
    url = f"https://{HOST}:{service.https_port}"
    tell(service, *routes, edge("https", [url], **modules))
    return url


async def asked(service: Running, path: str) -> Answer:
    """Visit a path of the edge."""
    return await get(f"https://{HOST}:{service.https_port}{path}", service.https_port, tls=trusting(service))


def trusting(service: Running) -> ssl.SSLContext:
    """Return a context that trusts what the service shows."""
    return ssl.create_default_context(cadata=service.certs.ca.decode())


def answer(status: int, body: str = "", **headers: str) -> dict[str, Any]:
    """Return the fields of an HTTP response backend."""
    return {"status_code": status, "body": body, "headers": headers}


@pytest.mark.row("ED-07", "ED-02")
async def test_an_exact_route_wins_then_the_longest_prefix() -> None:
    async with running_worker() as service:
        tell(
            service,
            backend("http_response", 1, **answer(200, "root")),
            backend("http_response", 2, **answer(200, "a")),
            backend("http_response", 3, **answer(201, "exact", **{"x-made": "here"})),
            route("/", 1, backend="bkdhr_1"),
            route("/a", 2, backend="bkdhr_2"),
            route("/a/b", 3, "exact_path", backend="bkdhr_3"),
        )
        https(service)
        await eventually_async(lambda: _status_is(service, "/", 200), "the edge is built")
        for path, body in (
            ("/", b"root"),
            ("/x", b"root"),
            ("/a", b"a"),
            ("/a/b", b"exact"),
            ("/a/b/c", b"a"),
        ):
            assert (await asked(service, path)).body == body, path
        for path in ("/%61/b", "/x/../a/b", "//a/b"):
            assert (await asked(service, path)).body == b"exact", path
        exact = await asked(service, "/a/b?x=1")
        assert (exact.status, exact.fields["x-made"]) == (201, "here")
        service.control.delete(route("/", 1))
        await eventually_async(lambda: _status_is(service, "/x", 404), "the route is gone")
        assert (await asked(service, "/x")).fields["ngrok-error-code"] == "ERR_NGROK_6528"


async def _status_is(service: Running, path: str, status: int) -> bool:
    return (await asked(service, path)).status == status


@pytest.mark.row("ED-02")
async def test_modules_of_a_route_rule_over_its_requests_alone() -> None:
    async with running_worker() as service:
        tell(
            service,
            backend("http_response", 1, **answer(200, "hello")),
            route(
                "/guarded",
                1,
                backend="bkdhr_1",
                user_agent_filter={"allow": ["good"], "deny": [".*"]},
                response_headers={"add": {"x-added": "yes"}},
            ),
            route("/", 2, backend="bkdhr_1"),
        )
        https(service)
        await eventually_async(lambda: _status_is(service, "/", 200), "the edge is built")
        refused = await asked(service, "/guarded")
        assert (refused.status, refused.fields["ngrok-error-code"]) == (403, "ERR_NGROK_3211")
        assert "x-added" not in (await asked(service, "/")).fields
        tell(service, route("/guarded", 1, backend="bkdhr_1", response_headers={"add": {"x-added": "yes"}}))
        await eventually_async(lambda: _status_is(service, "/guarded", 200), "the filter is gone")
        assert (await asked(service, "/guarded")).fields["x-added"] == "yes"


async def test_an_edge_that_is_not_known_yet_says_to_come_again() -> None:
    async with running_worker() as service:
        item, address = edge("https", [f"https://{HOST}:{service.https_port}"])
        tell(service, [address])
        refused = await asked(service, "/")
        assert (refused.status, refused.fields["ngrok-error-code"]) == (503, "ERR_NGROK_6528")
        tell(service, [item])
        await eventually_async(lambda: _status_is(service, "/", 404), "it is known, and has no route")


@pytest.mark.row("T-088")
async def test_no_tunnel_behind_a_route_is_a_page() -> None:
    async with running_worker() as service, service.connected() as agent:
        tell(service, backend(), route("/", 1, backend="bkdtg_1"))
        https(service)
        await eventually_async(lambda: _status_is(service, "/", 503), "the edge is built")
        assert (await asked(service, "/")).fields["ngrok-error-code"] == "ERR_NGROK_6515"
        await serve(agent)
        visit = asyncio.create_task(asked(service, "/there"))
        taken = await agent.visitor()
        assert (taken.header.edge_type, taken.header.proto) == ("3", "https")
        taken.finish(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        assert (await visit).body == b"hi"


@pytest.mark.row("ED-02")
async def test_a_tls_edge_passes_tls_through_or_ends_it() -> None:
    async with running_worker() as service, service.connected() as agent:
        url = f"tls://{HOST}:{service.https_port}"
        tell(service, backend(), edge("tls", [url], backend="bkdtg_1"))
        await serve(agent)
        await until(lambda: _backend_of(service) == "bkdtg_1", "the edge is built")
        reader, writer = await asyncio.open_connection("127.0.0.1", service.https_port)
        hello = _client_hello(HOST)
        writer.write(hello)
        taken = await agent.visitor()
        assert await taken.read(len(hello)) == hello
        assert (taken.header.edge_type, taken.header.passthrough_tls) == ("2", True)
        taken.finish()
        await reader.read()
        writer.close()
        ended = {"terminate_at": "edge", "min_version": "1.3"}
        tell(service, edge("tls", [url], backend="bkdtg_1", tls_termination=ended))
        await until(lambda: _tls_of(service) is not None, "TLS ends here")
        async with visitor(service.https_port, tls=trusting(service), name=HOST) as (reader, writer):
            writer.write(b"clear")
            taken = await agent.visitor()
            assert await taken.read(5) == b"clear"
            assert taken.header.passthrough_tls is False
            taken.finish(b"text")
            assert await asyncio.wait_for(reader.read(), 10) == b"text"
        old = trusting(service)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with visitor(service.https_port, tls=old, name=HOST):
                pass


@pytest.mark.row("ED-02")
async def test_mutual_tls_of_an_https_edge_wants_a_certificate() -> None:
    authority = Authority()
    async with running_worker() as service:
        tell(
            service,
            [AuthorityItem("ca_1", ACCOUNT, authority.pem.decode())],
            backend("http_response", 1, **answer(200, "hello")),
            route("/", 1, backend="bkdhr_1"),
        )
        https(service)
        await eventually_async(lambda: _status_is(service, "/", 200), "the edge is built")
        request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        async with visitor(service.https_port, tls=trusting(service), name=HOST) as (reader, writer):
            for status in (200, 421):
                writer.write(request)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                assert int(head.split(b" ")[1]) == status, "who stands without a certificate goes on no more"
                if status == 200:
                    assert await reader.readexactly(5) == b"hello"
                    https(service, mutual_tls={"certificate_authority_ids": ["ca_1"]})
                    await until(lambda: _tls_of(service) is not None, "it wants certificates")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asked(service, "/")


def _endpoint(service: Running) -> Any:
    return service.worker.registry.find_sni(HOST)


def _backend_of(service: Running) -> str:
    return str(_endpoint(service).pool.backend_id)


def _tls_of(service: Running) -> object:
    return _endpoint(service).tls


def _client_hello(name: str) -> bytes:
    """Return the first bytes of a TLS client."""
    out = ssl.MemoryBIO()
    wrapped = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        wrapped.do_handshake()
    return out.read()
