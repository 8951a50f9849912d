"""IP policies and restrictions on a whole service: set by its API, felt by visitors, agents and callers.

Who comes from elsewhere than this machine comes through a load balancer at 127.0.0.9, whose PROXY header says
so: loopback itself is never locked out of the API.
"""

import asyncio
import http.client
import os
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.kit.eventually import eventually
from tests.kit.openssh import gateway, ssh
from tests.kit.product import Service
from tests.kit.rest import Rest
from tests.kit.traffic import echo, server

import portway
from portway import Agent

pytestmark = pytest.mark.xdist_group("ip-restrictions")

BALANCER = "127.0.0.9"
HERE, AWAY, ADMIN = "203.0.113.7", "198.51.100.7", "192.0.2.7"
GUARDED = """
on_http_request:
  - actions:
      - {type: restrict-ips, config: {ip_policies: [%s]}}
      - {type: custom-response, config: {status_code: 200, body: welcome}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all, each of whose tests lifts what it has restricted."""
    flags = ("--proxy-from", f"{BALANCER}/32", "--admin-cidr", "192.0.2.0/24,2001:db8::/64")
    with gateway(tmp_path_factory.mktemp("ip"), *flags) as service:
        yield service


@pytest.fixture(scope="module")
def rest(service: Service) -> Rest:
    """The API as its first account calls it."""
    return Rest(service)


def policy(rest: Rest, *cidrs: str) -> str:
    """Make an IP policy that lets these networks in."""
    made = str(rest.done("POST", "/ip_policies", {})["id"])
    for each in cidrs:
        allow(rest, made, each)
    return made


def allow(rest: Rest, policy_id: str, cidr: str, action: str = "allow") -> str:
    """Add a rule; return its path."""
    rule = {"ip_policy_id": policy_id, "cidr": cidr, "action": action}
    return f"/ip_policy_rules/{rest.done('POST', '/ip_policy_rules', rule)['id']}"


def restrict(rest: Rest, kind: str, policy_id: str, *, enforced: bool = True) -> str:
    """Restrict something; return the restriction's path."""
    wish = {"type": kind, "ip_policy_ids": [policy_id], "enforced": enforced}
    return f"/ip_restrictions/{rest.done('POST', '/ip_restrictions', wish)['id']}"


def asked(
    service: Service, host: str, source: str, path: str = "/", **fields: str
) -> http.client.HTTPResponse:
    """Ask a name for something, from an address: the balancer says so where it is not this machine's."""
    port = service.bootstrap.http_port
    local = source if source.startswith("127.") else BALANCER
    sock = socket.create_connection(("127.0.0.1", port), 30, (local, 0))
    if local == BALANCER:
        kind = "TCP6" if ":" in source else "TCP4"
        sock.sendall(
            f"PROXY {kind} {source} {'::1' if ':' in source else '127.0.0.1'} 40000 {port}\r\n".encode()
        )
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = sock
    try:
        connection.request("GET", path, headers={"Host": host, **fields})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


@pytest.mark.row("C17", "K-48")
def test_callers_of_the_api(service: Service, rest: Rest) -> None:
    known = service.bootstrap
    key = {"Authorization": f"Bearer {known.api_key}", "Ngrok-Version": "2"}

    def called(source: str, **more: str) -> int:
        return asked(service, f"api.{known.domain}", source, "/ip_policies", **key, **more).status

    place = restrict(rest, "api", policy(rest, "203.0.113.0/24"), enforced=False)
    assert called(AWAY) == 200, "it only warns"
    rest.done("PATCH", place, {"enforced": True})
    assert [called(source) for source in (HERE, AWAY, "2001:db8:1::7")] == [200, 403, 403]
    assert called(AWAY, **{"X-Forwarded-For": HERE}) == 403, "what a caller writes is nobody's address"
    assert [called(source) for source in (ADMIN, "2001:db8::7", "127.0.0.1", "127.0.0.2")] == [200] * 4
    rest.done("DELETE", place)
    assert called(AWAY) == 200


@pytest.mark.row("C17", "K-24", "K-48")
async def test_agents_of_both_kinds(service: Service, rest: Rest) -> None:
    elsewhere = policy(rest, "203.0.113.0/24")
    async with server(echo) as upstream, an_agent(service) as agent:
        standing = await agent.forward(upstream, url="tcp://")
        place = await asyncio.to_thread(restrict, rest, "agent", elsewhere)
        try:
            with pytest.raises(portway.Error) as refused:
                async with an_agent(service):
                    pass
            assert refused.value.code == "ERR_NGROK_115"
            with ssh(service, "-R", f"0:localhost:{upstream}", "v2@127.0.0.1", "tcp") as client:
                assert await asyncio.to_thread(client.status) != 0
                assert "ERR_NGROK_115" in client.said
            assert not standing.done(), "who is in stays"
            await asyncio.to_thread(allow, rest, elsewhere, "127.0.0.0/8")
            async with an_agent(service):
                pass
        finally:
            await asyncio.to_thread(rest.done, "DELETE", place)


