"""An account's IP restriction of its endpoints: every protocol, live, from two addresses."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.kit.agent import Agent, code
from tests.kit.http2_client import certs2, visit2
from tests.kit.http_edge import HOST, stand
from tests.kit.service import DOMAIN, Running, running_worker

from portway.edge.ip_policies import IpPolicies
from portway.edge.view import View
from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.model.view import IpPolicyItem, IpRestrictionItem, IpRuleItem, ViewItem
from portway.net.tls import agent_context

ACCOUNT = "ac_good"
NAME = f"app.{DOMAIN}"
REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
URLS = {
    "tcp": "",
    "tls": f"tls://{NAME}",
    "http": f"http://{NAME}",
    "https": f"https://{NAME}",
}
DENY_ALL = "on_tcp_connect: [{actions: [{type: deny}]}]"
NAMED = "on_tcp_connect: [{actions: [{type: restrict-ips, config: {ip_policies: [ipp_ac_good]}}]}]"
TERMINATE = "on_tcp_connect: [{actions: [{type: terminate-tls}]}]"


def rows(*cidrs: str, enforced: bool = True, account: str = ACCOUNT) -> list[ViewItem]:
    """Return what lets visitors of an account in from these networks only."""
    return [
        IpPolicyItem(f"ipp_{account}", account),
        *(
            IpRuleItem(f"ipr_{account}{n}", account, f"ipp_{account}", each, "allow")
            for n, each in enumerate(cidrs)
        ),
        IpRestrictionItem(f"ipx_{account}", account, enforced, (f"ipp_{account}",)),
    ]


@asynccontextmanager
async def visiting(
    service: Running, proto: str, url: str, source: str
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to an endpoint from one of this machine's addresses."""
    tls = agent_context(service.certs.ca) if proto in ("https", "tls") else None
    port = {"tcp": int(url.rpartition(":")[2]) if proto == "tcp" else 0, "http": service.http_port}
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        port.get(proto, service.https_port),
        ssl=tls,
        server_hostname=NAME if tls else None,
        local_addr=(source, 0),
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def served(service: Running, agent: Agent, proto: str, url: str, source: str) -> None:
    """See that a visitor's bytes arrive at the agent."""
    async with visiting(service, proto, url, source) as (_, writer):
        writer.write(REQUEST)
        taken = await agent.visitor()
        assert (await taken.read(4))[:4] == b"GET "
        taken.finish(b"")


async def closed(service: Running, proto: str, url: str, source: str) -> None:
    """See a visitor's connection closed without a byte."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        async with visiting(service, proto, url, source) as (reader, writer):
            writer.write(REQUEST)
            assert await reader.read() == b""


async def forbidden(service: Running, proto: str, url: str, source: str) -> None:
    """See a visitor's request refused with our page."""
    async with visiting(service, proto, url, source) as (reader, writer):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"ngrok-error-code: ERR_NGROK_3205" in head.lower().replace(b"err_ngrok", b"ERR_NGROK")


async def told_of(service: Running, proto: str, source: str) -> HttpRequestComplete | TcpConnectionClosed:
    """Wait for the event of a visitor: of its request where there are any, else of its connection."""
    n = 1
    while True:
        if proto in ("tcp", "tls"):
            event = await service.events.next(TcpConnectionClosed, n)
        else:
            event = await service.events.next(HttpRequestComplete, n)
        if event.client_ip == source:
            return event
        n += 1


@pytest.mark.row("T-092")
@pytest.mark.parametrize("proto", list(URLS))
async def test_who_may_not_come_is_kept_out_and_told_of(proto: str) -> None:
    async with running_worker() as service, service.connected() as agent:
        url = (await agent.bind(proto, {"URL": URLS[proto]}))["URL"]
        service.control.view.apply(rows("127.0.0.1/32"))
        if proto == "tls":
            await closed(service, proto, url, "127.0.0.2")
        else:
            await served(service, agent, proto, url, "127.0.0.1")
            await (closed if proto == "tcp" else forbidden)(service, proto, url, "127.0.0.2")
        assert agent.visitors.empty()
        event = await told_of(service, proto, "127.0.0.2")
        assert (event.ip_policy_decision, event.account_id) == ("block", ACCOUNT)
        if isinstance(event, HttpRequestComplete):
            assert (event.status, event.error_code) == (403, "ERR_NGROK_3205")
            closing = await service.events.next(TcpConnectionClosed, 2)
            assert (closing.client_ip, closing.ip_policy_decision) == ("127.0.0.2", "block")
            assert (closing.url, closing.bytes_in > 0) == (url, True)
        else:
            assert event.url == url
            assert "ERR_NGROK_3205" in event.error


@pytest.mark.row("P-63")
async def test_each_change_counts_for_the_next_connection() -> None:
    async with running_worker() as service, service.connected() as agent:
        url = (await agent.bind("tcp", {"URL": ""}))["URL"]
        apply = service.control.view.apply
        await served(service, agent, "tcp", url, "127.0.0.2")
        apply(rows("127.0.0.1/32", account="ac_other"))
        await served(service, agent, "tcp", url, "127.0.0.2")
        apply(rows("127.0.0.1/32"))
        await closed(service, "tcp", url, "127.0.0.2")
        apply([IpRuleItem("ipr_x", ACCOUNT, f"ipp_{ACCOUNT}", "127.0.0.2/32", "allow")])
        await served(service, agent, "tcp", url, "127.0.0.2")
        apply([IpRuleItem("ipr_y", ACCOUNT, f"ipp_{ACCOUNT}", "127.0.0.0/8", "deny")])
        await closed(service, "tcp", url, "127.0.0.1")
        apply([IpRestrictionItem(f"ipx_{ACCOUNT}", ACCOUNT, gone=True)])
        await served(service, agent, "tcp", url, "127.0.0.1")


