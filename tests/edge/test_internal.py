"""Internal endpoints on a whole data plane: each account's own, and out of reach of every visitor."""

import asyncio
import ssl

import pytest
from tests.kit.agent import code
from tests.kit.service import DOMAIN, running_worker, settings
from tests.kit.traffic import visitor

from portway.model.event import EndpointOnline
from portway.session import StreamType

UNREACHED = {400, 404, 421, 501}
"""Not valid, offline, for another connection, not a proxy."""


@pytest.mark.row("G-111", "G-184")
@pytest.mark.parametrize("proto", ["http", "https", "tls", "tcp"])
async def test_an_internal_name_is_each_accounts_own(proto: str) -> None:
    config = settings()
    port = config.tcp_ports.low
    url = f"{proto}://x.internal:{port}"
    async with (
        running_worker(config=config) as service,
        service.connected() as one,
        service.connected("good2") as two,
        service.connected("other") as stranger,
    ):
        bound = await one.bind(proto, {"URL": url})
        assert bound["URL"] == bound["Opts"]["URL"] == url
        assert code(await two.bind(proto, {"URL": url})) == "334"
        assert code(await one.bind(proto, {"URL": url})) == "334"
        assert (await stranger.bind(proto, {"URL": url}, Bindings=["internal"]))["URL"] == url
        assert [event.binding for event in service.events.of(EndpointOnline)] == ["internal"] * 2
        found = service.worker.registry.find_internal("ac_good", proto, "x.internal", port)
        assert found is not None
        assert (found.id, found.account_id) == (bound["Id"], "ac_good")
        await service.settled()
        assert service.control.names == {}, "nobody else could take it, so nothing is kept"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await one.call(StreamType.UNBIND, {"Id": bound["Id"]})
        assert (await two.bind(proto, {"URL": url}))["Error"] == ""


async def test_internal_names_come_back_with_their_agent_and_pool() -> None:
    url = {"URL": "http://x.internal"}
    async with running_worker() as service:
        one, two = await service.two_agents()
        first = await one.bind("http", url, PoolingEnabled=True)
        second = await two.bind("http", url, PoolingEnabled=True)
        [endpoint] = service.worker.registry.all()
        assert [each.id for each in endpoint.pool.members] == [first["Id"], second["Id"]]
        await one.vanish()
        await service.offline()
        await one.reconnect()
        for _ in range(2):  # who repeats itself has one endpoint all the same
            again = await one.rebind("http", first, PoolingEnabled=True)
            assert (again["Id"], again["URL"]) == (first["Id"], first["URL"])
        assert len(endpoint.pool) == 2
        assert code(await two.bind("http", url)) == "334"
        for agent in (one, two):
            await agent.leave()
        await service.offline(3)
        assert len(service.worker.registry) == 0


async def test_access_rules_hold_for_internal_names_too() -> None:
    async with running_worker() as service:
        service.control.allow("bind:*.mine.internal")
        async with service.connected() as agent:
            assert (await agent.bind("tcp", {"URL": "tcp://a.mine.internal:22"}))["Error"] == ""
            assert code(await agent.bind("http", {"URL": "http://other.internal"})) == "316"
            service.control.allow("bind:nothing.internal")
            kind, stopped = await agent.request()
            assert (kind, stopped["ErrorCode"]) == (StreamType.STOP_TUNNEL, "ERR_NGROK_308")
            assert len(service.worker.registry) == 0


def misdirected(host: str) -> tuple[str, ...]:
    """Return requests that name an internal host in every way that HTTP knows."""
    return (
        f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {host.upper()}.:80\r\n\r\n",
        f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        f"GET http://{host}/ HTTP/1.1\r\nHost: a.{DOMAIN}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a.{DOMAIN}\r\nX-Forwarded-Host: {host}\r\nForwarded: host={host}\r\n\r\n",
        f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n",
    )


@pytest.mark.row("G-111", "G-184")
@pytest.mark.parametrize("host", ["x.internal", "*.internal"])
async def test_nothing_that_a_visitor_says_leads_to_an_internal_endpoint(host: str) -> None:
    """Host, absolute form, SNI, a coalesced connection, an upgrade to a tunnel, a port."""
    config = settings()
    async with running_worker(config=config) as service, service.connected() as agent:
        for proto in ("http", "https", "tls", "tcp"):
            bound = await agent.bind(proto, {"URL": f"{proto}://{host}:{config.tcp_ports.low}"})
            assert bound["Error"] == ""
        plain = (await agent.bind("http", {"URL": f"http://{host}"}))["Error"]
        secure = (await agent.bind("https", {"URL": f"https://{host}"}))["Error"]
        assert plain == secure == ""
        name = host.replace("*", "y")
        for request in misdirected(name):
            assert await status_of(service.http_port, request) in UNREACHED
        client = ssl.create_default_context(cadata=service.certs.ca.decode())
        for request in misdirected(name):  # on a connection that was made for somebody else
            found = await status_of(service.https_port, request, client, f"a.{DOMAIN}")
            assert found in UNREACHED
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        with pytest.raises(ssl.SSLError, match="unrecognized name"):
            await status_of(service.https_port, misdirected(name)[0], client, name)
        assert agent.visitors.empty()
        assert service.control.issued == []


async def status_of(port: int, request: str, tls: ssl.SSLContext | None = None, sni: str = "") -> int:
    """Send a request; return the status of the answer."""
    async with visitor(port, tls=tls, name=sni) as (reader, writer):
        writer.write(request.encode())
        async with asyncio.timeout(10):
            return int((await reader.readline()).split()[1])
