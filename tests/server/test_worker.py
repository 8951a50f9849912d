"""The data plane put together: opened, restored, drained; in this process, over real sockets."""

import asyncio
import contextlib

import pytest
from tests.kit.agent import Agent, Taken, code
from tests.kit.pipes import spin_until
from tests.kit.service import DOMAIN, SECRET, Events, FakeControl, running_worker, service_certs, settings
from tests.kit.traffic import visitor

from portway.edge.http_watch import watch
from portway.edge.ports import CertificatePem
from portway.errors import ConfigError, ConnectError
from portway.model.entities import Reservation
from portway.net.tasks import Tasks
from portway.server.parsers import Address
from portway.server.worker import Worker


async def test_a_taken_address_names_its_flag_and_leaves_nothing_open() -> None:
    async with running_worker() as service:
        taken = Address("127.0.0.1", service.https_port)
        worker = Worker(settings(listen_https=taken))
        with pytest.raises(ConfigError, match="--listen-https"):
            await worker.open()
        await worker.stop()


async def test_urls_show_the_public_ports() -> None:
    config = settings(public_http_port=80, public_https_port=8443)
    async with running_worker(config=config) as service, service.connected() as agent:
        assert (await agent.bind("http", {"URL": f"http://a.{DOMAIN}"}))["URL"] == f"http://a.{DOMAIN}"
        url = f"https://a.{DOMAIN}"
        assert (await agent.bind("https", {"URL": url}))["URL"] == f"{url}:8443"
        assert code(await agent.bind("https", {"URL": f"{url}:{service.https_port}"})) == "9035"


async def test_agents_that_come_before_it_is_ready_are_served_when_it_is() -> None:
    certs, control = service_certs(), FakeControl()
    worker = Worker(settings())
    await worker.open()
    async with running_worker() as other:
        agent = other.agent()
        agent.port = worker.agent_port
        connecting = asyncio.create_task(agent.connect())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not connecting.done()
        worker.start(control, Events(), secret=SECRET, certificate=CertificatePem(certs.chain, certs.key))
        await connecting
        assert (await agent.auth())["Error"] == ""
        await agent.leave()
    await worker.stop()
    assert "closed" in repr(worker)


async def test_no_name_is_given_away_before_it_is_known_which_stand() -> None:
    control = FakeControl()
    config = settings()
    kept = f"tcp://localhost:{config.tcp_ports.low}"
    tries = iter(range(1))

    async def slow() -> list[Reservation]:
        for _ in tries:
            raise ConnectError("tcp", "the controller is starting")
        return [
            Reservation(kept, "ac_good", "somebody"),
            Reservation("no url at all", "ac_good", "somebody"),
        ]

    control.reservations = slow  # type: ignore[method-assign]
    control.reserve_address(config.tcp_ports.low, "ac_other")
    async with running_worker(control, config=config) as service, service.connected("other") as thief:
        assert code(await thief.bind("tcp", {"URL": kept})) == "309"
        reader, writer = await asyncio.open_connection("127.0.0.1", config.tcp_ports.low)
        assert await reader.read() == b""  # the port is kept, and nobody serves it
        writer.close()


async def test_a_kept_port_that_is_taken_does_not_stop_the_service() -> None:
    config = settings()
    foreign = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", config.tcp_ports.low)
    control = FakeControl()
    url = f"tcp://localhost:{config.tcp_ports.low}"
    control.names[url] = Reservation(url, "ac_good", "somebody")
    async with foreign, running_worker(control, config=config) as service, service.connected() as agent:
        assert (await agent.bind())["Error"] == ""
        control.reserve_address(config.tcp_ports.low)
        assert code(await agent.bind("tcp", {"URL": url})) == "309"


async def answer_all(agent: Agent, tasks: Tasks) -> None:
    """Answer each request of an agent's visitors."""

    async def serve(taken: Taken) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await taken.reader.readuntil(b"\r\n\r\n"):
                taken.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        taken.finish()

    while True:
        tasks.start(serve(await agent.visitors.get()), name="visitor's answer")


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send a request, or the rest of one; return the answer's head."""
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"
    return head


async def test_whoever_was_accepted_before_the_end_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty visitors that connect anew for each request are refused at the end or served, never lost."""
    monkeypatch.setattr("portway.edge.http.DRAIN_HEAD", 60)
    monkeypatch.setattr("portway.server.worker.ARRIVING", 60.0)
    request = f"GET / HTTP/1.1\r\nHost: web.{DOMAIN}\r\n\r\n".encode()
    async with running_worker(config=settings(drain_timeout=60.0)) as service, Tasks() as tasks:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        await agent.bind("http", {"URL": f"http://web.{DOMAIN}"})
        tasks.start(answer_all(agent, tasks), name="agent")
        port, served, refused = service.http_port, 0, 0

        async def visit_until_refused() -> None:
            nonlocal served, refused
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    refused += 1
                    return
                await ask(reader, writer, request)
                served += 1
                writer.close()

        visits = [tasks.start(visit_until_refused(), name="visitor") for _ in range(40)]
        await spin_until(lambda: served > 200)
        async with visitor(port) as begun, visitor(port) as silent, visitor(port) as resting:
            begun[1].write(request[:20])
            assert b"connection: close" not in (await ask(*resting, request)).lower()
            await spin_until(lambda: len(watch()) >= 3)
            stopping = tasks.start(service.worker.stop(), name="stop")
            await asyncio.gather(*visits)
            assert refused == 40
            assert await resting[0].read() == b""
            for reader, writer, rest in ((*begun, request[20:]), (*silent, request)):
                assert b"connection: close" in (await ask(reader, writer, rest)).lower()
                assert await reader.read() == b""
        await stopping
        await agent.gone()