async def test_one_that_only_warns_lets_in_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with running_worker() as service, service.connected() as agent:
        url = (await agent.bind("tcp", {"URL": ""}))["URL"]
        service.control.view.apply(rows("127.0.0.1/32", enforced=False))
        with caplog.at_level(logging.WARNING):
            await served(service, agent, "tcp", url, "127.0.0.2")
            await served(service, agent, "tcp", url, "127.0.0.2")
        event = await service.events.next(TcpConnectionClosed)
        assert (event.ip_policy_decision, event.error) == ("block", "")
        assert caplog.text.count("127.0.0.2 would be refused") == 1, "not one line for each visitor"


@pytest.mark.parametrize(("proto", "policy"), [("tls", DENY_ALL), ("https", DENY_ALL), ("tls", TERMINATE)])
async def test_no_policy_is_asked_of_who_is_kept_out(proto: str, policy: str) -> None:
    async with running_worker() as service, service.connected() as agent:
        answer = await agent.bind(proto, {"URL": URLS[proto], "TrafficPolicy": policy})
        service.control.view.apply(rows("192.0.2.0/24"))
        await (closed if proto == "tls" else forbidden)(service, proto, answer["URL"], "127.0.0.1")
        if proto == "tls":
            event = await service.events.next(TcpConnectionClosed)
            assert "ERR_NGROK_3205" in event.error


async def test_a_connection_that_stands_is_judged_anew_when_rules_change() -> None:
    async with stand(serve=lambda stream: None) as made:
        view = View()
        policies = IpPolicies(view, made.edge.registry.look_again)
        made.edge.restrictions = policies.endpoints
        client = await made.visit()
        view.apply(rows("127.0.0.1/32", account="ac_1"))
        for n, word in enumerate(("allow", "allow")):
            client.get(f"/{n}")
            stream = await made.agent.stream()
            await stream.heads(n + 1)
            stream.ok()
            assert (await client.answer())[0] == 200
            assert made.edge.requests[n].ip_policy_decision == word
        view.apply([IpRuleItem("ipr_ac_10", "ac_1", "ipp_ac_1", "192.0.2.0/24", "allow")])
        for _ in range(2):
            client.get("/no")
            assert (await client.answer())[0] == 403
        view.apply([IpRestrictionItem("ipx_ac_1", "ac_1", gone=True)])
        client.get("/again")
        assert await (await made.agent.stream(len(made.agent.opened) - 1)).until(b"/again")
        assert [each.status for each in made.edge.requests] == [200, 200, 403, 403]


async def test_requests_of_http2_are_judged_one_by_one() -> None:
    async with stand(certs=certs2()) as made:
        view = View()
        made.edge.restrictions = IpPolicies(view).endpoints
        client = await visit2(made)
        view.apply(rows("127.0.0.1/32", account="ac_1"))
        first = client.ask("/")
        agent = await made.agent.stream()
        await agent.heads()
        agent.ok()
        assert (await client.answer(first)).status == 200
        view.apply([IpRuleItem("ipr_x", "ac_1", "ipp_ac_1", "127.0.0.1/32", "deny")])
        refused = await client.answer(client.ask("/"))
        assert refused.status == 403
        assert b"ERR_NGROK_3205" in refused.body
        assert [each.ip_policy_decision for each in made.edge.requests] == ["allow", "block"]
        assert made.edge.requests[1].host == HOST


async def test_a_connection_of_http2_that_is_refused_is_told_of() -> None:
    async with stand(certs=certs2()) as made:
        view = View()
        made.edge.restrictions = IpPolicies(view).endpoints
        view.apply(rows("192.0.2.0/24", account="ac_1"))
        client = await visit2(made)
        assert (await client.answer(client.ask("/"))).status == 403
        await client.close()
        await made.until(lambda: len(made.edge.connections) == 1)
        (event,) = made.edge.connections
        assert (event.ip_policy_decision, event.account_id) == ("block", "ac_1")
        assert made.endpoint.counters.connections == 1


async def test_a_policy_may_name_an_ip_policy_that_was_made_just_now() -> None:
    async with running_worker() as service, service.connected() as agent:
        control = service.control
        answer = await agent.bind("tcp", {"URL": "", "TrafficPolicy": NAMED})
        assert code(answer) == "2216"
        control.withheld = rows("127.0.0.2/32")[:2]  # without the restriction
        answer = await agent.bind("tcp", {"URL": "", "TrafficPolicy": NAMED})
        assert answer["Error"] == ""
        url = answer["URL"]
        await served(service, agent, "tcp", url, "127.0.0.2")
        await closed(service, "tcp", url, "127.0.0.1")
        control.view.apply([IpRuleItem("ipr_x", ACCOUNT, "ipp_ac_good", "127.0.0.1/32", "allow")])
        await served(service, agent, "tcp", url, "127.0.0.1")
        control.view.apply([IpPolicyItem("ipp_ac_good", ACCOUNT, gone=True)])
        await closed(service, "tcp", url, "127.0.0.1")
