"""What is online, as ngrok's official API client sees it: our agent, the official SDK, a dead controller."""

import asyncio
import os
import signal
from collections.abc import Generator
from typing import Any

import psutil
import pytest
from tests.kit.api_client import ApiClient, ClientError
from tests.kit.eventually import eventually, eventually_async
from tests.kit.product import Service, running_agent, running_service
from tests.kit.rest import Rest
from tests.kit.sdk import Sdk
from tests.kit.traffic import get, hello_http, server

import portway

pytestmark = pytest.mark.xdist_group("live")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    with running_service(tmp_path_factory.mktemp("live")) as service:
        yield service


@pytest.fixture(scope="module")
def api(service: Service) -> Generator[ApiClient]:
    known = service.bootstrap
    # The client finds the name api.DOMAIN nowhere: the edge goes by the Host field, so ours is the address.
    with ApiClient(known.api_key, f"http://api.{known.domain}:{known.http_port}") as client:
        yield client


def online(api: ApiClient, noun: str, **has: object) -> list[dict[str, Any]]:
    """Return what is online of a noun with these properties."""
    found: list[dict[str, Any]] = api.iterate(f"{noun}.list")
    return [each for each in found if all(each[name] == value for name, value in has.items())]


def the(api: ApiClient, noun: str, **has: object) -> dict[str, Any]:
    """Wait for the one thing online with these properties."""

    def look() -> dict[str, Any] | None:
        found = online(api, noun, **has)
        return found[0] if len(found) == 1 else None

    found = eventually(look, f"{noun} with {has}", timeout=20)
    assert found is not None
    return found


def gone(api: ApiClient, noun: str, thing: str) -> None:
    """Wait until something is not there any more."""

    def look() -> bool:
        try:
            api(f"{noun}.get", id=thing)
        except ClientError as error:
            return error.status == 404
        return False

    eventually(look, f"{thing} is gone", timeout=20)


@pytest.mark.row("T-070", "T-071", "G-053", "G-070", "G-088", "G-090", "G-094", "G-097", "G-098", "G-118")
async def test_what_our_library_has_online_is_listed_and_then_gone(service: Service, api: ApiClient) -> None:
    known = service.bootstrap
    agent = portway.Agent(
        authtoken=known.authtoken,
        connect_url=known.connect_url,
        connect_cas=known.ca_cert,
        metadata="of the session",
        description="a test",
    )
    async with agent:
        raw = await agent.listen("tcp://", name="n", metadata="m ü", description="d")
        web = await agent.listen()
        endpoint = await asyncio.to_thread(the, api, "endpoints", id=raw.id)
        plain = await asyncio.to_thread(the, api, "endpoints", id=web.id)
        session = await asyncio.to_thread(the, api, "tunnel_sessions", id=agent.session.id)
        tunnel = await asyncio.to_thread(the, api, "tunnels", id=raw.tunnel_id)
    assert (endpoint["url"], endpoint["proto"], endpoint["type"]) == (str(raw.url), "tcp", "agent")
    assert f"tcp://{endpoint['hostport']}" == str(raw.url)
    assert (endpoint["name"], endpoint["metadata"], endpoint["description"]) == ("n", "m ü", "d")
    assert endpoint["bindings"] == ["public"]
    assert endpoint["tunnel_session"]["id"] == raw.tunnel_session_id == session["id"]
    assert (tunnel["public_url"], tunnel["endpoint"]["id"]) == (str(raw.url), raw.id)
    assert (plain["url"], plain["proto"], plain["pooling_enabled"]) == (str(web.url), "https", False)
    assert (plain["name"], plain["metadata"], plain["description"], plain["traffic_policy"]) == ("",) * 4
    assert (session["metadata"], session["ip"], session["transport"]) == (
        "of the session",
        "127.0.0.1",
        "ngrok/v2",
    )
    assert session["agent_version"] == portway.__version__
    for noun, thing in (
        ("endpoints", raw.id),
        ("tunnels", raw.tunnel_id),
        ("tunnel_sessions", session["id"]),
    ):
        await asyncio.to_thread(gone, api, noun, thing)


