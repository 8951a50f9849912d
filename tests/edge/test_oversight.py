"""Binds that are online, over real sockets, when what allowed them changes."""

import asyncio
from typing import Any

import pytest
from tests.kit.agent import Agent, code
from tests.kit.service import DOMAIN, FakeControl, Running, running_worker

from portway.edge.view import View
from portway.model.domain import ServiceNames
from portway.model.event import EndpointOffline, EndpointOnline
from portway.model.view import AddressItem, CredentialItem
from portway.session import StreamType


async def bound(agent: Agent, url: str, **extra: Any) -> dict[str, Any]:
    """Bind this URL, which must be allowed."""
    answer = await agent.bind(url.partition("://")[0], {"URL": url}, **extra)
    assert not answer["Error"], answer
    return answer


async def stopped(agent: Agent) -> tuple[str, str, str]:
    """Wait until a bind is stopped; return its id, the code and the text."""
    kind, message = await agent.request()
    assert kind == StreamType.STOP_TUNNEL
    return message["Id"], message["ErrorCode"].removeprefix("ERR_NGROK_"), message["Message"]


def address(service: Running, account_id: str = "ac_good", nth: int = 0) -> tuple[Any, str]:
    """Reserve an address; return the row and its URL."""
    item = service.control.reserve_address(service.worker.config.tcp_ports[nth], account_id)
    return item, f"tcp://localhost:{item.port}"


def online(service: Running) -> list[str]:
    """List what is online, without ports of https and http."""
    urls = (each.url for each in service.worker.registry.all())
    return sorted(f"{url.scheme}://{url.hostport if url.scheme == 'tcp' else url.host}" for url in urls)


async def test_a_bind_says_which_reservation_it_stands_on() -> None:
    async with running_worker() as service, service.connected() as agent:
        item, tcp = address(service)
        domain = service.control.reserve_domain("example.com")
        for url in (tcp, "https://a.example.com", f"https://free.{DOMAIN}"):
            await bound(agent, url)
        told = [(each.domain_id, each.tcp_addr_id) for each in service.events.of(EndpointOnline)]
        assert told == [("", item.id), (domain.id, ""), ("", "")]


@pytest.mark.row("T-030")
async def test_rules_that_shrink_stop_what_they_forbid_and_free_it() -> None:
    async with running_worker() as service, service.connected() as agent, service.connected("good2") as other:
        _, tcp = address(service)
        first = await bound(agent, tcp)
        second = await bound(agent, f"https://web.{DOMAIN}")
        drawn = await agent.bind()
        await bound(agent, f"https://stays.{DOMAIN}")
        await bound(other, f"https://other.{DOMAIN}")
        service.control.allow(f"bind:stays.{DOMAIN}")
        ended = {await stopped(agent) for _ in range(3)}
        assert {(each, why) for each, why, _ in ended} == {
            (first["Id"], "308"), (second["Id"], "316"), (drawn["Id"], "308"),
        }  # fmt: skip
        assert all("access rules" in text for _, _, text in ended)
        assert online(service) == [f"https://other.{DOMAIN}", f"https://stays.{DOMAIN}"]
        await service.settled()
        assert len(service.control.names) == 2
        assert code(await agent.bind("tcp", {"URL": tcp})) == "308"
        assert code(await agent.bind("tcp")) == "356"
        assert code(await agent.bind("https", {"URL": "https://"})) == "316"
        await bound(other, tcp)
        service.control.allow()
        await bound(agent, f"https://web.{DOMAIN}")
        assert not agent.closed.is_set()


async def test_a_deleted_address_ends_its_endpoint_and_cannot_be_bound_again() -> None:
    async with running_worker() as service, service.connected() as agent:
        item, tcp = address(service)
        first = await bound(agent, tcp)
        service.control.delete(item)
        ended = await stopped(agent)
        assert ended[:2] == (first["Id"], "307")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", item.port)
        assert code(await agent.bind("tcp", {"URL": tcp})) == "307"
        # The proof that it was once given does not bring it back: it was asked for, not drawn.
        assert code(await agent.rebind("tcp", first)) == "307"
        offline = service.events.of(EndpointOffline)[0]
        assert "not reserved" in offline.reason


