"""Whose visitor is whose, on a whole data plane: all forms of a name, wildcards, tenants side by side."""

import asyncio
import contextlib
import ssl

import pytest
from tests.kit.agent import Agent, Taken
from tests.kit.service import DOMAIN, running_worker
from tests.kit.traffic import visitor

from portway.net.tasks import Tasks


async def named(agent: Agent, name: str) -> None:
    """Answer each request of an agent's visitors with a name and the body that came, request by request."""

    async def serve(taken: Taken) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := await taken.reader.readuntil(b"\r\n\r\n"):
                size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await taken.reader.readexactly(int(size or b"0"))
                answer = name.encode() + b":" + body
                taken.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    async with Tasks() as tasks:
        while True:
            tasks.start(serve(await agent.visitors.get()), name=f"visitor of {name}")


async def answers(
    port: int, *requests: bytes, tls: ssl.SSLContext | None = None, sni: str = ""
) -> list[bytes]:
    """Send requests in one go over one connection; return the body of each 200, the status of all else."""
    found: list[bytes] = []
    async with visitor(port, tls=tls, name=sni) as (reader, writer):
        writer.write(b"".join(requests))
        for _ in requests:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await asyncio.wait_for(reader.readexactly(size), 10)
            status = head.split(b" ")[1]
            found.append(body if status == b"200" else status)
    return found


def get(host: str) -> bytes:
    """Return a request for a host."""
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


@pytest.mark.row("G-184")
async def test_the_most_specific_name_serves_in_whatever_form_it_is_asked_for() -> None:
    wide, near, exact, theirs = "*.a.test", "*.b.a.test", "x.b.a.test", "a.b.test"
    async with running_worker() as service, Tasks() as tasks:
        for domain in (wide, near, exact):
            service.control.reserve_domain(domain)
        service.control.reserve_domain(theirs, "ac_other")
        async with contextlib.AsyncExitStack() as agents:
            for name, host, token in (
                ("wide", wide, "good"),
                ("near", near, "good"),
                ("exact", exact, "good2"),
                ("theirs", theirs, "other"),
            ):
                agent = await agents.enter_async_context(service.connected(token))
                for proto in ("http", "https"):
                    bound = await agent.bind(proto, {"URL": f"{proto}://{host}"})
                    assert bound["Error"] == "", bound
                tasks.start(named(agent, name), name=name)
            asked = {
                "x.b.a.test": b"exact:",
                "X.B.A.Test": b"exact:",
                "x.b.a.test.": b"exact:",
                f"x.b.a.test:{service.http_port}": b"exact:",
                "y.b.a.test": b"near:",
                "deep.x.b.a.test": b"near:",
                "b.a.test": b"wide:",
                "c.a.test": b"wide:",
                "very.deep.c.a.test:80": b"wide:",
                "a.test": b"404",
                "a.b.test": b"theirs:",
                "x.a.b.test": b"404",
            }
            found = await answers(service.http_port, *map(get, asked))
            assert dict(zip(asked, found, strict=True)) == asked
            tls = service.control.authority.client_context()
            tls.check_hostname = False  # a wildcard's certificate covers one level, its endpoint all
            for host, body in asked.items():
                name = host.partition(":")[0].removesuffix(".")
                if body != b"404":
                    assert await answers(service.https_port, get(host), tls=tls, sni=name) == [body]
            # One certificate covers both names, but the connection was made for the first.
            shared = await answers(
                service.https_port,
                get("y.b.a.test"),
                get("z.b.a.test"),
                get("a.b.test"),
                tls=tls,
                sni="y.b.a.test",
            )
            assert shared == [b"near:", b"421", b"421"]


@pytest.mark.parametrize(
    "host", ["u@x.test", "[::1]", "x..test", "x.test:port", "x.test:99999", "x_y.test/", "", "x.test, y.test"]
)
async def test_what_is_no_host_is_nobodys(host: str) -> None:
    async with running_worker() as service:
        assert await answers(service.http_port, get(host)) in ([b"400"], [b"404"])


async def test_bodies_of_tenants_on_one_connection_stay_apart() -> None:
    """What looks like a request in the body of one is never the other's."""
    async with (
        running_worker() as service,
        service.connected() as mine,
        service.connected("other") as theirs,
        Tasks() as tasks,
    ):
        hosts = {f"mine.{DOMAIN}": (mine, "mine"), f"theirs.{DOMAIN}": (theirs, "theirs")}
        for host, (agent, name) in hosts.items():
            assert (await agent.bind("http", {"URL": f"http://{host}"}))["Error"] == ""
            tasks.start(named(agent, name), name=name)
        requests: list[bytes] = []
        wanted: list[bytes] = []
        for turn in range(20):
            for host, (_, name) in hosts.items():
                other = next(each for each in hosts if each != host)
                body = get(other) * (turn % 3)
                requests.append(
                    f"POST /{turn} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                wanted.append(name.encode() + b":" + body)
        assert await answers(service.http_port, *requests) == wanted