@pytest.mark.row("G-081", "G-082", "G-111", "G-115", "G-184")
async def test_internal_endpoints_and_pools_are_listed(service: Service, api: ApiClient) -> None:
    known = service.bootstrap
    agents = [
        portway.Agent(authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=known.ca_cert)
        for _ in range(2)
    ]

    async def beside(endpoint: portway.Endpoint) -> list[dict[str, Any]]:
        # The client leaves out what it does not know, such as the others of a pool.
        path = f"/endpoints/{endpoint.id}"
        found: dict[str, Any] = await asyncio.to_thread(Rest(service).done, "GET", path)
        return found["pools"]

    async with agents[0] as one, agents[1] as two:
        inside = await one.listen("http://inside.internal:8080", description="nobody's business")
        shown = await asyncio.to_thread(the, api, "endpoints", url="http://inside.internal:8080")
        assert (shown["id"], shown["bindings"]) == (inside.id, ["internal"])
        assert (shown["host"], shown["port"], shown["scheme"]) == ("inside.internal", 8080, "http")
        assert (shown["description"], shown["pooling_enabled"]) == ("nobody's business", False)
        assert inside.bindings == ()
        for asked in ("inside.internal:8080", "inside.internal"):
            assert (await get(f"http://{asked}", known.http_port)).status == 404
        with pytest.raises(portway.Error) as refused:
            await two.listen("http://inside.internal:8080", pooling_enabled=True)
        assert refused.value.code == "ERR_NGROK_334"
        first = await one.listen("https://", pooling_enabled=True)
        second = await two.listen(str(first.url), pooling_enabled=True)
        for mine, other in ((first, second), (second, first)):
            await asyncio.to_thread(the, api, "endpoints", id=mine.id)
            assert [each["id"] for each in await beside(mine)] == [other.id]
        await second.close()
        await asyncio.to_thread(gone, api, "endpoints", second.id)
        assert await beside(first) == []


@pytest.mark.row("G-170", "G-171", "G-172", "G-173", "G-174", "G-064", "C12")
async def test_an_application_is_stopped_restarted_and_updated(service: Service, api: ApiClient) -> None:
    known = service.bootstrap
    asked: list[tuple[str, str, str]] = []

    def handler(session: portway.AgentSession, request: portway.RPCRequest) -> None:
        asked.append((session.id, request.method, request.version))

    def agent() -> portway.Agent:
        return portway.Agent(
            authtoken=known.authtoken,
            connect_url=known.connect_url,
            connect_cas=known.ca_cert,
            rpc_handler=handler,
        )

    for what, method in (("stop", "StopAgent"), ("restart", "RestartAgent"), ("update", "UpdateAgent")):
        async with agent() as ours:
            listener = await ours.listen()
            session = ours.session.id
            await asyncio.to_thread(the, api, "tunnel_sessions", id=session)
            await asyncio.to_thread(api, f"tunnel_sessions.{what}", id=session)
            assert asked.pop() == (session, method, "")
            if what == "update":
                assert not listener.done()
                continue
            await asyncio.wait_for(listener.wait(), 20)
            await asyncio.to_thread(gone, api, "tunnel_sessions", session)
            await ours.connect()
            assert ours.session.id != session
    assert asked == []


