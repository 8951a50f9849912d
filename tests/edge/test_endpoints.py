"""Binds over real sockets: what is granted, echoed, claimed, kept, taken over and freed."""

import asyncio
import errno
from typing import Any

import pytest
from tests.kit.agent import code
from tests.kit.service import DOMAIN, Running, running_worker, settings

from portway.cluster.local import LocalClaims
from portway.errors import ConfigError
from portway.model.event import AgentSessionStopped, EndpointOffline, EndpointOnline, EndpointUpdated
from portway.model.url import Url, parse_endpoint_url
from portway.session import StreamType


def port_of(answer: dict[str, Any]) -> int:
    """Return the port of a granted URL."""
    assert not answer["Error"], answer
    return parse_endpoint_url(answer["URL"]).port


def reserved(service: Running, account_id: str = "ac_good", nth: int = 0) -> str:
    """Have an account reserve a TCP address; return its URL."""
    port = service.worker.config.tcp_ports[nth]
    service.control.reserve_address(port, account_id)
    return f"tcp://localhost:{port}"


async def closed_at_once(port: int) -> bool:
    """Tell whether a visitor of this port is closed without a byte; raises when it is not open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    finally:
        writer.close()


# -- what is granted


@pytest.mark.row("S18")
@pytest.mark.parametrize("proto", ["http", "https", "tcp", "tls"])
async def test_the_answer_to_a_bind_is_complete(proto: str) -> None:
    async with running_worker() as service, service.connected() as agent:
        answer = await agent.bind(proto)
        assert set(answer) == {"Id", "URL", "Proto", "Opts", "Error", "Extra"}
        assert answer["Id"].startswith("ep_")
        assert answer["Extra"]["TunnelID"] == "tn_" + answer["Id"].removeprefix("ep_")
        assert answer["Extra"]["Token"]
        assert answer["Proto"] == proto
        url = parse_endpoint_url(answer["URL"])
        wanted = {"http": service.http_port, "tcp": url.port}.get(proto, service.https_port)
        assert str(url) == f"{proto}://{url.host}:{wanted}"
        assert url.host == "localhost" if proto == "tcp" else url.host.endswith(f".{DOMAIN}")
        assert answer["Opts"]["URL"] == answer["URL"]
        online = service.events.of(EndpointOnline)[0]
        assert (online.endpoint_id, online.url, online.proto) == (answer["Id"], answer["URL"], proto)
        assert service.control.names[answer["URL"]].session_key == agent.client_id


RUST_HTTP = {
    "Hostname": "", "Auth": "", "Subdomain": "", "HostHeaderRewrite": False, "LocalUrlScheme": None,
    "ProxyProto": 0, "Compression": None, "BasicAuth": None, "TrafficPolicy": None,
}  # fmt: skip


@pytest.mark.row("S18", "S20", "S21")
async def test_options_are_echoed_whole_with_the_address_where_the_agent_keeps_it() -> None:
    async with running_worker() as service, service.connected() as agent:
        http = await agent.bind("https", RUST_HTTP)
        host = parse_endpoint_url(http["URL"]).host
        assert http["Opts"] == RUST_HTTP | {"Hostname": host}
        domain = await agent.bind("https", RUST_HTTP | {"Domain": ""})
        assert domain["Opts"]["Domain"] == parse_endpoint_url(domain["URL"]).host
        tcp = await agent.bind("tcp", {"Addr": "", "ProxyProto": 0, "IPRestriction": None})
        assert tcp["Opts"]["Addr"] == f"localhost:{port_of(tcp)}"
        tls = await agent.bind("tls", {"Hostname": f"t.{DOMAIN}"})
        assert tls["Opts"] == {
            "Hostname": f"t.{DOMAIN}", "Subdomain": "", "ProxyProto": 0, "MutualTLSAtAgent": False,
        }  # fmt: skip


@pytest.mark.row("G-117")
async def test_refusals_leave_nothing_behind() -> None:
    async with running_worker() as service, service.connected() as agent:
        assert code(await agent.bind("https", {"URL": "https://invalid@domain.com"})) == "9037"
        assert code(await agent.bind("https", {"TrafficPolicy": "on_http_request: []"})) == "2206"
        assert code(await agent.call(StreamType.BIND, b'{"Proto":7}')) == "301"
        assert code(await agent.bind("tcp", {"URL": "tcp://localhost:1"})) == "307"
        assert service.control.names == {}
        assert len(service.worker.registry) == 0
        assert service.events.of(EndpointOnline) == []


@pytest.mark.row("T-028")
async def test_random_ports_differ_and_come_in_no_order() -> None:
    async with running_worker(config=settings(tcp_ports=60)) as service, service.connected() as agent:
        ports = [port_of(await agent.bind()) for _ in range(50)]
        assert len(set(ports)) == 50
        assert set(ports) <= set(service.worker.config.tcp_ports)
        assert ports != sorted(ports)


@pytest.mark.row("T-028")
async def test_a_port_range_can_be_used_up_and_ports_come_back() -> None:
    async with running_worker(config=settings(tcp_ports=3)) as service, service.connected() as agent:
        bound = [await agent.bind() for _ in range(3)]
        assert code(await agent.bind()) == "503"
        await agent.call(StreamType.UNBIND, {"Id": bound[0]["Id"]})
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port_of(bound[0]))
        assert port_of(await agent.bind()) == port_of(bound[0])


async def test_a_range_that_is_used_up_is_not_searched_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A search looks at every port; a request for one is sixty bytes."""
    looks: list[Url] = []
    taken = LocalClaims.taken

    def counted(claims: LocalClaims, url: Url) -> bool:
        looks.append(url)
        return taken(claims, url)

    monkeypatch.setattr(LocalClaims, "taken", counted)
    async with running_worker(config=settings(tcp_ports=3)) as service, service.connected() as agent:
        bound = [await agent.bind() for _ in range(3)]
        assert code(await agent.bind()) == "503"
        assert {url.port for url in looks} >= set(map(port_of, bound))
        looks.clear()
        assert [code(await agent.bind()) for _ in range(20)] == ["503"] * 20
        assert not looks
        assert (await agent.bind("https"))["Error"] == ""  # hosts have no such range
        await agent.call(StreamType.UNBIND, {"Id": bound[1]["Id"]})
        assert port_of(await agent.bind()) == port_of(bound[1])


