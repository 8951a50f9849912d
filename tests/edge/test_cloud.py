"""Cloud endpoints at the edge: online as the view has them, beside those of agents."""

import asyncio
from typing import Any

import pytest
from tests.kit.agent import code
from tests.kit.eventually import eventually_async
from tests.kit.service import DOMAIN, GRANT, Running, running_worker
from tests.kit.traffic import get

from portway.edge.member import Visitor
from portway.edge.registry import Endpoint
from portway.errors import SessionClosed
from portway.model.event import EndpointOffline
from portway.model.url import parse_endpoint_url
from portway.model.view import CloudEndpointItem, IpPolicyItem
from portway.session import StreamType

HOST = f"cloud.{DOMAIN}"


def item(service: Running, url: str = "", number: int = 1, **changes: Any) -> CloudEndpointItem:
    said: dict[str, Any] = {
        "id": f"ep_{number}",
        "account_id": GRANT.account_id,
        "url": url or f"http://{HOST}:{service.http_port}",
        "binding": "public",
        "traffic_policy": "{}",
        "description": "d",
    }
    return CloudEndpointItem(**(said | changes))


def at(service: Running, url: str) -> Endpoint | None:
    return service.worker.registry.at(parse_endpoint_url(url), GRANT.account_id)


async def seen(service: Running, host: str = HOST) -> tuple[int, str]:
    """Visit an http endpoint; return status and code."""
    answer = await get(f"http://{host}:{service.http_port}/", service.http_port)
    return answer.status, answer.fields.get("ngrok-error-code", "")


async def test_it_is_online_and_its_policy_gives_no_answer_until_it_is_deleted() -> None:
    async with running_worker() as service:
        cloud = item(service)
        service.control.view.apply([cloud])
        assert await seen(service) == (500, "ERR_NGROK_6029")
        assert await seen(service) == (500, "ERR_NGROK_6029"), "it was not put out of its pool"
        found = at(service, cloud.url)
        assert found is not None
        assert (found.id, found.account_id, found.description) == (cloud.id, GRANT.account_id, "d")
        service.control.view.apply([item(service, gone=True)])
        assert await seen(service) == (404, "ERR_NGROK_3200")
        assert "online=0 waiting=0" in repr(service.worker.cloud)


async def test_a_policy_is_made_once_what_it_names_is_told_of() -> None:
    guard = "{type: restrict-ips, config: {ip_policies: [ipp_1]}}"
    rules = f"on_http_request: [{{actions: [{guard}, {{type: deny}}]}}]"
    async with running_worker() as service:
        service.control.view.apply([item(service, traffic_policy=rules)])
        assert (await seen(service))[0] == 500
        service.control.view.apply([IpPolicyItem("ipp_1", GRANT.account_id)])

        async def refused() -> bool:
            return await seen(service) == (403, "ERR_NGROK_3203")

        await eventually_async(refused, "the policy rules")


async def test_a_tcp_endpoint_accepts_and_closes() -> None:
    async with running_worker() as service:
        port = service.worker.config.tcp_ports[3]
        cloud = item(service, f"tcp://localhost:{port}")
        service.control.view.apply([cloud])
        assert service.worker.cloud is not None
        ports = service.worker.ports
        assert ports is not None
        await ports.open(port)  # waits for the one that is being opened
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await writer.wait_closed()
        service.control.view.apply([item(service, cloud.url, gone=True)])
        assert str(port) not in repr(ports)


async def test_an_internal_one_is_found_by_its_account_and_by_no_visitor() -> None:
    async with running_worker() as service:
        registry, port = service.worker.registry, service.worker.config.tcp_ports[0]
        urls = ["http://x.internal", "https://x.internal", f"tcp://x.internal:{port}"]
        for number, url in enumerate(urls):
            service.control.view.apply([item(service, url, number, binding="internal")])
        assert len(registry) == 3
        assert await seen(service, "x.internal") == (404, "ERR_NGROK_3200")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        account = GRANT.account_id
        found = registry.find_internal(account, "https", "x.internal", 443)
        assert found is not None
        assert (found.id, found.binding) == ("ep_1", "internal")
        assert registry.find_internal("ac_other", "https", "x.internal", 443) is None
        for number, url in enumerate(urls):
            service.control.view.apply([item(service, url, number, binding="internal", gone=True)])
        assert len(registry) == 0


async def test_what_cannot_be_online_is_not() -> None:
    async with running_worker() as service:
        service.control.view.apply([item(service, "nonsense::")])
        service.control.view.apply([item(service, "https://x.internal", number=2, binding="public")])
        service.control.view.apply([item(service, number=3, binding="internal")])
        assert len(service.worker.registry) == 0


