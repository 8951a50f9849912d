"""Reserved addresses and names, access rules and revocation, on the whole product through its own API."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.eventually import eventually
from tests.kit.product import AgentProcess, Service, clean_environment, running_agent, running_service
from tests.kit.programs import need
from tests.kit.rest import Answer, Rest, other_account
from tests.kit.sdk import SDKS, Sdk, SdkError
from tests.kit.traffic import echo, hello_http, server, visitor

import portway

pytestmark = pytest.mark.xdist_group("reserved")

WITHIN = 1.0
"""Seconds in which agents hear of a change, decided."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all of these tests."""
    with running_service(tmp_path_factory.mktemp("reserved")) as service:
        yield service


@pytest.fixture(scope="module")
def other(service: Service) -> tuple[Rest, str]:
    """A second account: its API and its authtoken."""
    return other_account(service)


@asynccontextmanager
async def agent_of(service: Service, token: str | None = None) -> AsyncGenerator[portway.Agent]:
    """An agent of ours in this process."""
    known = service.bootstrap
    async with portway.Agent(
        authtoken=token or known.authtoken, connect_url=known.connect_url, connect_cas=known.ca_cert
    ) as agent:
        yield agent


async def refusal(agent: portway.Agent, url: str) -> str:
    """Return the number of the code with which a URL is refused."""
    with pytest.raises(portway.Error) as caught:
        await agent.listen(url=url)
    return caught.value.code.removeprefix("ERR_NGROK_")


async def asked(rest: Rest, verb: str, path: str, body: object = None) -> Answer:
    """Call the API from async code."""
    answer = await asyncio.to_thread(rest.call, verb, path, body)
    assert answer.status < 300, answer
    return answer


async def echoed(port: int, payload: bytes) -> bytes:
    """Send some bytes through a TCP endpoint; return what comes back."""
    async with visitor(port) as (reader, writer):
        writer.write(payload)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(-1), 20)


def is_closed(port: int) -> bool:
    """Tell whether nobody listens on a port."""
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) != 0


# -- the API, published