def authority(service: Service) -> bytes:
    """Return the certificate that agents trust."""
    return Path(service.bootstrap.ca_cert).read_bytes()


@asynccontextmanager
async def an_agent(service: Service) -> AsyncGenerator[Agent]:
    """Connect an agent of ours in this process."""
    known = service.bootstrap
    agent = Agent(authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=authority(service))
    try:
        await agent.connect()
        yield agent
    finally:
        await agent.disconnect()


@pytest.mark.row("C17", "C23", "P-63", "K-48")
async def test_visitors_of_endpoints(service: Service, rest: Rest) -> None:
    async with server(echo) as upstream, an_agent(service) as agent:
        forwarder = await agent.forward(upstream, url="tcp://")
        port = forwarder.url.port
        assert port is not None
        own = await asyncio.to_thread(policy, rest, "127.0.0.1/32")

        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        place = await asyncio.to_thread(restrict, rest, "endpoints", own)
        try:
            await until(port, "127.0.0.2", wanted=False)
            assert await asyncio.to_thread(served, port, "127.0.0.1")
            writer.write(b"still")
            assert await reader.readexactly(5) == b"still", "who is in stays"
            rule = await asyncio.to_thread(allow, rest, own, "127.0.0.0/24")
            await until(port, "127.0.0.2", wanted=True)
            await asyncio.to_thread(rest.done, "DELETE", rule)
            await until(port, "127.0.0.2", wanted=False)
        finally:
            writer.close()
            await asyncio.to_thread(rest.done, "DELETE", place)
        await until(port, "127.0.0.2", wanted=True)


def served(port: int, source: str) -> bool:
    """Tell whether an echo at a port serves somebody."""
    with socket.create_connection(("127.0.0.1", port), 30, (source, 0)) as visitor:
        try:
            visitor.sendall(b"hello")
            return visitor.recv(5) == b"hello"
        except ConnectionError:
            return False


async def until(port: int, source: str, *, wanted: bool) -> None:
    """Wait until somebody is served, or not: a change is told at once, but not before it is made."""
    await asyncio.to_thread(
        eventually, lambda: served(port, source) is wanted, f"{source} is served: {wanted}", timeout=15
    )


@pytest.mark.row("P-39", "C23")
def test_a_traffic_policy_follows_the_ip_policy_that_it_names(service: Service, rest: Rest) -> None:
    name = f"guarded-{os.urandom(3).hex()}.{service.bootstrap.domain}"
    rest.done("POST", "/reserved_domains", {"domain": name})
    own = policy(rest, "127.0.0.2/32", "203.0.113.0/24", "2001:db8:1::/64")
    wish = {"url": f"http://{name}", "type": "cloud", "traffic_policy": GUARDED % own}
    unknown = wish | {"traffic_policy": GUARDED % (own[:-5] + "xxxxx")}
    assert rest.call("POST", "/endpoints", unknown).code == "2216"
    rest.done("POST", "/endpoints", wish)
    assert rest.call("DELETE", f"/ip_policies/{own}").code == "1420"
    eventually(lambda: asked(service, name, "127.0.0.2").status == 200, "the endpoint is online")

    def seen(*sources: str) -> list[tuple[int, str | None]]:
        answers = [asked(service, name, each) for each in sources]
        return [(each.status, each.getheader("ngrok-error-code")) for each in answers]

    refused = (403, "ERR_NGROK_3203")
    assert seen("127.0.0.1", HERE, AWAY, "2001:db8:1::5", "2001:db8:2::5") == [
        refused, (200, None), refused, (200, None), refused,
    ]  # fmt: skip
    allow(rest, own, "203.0.113.7/32", "deny")
    eventually(lambda: seen(HERE) == [refused], "the rule counts")
    place = restrict(rest, "endpoints", policy(rest, "127.0.0.3/32"))
    eventually(lambda: seen("127.0.0.2") == [(403, "ERR_NGROK_3205")], "the restriction counts first")
    rest.done("DELETE", place)
    eventually(lambda: seen("127.0.0.2") == [(200, None)], "it is lifted")