async def test_a_port_that_another_program_has_is_passed_over() -> None:
    config = settings(tcp_ports=2)
    low = config.tcp_ports.low
    foreign = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", low)
    async with foreign, running_worker(config=config) as service, service.connected() as agent:
        assert port_of(await agent.bind()) == low + 1
        assert code(await agent.bind()) == "503"
        service.control.reserve_address(low)
        assert code(await agent.bind("tcp", {"URL": f"tcp://localhost:{low}"})) == "309"
        await service.settled()
        assert list(service.control.names) == [f"tcp://localhost:{low + 1}"]


async def test_a_service_without_descriptors_does_not_try_port_after_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[int] = []

    async def full(host: str, port: int, *_: object, **__: object) -> None:
        tried.append(port)
        raise ConfigError(f"{host}:{port}") from OSError(errno.EMFILE, "Too many open files")

    async with running_worker(config=settings(tcp_ports=5)) as service, service.connected() as agent:
        with monkeypatch.context() as patch:
            patch.setattr("portway.edge.tcp.listen", full)
            assert code(await agent.bind()) == "503"
        assert len(tried) == 1
        await service.settled()
        assert service.control.names == {}
        assert port_of(await agent.bind())


async def test_endpoints_of_a_session_are_counted() -> None:
    config = settings(endpoints_per_session=2)
    async with running_worker(config=config) as service, service.connected() as agent:
        answers = await asyncio.gather(*(agent.bind("https") for _ in range(3)))
        refused = [answer for answer in answers if answer["Error"]]
        assert [code(answer) for answer in refused] == ["324"]
        granted = next(answer for answer in answers if not answer["Error"])
        await agent.call(StreamType.UNBIND, {"Id": granted["Id"]})
        assert (await agent.bind("https"))["Error"] == ""


@pytest.mark.row("S23")
async def test_unbind_is_harmless_when_repeated() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind("https")
        for _ in range(3):
            answer = await agent.call(StreamType.UNBIND, {"Id": bound["Id"], "Extra": None})
            assert answer == {"Error": "", "Extra": {}}
        assert (await agent.call(StreamType.UNBIND, {"Id": "unknown"}))["Error"] == ""
        assert len(service.events.of(EndpointOffline)) == 1
        await service.settled()
        assert service.control.names == {}