def curl(service: Service, *arguments: str) -> str:
    """Run curl; return what it prints."""
    done = subprocess.run(
        [need("curl"), "-sS", "--max-time", "30", "-w", " %{http_code}", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_api_is_published_for_http_and_https(service: Service) -> None:
    known = service.bootstrap
    host = f"api.{known.domain}"
    key = ("-H", f"Authorization: Bearer {known.api_key}", "-H", "Ngrok-Version: 2")
    plain = curl(service, *key, "-H", f"Host: {host}", f"http://127.0.0.1:{known.http_port}/credentials")
    there = ("--resolve", f"{host}:{known.https_port}:127.0.0.1", "--cacert", known.ca_cert)
    secure = curl(service, *key, *there, f"https://{host}:{known.https_port}/credentials")
    for answer in (plain, secure):
        assert answer.endswith(" 200")
        assert '"credentials"' in answer
    assert curl(service, *there, f"https://{host}:{known.https_port}/credentials").endswith(" 401")
    listed: list[dict[str, str]] = Rest(service).done("GET", "/endpoints")["endpoints"]
    assert not [each for each in listed if host in each["url"]]


async def test_a_killed_controller_costs_no_request_that_waits(service: Service) -> None:
    rest = Rest(service)
    [controller] = psutil.Process(service.pid).children()
    controller.kill()
    answer = await asyncio.to_thread(rest.call, "GET", "/credentials")
    assert answer.status == 200


# -- TCP addresses


@pytest.mark.row("T-030", "T-072", "T-076", "C11")
async def test_an_address_must_be_ones_own_and_allowed(service: Service, other: tuple[Rest, str]) -> None:
    rest, (their_rest, their_token) = Rest(service), other
    mine, theirs = rest.address()["addr"], their_rest.address()["addr"]
    narrow = rest.credential(f"bind:{mine}")["token"]
    host, port = mine.split(":")
    free = next(n for n in range(int(port) - 50, int(port) + 50) if f"{host}:{n}" not in (mine, theirs))
    async with agent_of(service) as agent, agent_of(service, narrow) as bound_to_one:
        for arbitrary in (f"{host}:{free}", f"elsewhere.example:{port}", f"{host}:1"):
            assert await refusal(agent, f"tcp://{arbitrary}") == "307"
        assert await refusal(agent, f"tcp://{theirs}") == "309"
        assert await refusal(bound_to_one, f"tcp://{theirs}") == "308"
        assert await refusal(bound_to_one, "tcp://") == "356"
        assert await refusal(bound_to_one, "https://") == "316"
        listener = await bound_to_one.listen(url=f"tcp://{mine}")
        assert str(listener.url) == f"tcp://{mine}"
    async with agent_of(service, their_token) as agent:
        assert await refusal(agent, f"tcp://{mine}") == "309"


@pytest.mark.row("T-038")
async def test_an_address_is_online_once_unless_it_is_pooled(service: Service) -> None:
    url = f"tcp://{Rest(service).address()['addr']}"
    async with agent_of(service) as one, agent_of(service) as two:
        first = await one.listen(url=url)
        assert await refusal(two, url) == "334"
        await first.close()
        await one.listen(url=url, pooling_enabled=True)
        assert await refusal(two, url) == "334"
        second = await two.listen(url=url, pooling_enabled=True)
        assert str(second.url) == url


@pytest.mark.row("T-031")
@pytest.mark.parametrize("flag", ["--url", "--remote-addr"])
async def test_the_command_line_takes_a_fixed_address(service: Service, tmp_path: Path, flag: str) -> None:
    addr = Rest(service).address()["addr"]
    value = f"tcp://{addr}" if flag == "--url" else addr
    async with server(echo) as upstream:
        agent = AgentProcess(tmp_path, service)
        try:
            url = await asyncio.to_thread(agent.start, "tcp", str(upstream), flag, value)
            assert url == f"tcp://{addr}"
            assert await echoed(urlsplit(url).port or 0, b"fixed") == b"fixed"
            assert ("--remote-addr is deprecated" in agent.log) is (flag == "--remote-addr")
        finally:
            agent.kill()


def test_both_flags_at_once_are_a_slip(service: Service) -> None:
    command = [sys.executable, "-m", "portway.cli.main", "tcp", "1", "--url", "tcp://a:1", "--remote-addr"]
    done = subprocess.run([*command, "a:1"], capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 2
    assert "--remote-addr and --url" in done.stderr


@pytest.mark.row("T-035", "T-036")
@pytest.mark.parametrize("kind", SDKS)
async def test_official_sdks_take_a_remote_address(service: Service, kind: str) -> None:
    rest = Rest(service)
    mine = rest.address()["addr"]
    host, port = mine.split(":")
    async with server(echo) as upstream:
        with Sdk(kind, service) as sdk:
            await asyncio.to_thread(sdk.connect)
            with pytest.raises(SdkError, match="ERR_NGROK_307"):
                await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}", f"{host}:1")
            url = await asyncio.to_thread(sdk.forward, "tcp", f"tcp://localhost:{upstream}", mine)
            assert url == f"tcp://{mine}"
            assert await echoed(int(port), b"official") == b"official"


SCRIPT = """
import sys, portway
print(portway.forward(addr=9, proto="tcp", remote_addr=sys.argv[1]).url(), flush=True)
try:
    portway.forward(addr=9, proto="tcp", remote_addr=sys.argv[2])
except portway.Error as error:
    print(error.code)
"""


@pytest.mark.row("T-035")
def test_our_sdk_takes_a_remote_address(service: Service) -> None:
    mine = Rest(service).address()["addr"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mine, mine.replace(":", "1:")],
        capture_output=True, text=True, check=True, timeout=60,
        env=clean_environment() | service.agent_environment(),
    )  # fmt: skip
    assert done.stdout.split() == [f"tcp://{mine}", "ERR_NGROK_307"]


@pytest.mark.row("T-077")
async def test_any_name_that_points_here_reaches_every_port(
    service: Service, other: tuple[Rest, str]
) -> None:
    mine, theirs = Rest(service).address()["addr"], other[0].address()["addr"]
    async with server(hello_http) as upstream, agent_of(service) as one, agent_of(service, other[1]) as two:
        await one.forward(upstream, url=f"tcp://{mine}")
        await two.forward(upstream, url=f"tcp://{theirs}")
        for addr in (mine, theirs):
            port = addr.rpartition(":")[2]
            alias = ("--resolve", f"db.my-company.example:{port}:127.0.0.1")  # a line of the hosts file
            got = await asyncio.to_thread(curl, service, *alias, f"http://db.my-company.example:{port}/x")
            assert got == f"hello /x host=db.my-company.example:{port} body=0\n 200"


# -- changes and live sessions


async def ended(endpoint: Any, since: float) -> float:
    """Wait until an endpoint is over; return how long that took."""
    async with asyncio.timeout(20):
        await endpoint.wait()
    return time.monotonic() - since


@pytest.mark.row("T-074", "G-086", "C16")
async def test_a_deleted_address_is_offline_at_once_and_gone_for_good(service: Service) -> None:
    rest = Rest(service)
    delays: list[float] = []
    async with agent_of(service) as agent:
        for _ in range(3):
            made = await asyncio.to_thread(rest.address)
            listener = await agent.listen(url=f"tcp://{made['addr']}")
            await asked(rest, "DELETE", f"/reserved_addrs/{made['id']}")
            delays.append(await ended(listener, time.monotonic()))
            assert await refusal(agent, f"tcp://{made['addr']}") == "307"
            again = await asyncio.to_thread(rest.address)
            assert again["addr"] != made["addr"]
            if delays[-1] < WITHIN:
                break  # tried again only because the machine may be busy besides
        assert (await agent.listen(url="tcp://")).url.scheme == "tcp"  # the session lives
    assert min(delays) < WITHIN


@pytest.mark.row("T-030", "C10")
async def test_rules_that_shrink_end_live_endpoints_and_revocation_the_session(service: Service) -> None:
    rest = Rest(service)
    made = rest.credential()
    path = f"/credentials/{made['id']}"
    domain = service.bootstrap.domain
    delays: list[float] = []
    async with agent_of(service, made["token"]) as agent:
        stays = await agent.listen(url=f"https://stays.{domain}")
        for number in range(3):
            goes = await agent.listen(url=f"https://goes{number}.{domain}")
            await asked(rest, "PATCH", path, {"acl": [f"bind:stays.{domain}"]})
            delays.append(await ended(goes, time.monotonic()))
            assert await refusal(agent, f"https://goes{number}.{domain}") == "316"
            await asked(rest, "PATCH", path, {"acl": []})
            if delays[-1] < WITHIN:
                break
        assert not stays.done()
        await asked(rest, "DELETE", path)
        await ended(stays, time.monotonic())
    assert min(delays) < WITHIN


@pytest.mark.parametrize("kind", SDKS)
async def test_official_sdks_hear_that_an_endpoint_was_stopped(service: Service, kind: str) -> None:
    rest = Rest(service)
    made, mine = rest.credential(), rest.address()["addr"]
    port = int(mine.rpartition(":")[2])
    async with server(echo) as upstream:
        to = f"tcp://localhost:{upstream}"
        with Sdk(kind, service, token=made["token"]) as sdk:
            await asyncio.to_thread(sdk.connect)
            await asyncio.to_thread(sdk.forward, "tcp", to, mine)
            assert await echoed(port, b"before") == b"before"
            await asked(rest, "PATCH", f"/credentials/{made['id']}", {"acl": ["bind:*.example.com"]})
            await asyncio.to_thread(eventually, lambda: is_closed(port), "its port is closed")
            with pytest.raises(SdkError, match="ERR_NGROK_308"):
                await asyncio.to_thread(sdk.forward, "tcp", to, mine)
            await asked(rest, "PATCH", f"/credentials/{made['id']}", {"acl": []})
            await asyncio.to_thread(sdk.forward, "tcp", to, mine)  # in the same session
            assert await echoed(port, b"again") == b"again"
            assert await asyncio.to_thread(sdk.losses) == []


# -- domains


async def test_reserved_domains_belong_to_their_account(service: Service, other: tuple[Rest, str]) -> None:
    rest = Rest(service)
    domain = service.bootstrap.domain
    for name in ("shop.example.com", "*.wild.example.com", f"mine.{domain}"):
        await asked(rest, "POST", "/reserved_domains", {"domain": name})
    async with agent_of(service) as agent, agent_of(service, other[1]) as stranger:
        await agent.listen(url="https://shop.example.com")
        await agent.listen(url="https://*.wild.example.com")
        await agent.listen(url=f"http://deep.mine.{domain}")
        assert await refusal(agent, "https://nobody.example.com") == "319"
        assert await refusal(agent, "https://*.shop.example.com") == "321"
        assert await refusal(agent, "https://*.nobody.example.com") == "318"
        for taken in ("shop.example.com", "a.b.wild.example.com", f"a.mine.{domain}", f"mine.{domain}"):
            assert await refusal(stranger, f"https://{taken}") == "320"
        await stranger.listen(url=f"https://free.{domain}")


# -- a restart


@pytest.mark.row("T-030", "T-039", "C16")
def test_a_fixed_address_outlives_agent_and_service(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        rest = Rest(service)
        addr = rest.address()["addr"]
        with running_agent(service, "tcp", "9", "--url", f"tcp://{addr}") as (_, url):
            assert url == f"tcp://{addr}"
        service.restart(kill=True)
        assert [each["addr"] for each in rest.done("GET", "/reserved_addrs")["reserved_addrs"]] == [addr]
        with running_agent(service, "tcp", "9", "--url", addr) as (_, url):
            assert url == f"tcp://{addr}"