async def test_one_that_waits_comes_online_when_it_can_share() -> None:
    async with running_worker() as service, service.connected() as one:
        for url, binding in (
            (f"https://{HOST}:{service.https_port}", "public"),
            ("https://x.internal", "internal"),
        ):
            bound = await one.bind("https", {"URL": url})
            cloud = item(service, url, binding=binding, pooling_enabled=True)
            service.control.view.apply([cloud])
            assert "online=0 waiting=1" in repr(service.worker.cloud)
            tunnel = {"TunnelId": bound["Extra"]["TunnelID"]}
            assert (await one.call(StreamType.PATCH, tunnel | {"PoolingEnabled": True}))["Error"] == ""
            assert "online=1 waiting=0" in repr(service.worker.cloud)
            assert code(await one.call(StreamType.PATCH, tunnel | {"PoolingEnabled": False})) == "18017"
            service.control.view.apply([item(service, url, gone=True)])
            await one.call(StreamType.UNBIND, {"Id": bound["Id"]})


async def test_an_internal_one_waits_for_an_agent_of_its_own_account_alone() -> None:
    url = "http://x.internal"
    async with running_worker() as service, service.connected() as one, service.connected("other") as other:
        await other.bind("http", {"URL": url})
        bound = await one.bind("http", {"URL": url})
        service.control.view.apply([item(service, url, binding="internal")])
        assert "online=0 waiting=1" in repr(service.worker.cloud)
        await one.call(StreamType.UNBIND, {"Id": bound["Id"]})
        assert "online=1 waiting=0" in repr(service.worker.cloud)
        assert code(await one.bind("http", {"URL": url})) == "334"


@pytest.mark.row("P-14")
async def test_it_changes_in_place_and_moves() -> None:
    async with running_worker() as service:
        cloud = item(service)
        service.control.view.apply([cloud])
        before = at(service, cloud.url)
        service.control.view.apply([item(service, description="new", metadata="m")])
        after = at(service, cloud.url)
        assert after is before
        assert after is not None
        assert (after.description, after.metadata) == ("new", "m")
        service.control.view.apply([item(service, f"http://other.{DOMAIN}:{service.http_port}")])
        assert at(service, cloud.url) is None
        assert await seen(service, f"other.{DOMAIN}") == (500, "ERR_NGROK_6029")


@pytest.mark.parametrize(("cloud", "agent"), [(False, False), (True, False), (False, True), (True, True)])
async def test_an_agent_shares_its_url_if_both_allow_it(cloud: bool, agent: bool) -> None:
    async with running_worker() as service, service.connected() as one:
        url = f"https://{HOST}:{service.https_port}"
        service.control.view.apply([item(service, url, pooling_enabled=cloud)])
        answer = await one.bind("https", {"URL": url}, PoolingEnabled=agent)
        if cloud and agent:
            assert answer["Error"] == ""
            found = at(service, url)
            assert found is not None
            assert len(found.pool) == 2
        else:
            assert code(answer) == "334"
        assert code(await one.bind("tls", {"URL": f"tls://{HOST}"}, PoolingEnabled=True)) == "334"


async def test_who_is_left_of_a_pool_leads_it() -> None:
    async with running_worker() as service, service.connected() as one:
        url = f"https://{HOST}:{service.https_port}"
        cloud = item(service, url, pooling_enabled=True)
        service.control.view.apply([cloud])
        bound = await one.bind("https", {"URL": url}, PoolingEnabled=True, Description="agent's")
        found = at(service, url)
        assert found is not None
        assert (found.id, found.description) == (cloud.id, "d")
        service.control.view.apply([item(service, url, gone=True)])
        assert (found.id, found.description) == (bound["Id"], "agent's")
        service.control.view.apply([cloud])
        assert len(found.pool) == 2
        await one.vanish()
        await service.events.next(EndpointOffline)
        assert (found.id, found.description) == (cloud.id, "d")
        assert at(service, url) is found


async def test_who_came_second_waits_until_the_url_is_free() -> None:
    async with running_worker() as service, service.connected() as one:
        url = f"https://{HOST}:{service.https_port}"
        bound = await one.bind("https", {"URL": url})
        service.control.view.apply([item(service, url, pooling_enabled=True)])
        service.control.view.apply([item(service, f"tls://{HOST}:{service.https_port}", number=2)])
        assert "online=0 waiting=2" in repr(service.worker.cloud)
        await one.call(2, {"Id": bound["Id"]})
        assert "online=1 waiting=1" in repr(service.worker.cloud)
        found = at(service, url)
        assert found is not None
        [member] = found.pool.members
        assert member.id == "ep_1"
        assert member.usable
        service.control.view.apply([item(service, url, gone=True)])
        assert not member.usable
        with pytest.raises(SessionClosed):
            member.open(Visitor("", "", "https"), None)  # pyright: ignore[reportArgumentType] -- not reached