async def test_patch_changes_texts_and_refuses_what_is_not_provided() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind("https", Description="before")
        [endpoint] = service.worker.registry.all()
        tunnel = {"TunnelId": bound["Extra"]["TunnelID"]}
        changes = {"Description": "after", "Metadata": "m", "Name": "n"}
        assert await agent.call(StreamType.PATCH, tunnel | changes) == {"Error": ""}
        assert (endpoint.description, endpoint.metadata, endpoint.name) == ("after", "m", "n")
        [event] = service.events.of(EndpointUpdated)
        assert (event.endpoint_id, event.description, event.metadata) == (bound["Id"], "after", "m")
        assert await agent.call(StreamType.PATCH, tunnel | {"Metadata": ""}) == {"Error": ""}
        assert (endpoint.description, endpoint.metadata) == ("after", "")
        assert code(await agent.call(StreamType.PATCH, tunnel | {"TrafficPolicy": "a: b"})) == "2203"
        assert code(await agent.call(StreamType.PATCH, tunnel | {"Metadata": "x" * 5000})) == "18013"
        assert code(await agent.call(StreamType.PATCH, {"TunnelId": bound["Id"]})) == "333"
        assert endpoint.metadata == ""


# -- who owns a name


@pytest.mark.row("T-038")
async def test_names_are_first_come_first_served() -> None:
    async with (
        running_worker() as service,
        service.connected() as one,
        service.connected("good2") as two,
        service.connected("other") as stranger,
    ):
        url = {"URL": f"https://mine.{DOMAIN}"}
        await one.bind("https", url)
        tcp = await one.bind("tcp", {"URL": reserved(service)})
        assert code(await one.bind("https", url)) == "334"
        assert code(await two.bind("https", url)) == "334"
        assert code(await two.bind("tls", {"URL": f"tls://mine.{DOMAIN}"})) == "334"
        assert code(await two.bind("tcp", {"URL": tcp["URL"]})) == "334"
        assert code(await stranger.bind("https", url)) == "320"
        assert code(await stranger.bind("http", {"URL": f"http://mine.{DOMAIN}"})) == "320"
        assert code(await stranger.bind("tcp", {"URL": tcp["URL"]})) == "309"
        assert (await two.bind("http", {"URL": f"http://mine.{DOMAIN}"}))["Error"] == ""


@pytest.mark.row("S30")
async def test_a_lost_sessions_names_wait_for_it() -> None:
    async with running_worker() as service, service.connected("other") as stranger:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        https, tcp = await agent.bind("https"), await agent.bind("tcp", {"URL": reserved(service)})
        await agent.vanish()
        await service.offline()
        assert len(service.worker.registry) == 0
        assert code(await stranger.bind("tcp", {"URL": tcp["URL"]})) == "309"
        assert code(await stranger.bind("https", {"URL": https["URL"]})) == "320"
        assert await closed_at_once(port_of(tcp))  # the port is kept, and nobody serves it
        assert service.control.names[tcp["URL"]].held_until is not None
        await agent.reconnect()
        for proto, bound in (("https", https), ("tcp", tcp)):
            again = await agent.rebind(proto, bound)
            assert (again["Id"], again["URL"]) == (bound["Id"], bound["URL"])
        await service.settled()
        assert service.control.names[tcp["URL"]].held_until is None
        await agent.leave()
        await service.offline(2)
        assert service.control.names == {}
        service.control.delete(service.control.reserve_address(port_of(tcp)))
        service.control.reserve_address(port_of(tcp), "ac_other")
        assert (await stranger.bind("tcp", {"URL": tcp["URL"]}))["Error"] == ""


async def test_a_lost_sessions_names_are_free_after_the_grace() -> None:
    async with (
        running_worker(config=settings(grace=0.05)) as service,
        service.connected("other") as stranger,
    ):
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        tcp = await agent.bind()
        freed = asyncio.Event()
        assert service.worker.claims is not None
        service.worker.claims.on_freed(lambda _url: freed.set())
        await agent.vanish()
        async with asyncio.timeout(5):
            await freed.wait()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port_of(tcp))
        service.control.reserve_address(port_of(tcp), "ac_other")
        assert (await stranger.bind("tcp", {"URL": tcp["URL"]}))["Error"] == ""