@pytest.mark.parametrize("host", ["shop.example.com", f"shop.{DOMAIN}"])
async def test_a_deleted_domain_ends_what_is_at_and_below_it(host: str) -> None:
    async with running_worker() as service, service.connected() as agent:
        item = service.control.reserve_domain(host)
        kept = service.control.reserve_domain(f"kept.{host}")
        names = (f"http://{host}", f"https://{host}", f"https://deep.{host}")
        ids = {(await bound(agent, url))["Id"] for url in names}
        await bound(agent, f"https://a.kept.{host}")
        service.control.delete(item)
        ended = {await stopped(agent) for _ in range(3)}
        assert {each for each, _, _ in ended} == ids
        assert {why for _, why, _ in ended} == {"319"}
        assert online(service) == [f"https://a.kept.{host}"]
        service.control.delete(kept)
        assert (await stopped(agent))[1] == "319"


async def test_a_name_that_another_reserves_ends_what_came_first() -> None:
    async with running_worker() as service, service.connected() as agent:
        ids = [(await bound(agent, f"https://{name}.{DOMAIN}"))["Id"] for name in ("web", "a.web", "else")]
        service.control.reserve_domain(f"web.{DOMAIN}", "ac_other")
        ended = {await stopped(agent) for _ in range(2)}
        assert {(each, why) for each, why, _ in ended} == {(ids[0], "320"), (ids[1], "320")}
        drawn = await agent.bind()
        service.control.reserve_address(int(drawn["URL"].rpartition(":")[2]), "ac_other")
        assert (await stopped(agent))[:2] == (drawn["Id"], "309")
        assert code(await agent.rebind("tcp", drawn)) == "309"


async def test_what_one_reserves_oneself_stays_online() -> None:
    async with running_worker() as service, service.connected() as agent:
        await bound(agent, f"https://web.{DOMAIN}")
        item = service.control.reserve_domain(f"web.{DOMAIN}")
        assert online(service) == [f"https://web.{DOMAIN}"]
        service.control.delete(item)
        assert (await stopped(agent))[1] == "319"  # it stood on the reservation from then on


async def test_a_change_while_a_name_is_written_down_refuses_the_bind() -> None:
    async with running_worker() as service, service.connected() as agent:
        item, tcp = address(service)
        reserve = service.control.reserve

        async def slow(url: str, account_id: str, session_key: str) -> None:
            service.control.delete(item)
            await reserve(url, account_id, session_key)

        service.control.reserve = slow  # type: ignore[method-assign]
        assert code(await agent.bind("tcp", {"URL": tcp})) == "307"
        await service.settled()
        assert service.control.names == {}
        assert online(service) == []


async def test_random_ports_are_never_reserved_ones() -> None:
    async with running_worker() as service, service.connected() as agent:
        ports = service.worker.config.tcp_ports
        for port in ports[2:]:
            service.control.reserve_address(port, "ac_other" if port % 2 else "ac_good")
        drawn = {int((await agent.bind())["URL"].rpartition(":")[2]) for _ in range(2)}
        assert drawn == set(ports[:2])
        assert code(await agent.bind()) == "503"


async def test_binds_wait_for_the_first_view() -> None:
    control = FakeControl()
    view = control.view = View(ServiceNames(DOMAIN))
    async with running_worker(control) as service, service.connected() as agent:
        binding = asyncio.ensure_future(agent.bind())
        await agent.call(StreamType.UNBIND, {"Id": "one that nobody has"})
        assert not binding.done()
        view.begin()
        view.finish()
        assert not (await binding)["Error"]


async def test_what_was_changed_a_moment_ago_counts() -> None:
    async with running_worker() as service, service.connected() as agent:
        control, port = service.control, service.worker.config.tcp_ports[0]
        control.withheld = [AddressItem("ra_1", "ac_good", "localhost", port)]
        await bound(agent, f"tcp://localhost:{port}")
        await bound(agent, f"https://web.{DOMAIN}")
        assert control.caught == 1  # only who would be refused waits
        assert code(await agent.bind("tcp", {"URL": f"tcp://localhost:{port + 1}"})) == "307"
        control.allow("bind:nothing.test")
        control.withheld = [CredentialItem("cr_good", "ac_good")]
        assert not (await agent.bind())["Error"]


async def test_every_leg_of_an_agent_hears_of_it() -> None:
    async with running_worker() as service, service.connected() as first:
        item, tcp = address(service)
        answer = await bound(first, tcp)
        second = service.agent()
        await second.connect()
        await second.auth(client_id=first.client_id, cookie=first.cookie, LegNumber=1)
        assert (await second.rebind("tcp", answer))["Error"] == ""
        service.control.delete(item)
        for agent in (first, second):
            assert (await stopped(agent))[:2] == (answer["Id"], "307")
        assert online(service) == []
        await second.leave()