@pytest.mark.row("G-175", "G-176")
async def test_an_application_refuses_or_has_no_handler(service: Service, api: ApiClient) -> None:
    known = service.bootstrap

    def refuse(_session: portway.AgentSession, _request: portway.RPCRequest) -> None:
        raise RuntimeError("not on a Sunday")

    for handler, text, codes in (
        (refuse, "not on a Sunday", {"stop": 807, "restart": 808, "update": 809}),
        (None, "not defined a callback", {"stop": 805, "restart": 804, "update": 806}),
    ):
        async with portway.Agent(
            authtoken=known.authtoken,
            connect_url=known.connect_url,
            connect_cas=known.ca_cert,
            rpc_handler=handler,
        ) as agent:
            await agent.connect()
            session = agent.session.id
            await asyncio.to_thread(the, api, "tunnel_sessions", id=session)
            for what, code in codes.items():
                with pytest.raises(ClientError, match=text) as raised:
                    await asyncio.to_thread(api, f"tunnel_sessions.{what}", id=session)
                assert raised.value.code == code
            assert agent.connected


@pytest.mark.row("C12", "K-22")
async def test_the_command_line_restarts_with_its_random_url_and_stops_in_order(
    service: Service, api: ApiClient
) -> None:
    async with server(hello_http) as upstream:
        with await asyncio.to_thread(
            lambda: running_agent(service, "http", str(upstream), "--url", "http://")
        ) as (
            agent,
            url,
        ):
            endpoint = await asyncio.to_thread(the, api, "endpoints", url=url)
            session, pid = endpoint["tunnel_session"]["id"], agent.pid
            with pytest.raises(ClientError, match="installed it") as raised:
                await asyncio.to_thread(api, "tunnel_sessions.update", id=session)
            assert raised.value.code == 806
            await asyncio.to_thread(api, "tunnel_sessions.restart", id=session)
            await asyncio.to_thread(gone, api, "tunnel_sessions", session)
            again = await asyncio.to_thread(the, api, "endpoints", url=url)
            assert again["id"] == endpoint["id"]
            assert again["tunnel_session"]["id"] != session
            assert agent.pid == pid
            answer = await get(url, service.bootstrap.http_port)
            assert answer.status == 200
            await asyncio.to_thread(api, "tunnel_sessions.stop", id=again["tunnel_session"]["id"])
            await asyncio.to_thread(eventually, lambda: agent.exited() is not None, "the agent ends")
            assert agent.exited() == 0
            told = [each.get("command") for each in agent.records() if each.get("command")]
            assert told == ["RestartAgent", "StopAgent"]
            assert agent.records()[-1]["msg"] == "stopped"
            await asyncio.to_thread(gone, api, "endpoints", endpoint["id"])


@pytest.mark.row("S28")
def test_the_official_sdk_is_listed_and_told(service: Service, api: ApiClient) -> None:
    with Sdk("python", service) as sdk:
        sdk.connect(commands="")
        url = sdk.forward("tcp", "tcp://localhost:9")
        endpoint = the(api, "endpoints", url=url)
        session = the(api, "tunnel_sessions", id=endpoint["tunnel_session"]["id"])
        assert "linux" in session["os"]
        assert session["agent_version"]
        for what in ("stop", "restart", "update"):
            api(f"tunnel_sessions.{what}", id=session["id"])
        assert sdk.commands() == ["stop", "restart", "update '' False"]
        assert the(api, "endpoints", url=url)["id"] == endpoint["id"], "that SDK only tells its application"
        sdk.unbind(url)
        gone(api, "endpoints", endpoint["id"])
        gone(api, "tunnels", endpoint["tunnel"]["id"])
        api("tunnel_sessions.get", id=session["id"])


@pytest.mark.row("S28", "G-175", "G-176")
def test_the_official_sdk_refuses_or_has_no_handler(service: Service, api: ApiClient) -> None:
    before = {each["id"] for each in online(api, "tunnel_sessions")}
    for answer, text, codes in (
        ("busy", "busy", {"stop": 807, "restart": 808, "update": 809}),
        (None, "callback", {"stop": 805, "restart": 804, "update": 806}),
    ):
        with Sdk("python", service) as sdk:
            sdk.connect(commands=answer)
            url = sdk.forward("tcp", "tcp://localhost:9")
            session = the(api, "endpoints", url=url)["tunnel_session"]["id"]
            assert session not in before
            for what, code in codes.items():
                with pytest.raises(ClientError, match=text) as raised:
                    api(f"tunnel_sessions.{what}", id=session)
                assert raised.value.code == code
        gone(api, "tunnel_sessions", session)