@pytest.mark.row("S21")
async def test_a_rebind_needs_its_token_and_account() -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        bound = await agent.bind("https")
        await agent.vanish()
        await service.offline()
        await agent.reconnect()
        for changed in (
            {"bind_id": bound["Id"], "token": ""},
            {"bind_id": bound["Id"], "token": bound["Extra"]["Token"][:-1]},
            {"bind_id": "ep_other", "token": bound["Extra"]["Token"]},
        ):
            assert code(await agent.bind("https", bound["Opts"], **changed)) == "335"
        assert code(await agent.bind("https", {"URL": ""}, bind_id="ep_x", token="x")) == "335"
        async with service.connected("other") as thief:
            assert code(await thief.rebind("https", bound)) == "335"
        assert (await agent.rebind("https", bound))["Error"] == ""
        # An agent that repeats itself has one endpoint all the same.
        assert (await agent.rebind("https", bound))["Error"] == ""
        [endpoint] = service.worker.registry.all()
        assert len(endpoint.pool) == 1
        await agent.leave()


async def test_a_restarted_agent_takes_its_kept_name_over() -> None:
    async with running_worker() as service:
        old = service.agent()
        await old.connect()
        await old.auth()
        bound = await old.bind("https", {"URL": f"https://web.{DOMAIN}"})
        await old.vanish()
        await service.offline()
        async with service.connected() as new:
            again = await new.bind("https", {"URL": f"https://web.{DOMAIN}"})
            assert again["URL"] == bound["URL"]
            assert again["Id"] != bound["Id"]
            await old.reconnect()
            assert code(await old.rebind("https", bound)) == "334"
            await new.vanish()
            await service.offline(2)
            assert code(await old.rebind("https", bound)) == "334"
        await old.leave()


async def test_two_binds_at_once_for_one_url_have_one_winner() -> None:
    async with running_worker() as service, service.connected() as agent:
        url = {"URL": f"https://once.{DOMAIN}"}
        answers = await asyncio.gather(agent.bind("https", url), agent.bind("https", url))
        assert sorted(bool(answer["Error"]) for answer in answers) == [False, True]
        [endpoint] = service.worker.registry.all()
        assert len(endpoint.pool) == 1
        granted = next(answer for answer in answers if not answer["Error"])
        again = await asyncio.gather(agent.rebind("https", granted), agent.rebind("https", granted))
        assert [answer["Error"] for answer in again] == ["", ""]
        assert len(endpoint.pool) == 1
        await agent.call(StreamType.UNBIND, {"Id": granted["Id"]})
        await service.settled()
        assert service.control.names == {}
        assert len(service.worker.registry) == 0


async def test_a_bind_whose_session_dies_meanwhile_leaves_nothing_online() -> None:
    async with running_worker() as service:
        reserving, go_on = asyncio.Event(), asyncio.Event()
        reserve = service.control.reserve

        async def slow(url: str, account_id: str, session_key: str) -> None:
            reserving.set()
            await go_on.wait()
            await reserve(url, account_id, session_key)

        service.control.reserve = slow  # type: ignore[method-assign]
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        bind = asyncio.create_task(agent.bind("https"))
        await reserving.wait()
        await agent.vanish()
        await service.events.next(AgentSessionStopped)
        go_on.set()
        with pytest.raises(Exception, match="session"):
            await bind
        await service.settled()
        assert len(service.worker.registry) == 0
        assert service.control.names == {}
        assert service.events.of(EndpointOnline) == []


@pytest.mark.parametrize("proto", ["http", "tcp"])
async def test_visitors_of_an_endpoint_that_is_stopped_finish(proto: str) -> None:
    """Who deletes a domain or an address takes what is online there offline, but cuts nobody."""
    async with running_worker() as service, service.connected() as agent:
        port = service.worker.config.tcp_ports[0]
        if proto == "tcp":
            item, url = service.control.reserve_address(port), f"tcp://localhost:{port}"
        else:
            item, url = service.control.reserve_domain("a.test"), "http://a.test"
        bound = await agent.bind(proto, {"URL": url})
        assert bound["Error"] == ""
        door = port if proto == "tcp" else service.http_port
        reader, writer = await asyncio.open_connection("127.0.0.1", door)
        writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        taken = await agent.visitor()
        assert b"GET / HTTP/1.1" in await taken.reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
        taken.writer.write(head + b"first")
        service.control.delete(item)
        kind, stopped = await agent.request()
        assert (kind, stopped["Id"]) == (StreamType.STOP_TUNNEL, bound["Id"])
        assert len(service.worker.registry) == 0
        taken.writer.write(b" last")
        answer = await asyncio.wait_for(reader.readuntil(b" last"), 10)
        assert answer.endswith(b"\r\n\r\nfirst last")
        writer.close()