def test_a_controller_that_was_killed_knows_again_what_is_online(service: Service, api: ApiClient) -> None:
    with running_agent(service, "tcp", "9") as (_, url):
        endpoint = the(api, "endpoints", url=url)
        [controller] = [
            each
            for each in psutil.Process(service.pid).children()
            if "portway.server.controller" in each.cmdline()
        ]
        os.kill(controller.pid, signal.SIGKILL)
        controller.wait(10)
        # The API's socket outlives the process: the client waits rather than being refused.
        again = api("endpoints.get", id=endpoint["id"])
        assert again == endpoint
        assert the(api, "endpoints", url=url) == endpoint
        api("tunnel_sessions.get", id=endpoint["tunnel_session"]["id"])
    gone(api, "endpoints", endpoint["id"])


def answers(status: int) -> str:
    """Return a policy that answers every request with this status."""
    return f"on_http_request: [{{actions: [{{type: custom-response, config: {{status_code: {status}}}}}]}}]"


@pytest.mark.row("C14")
async def test_a_cloud_endpoint_is_online_changes_and_is_deleted(service: Service, api: ApiClient) -> None:
    known = service.bootstrap
    name = f"cloud.{known.domain}"
    domain = await asyncio.to_thread(api, "reserved_domains.create", domain=name)
    made = await asyncio.to_thread(
        api,
        "endpoints.create",
        url=f"http://{name}",
        type="cloud",
        traffic_policy=answers(418),
        description="d",
    )
    assert made["domain"]["id"] == domain["id"]
    url = made["url"]

    async def visited() -> tuple[int, str]:
        answer = await get(url, known.http_port)
        return answer.status, answer.fields.get("ngrok-error-code", "")

    async def becomes(status: int, code: str) -> None:
        async def look() -> bool:
            return await visited() == (status, code)

        await eventually_async(look, f"{url} answers {status} {code}")

    await becomes(418, "")
    async with portway.Agent(
        authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=known.ca_cert
    ) as agent:
        with pytest.raises(portway.Error) as refused:
            await agent.listen(url, pooling_enabled=True)
        assert refused.value.code == "ERR_NGROK_334"
        await asyncio.to_thread(api, "endpoints.update", id=made["id"], pooling_enabled=True)

        async def shared() -> portway.EndpointListener | None:
            try:
                return await agent.listen(url, pooling_enabled=True)
            except portway.Error:
                return None

        listener = await eventually_async(shared, "the agent may share the URL")
        assert listener is not None
        await asyncio.to_thread(the, api, "endpoints", id=listener.id)
        # The client leaves out what it does not know, such as the others of a pool.
        beside = await asyncio.to_thread(Rest(service).done, "GET", f"/endpoints/{listener.id}")
        assert [each["id"] for each in beside["pools"]] == [made["id"]]
        with pytest.raises(ClientError) as read_only:
            await asyncio.to_thread(api, "endpoints.delete", id=listener.id)
        assert (read_only.value.status, read_only.value.code) == (400, 248)
    await becomes(418, "")
    policy = "on_http_request: [{expressions: ['false'], actions: [{type: deny}]}]"
    with pytest.raises(ClientError) as open_end:
        await asyncio.to_thread(api, "endpoints.update", id=made["id"], traffic_policy=policy)
    assert (open_end.value.status, open_end.value.code) == (400, 2235)
    await asyncio.to_thread(api, "endpoints.update", id=made["id"], traffic_policy=answers(419))
    await becomes(419, "")
    await asyncio.to_thread(api, "endpoints.delete", id=made["id"])
    await becomes(404, "ERR_NGROK_3200")
