"""A service whose store fails under it: what runs goes on, what cannot be written is refused, it heals."""

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.eventually import eventually
from tests.kit.postgres import Cluster
from tests.kit.product import Service, agent_beside, clean_environment, running_service
from tests.kit.rest import Rest
from tests.kit.traffic import echo, server, visitor

import portway

pytestmark = pytest.mark.xdist_group("store outage")

PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def database() -> Generator[Cluster]:
    """A PostgreSQL server that may be killed."""
    made = Cluster()
    yield made
    made.remove()


@asynccontextmanager
async def agent_of(service: Service, token: str = "") -> AsyncGenerator[portway.Agent]:
    """An agent of ours in this process."""
    known = service.bootstrap
    async with portway.Agent(
        authtoken=token or known.authtoken, connect_url=known.connect_url, connect_cas=known.ca_cert
    ) as agent:
        await agent.connect()
        yield agent


async def carries(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Check that bytes go there and back."""
    writer.write(b"hello")
    assert await asyncio.wait_for(reader.readexactly(5), 20) == b"hello"


def family(service: Service) -> list[psutil.Process]:
    """Return the processes of a service, its own first."""
    own = psutil.Process(service.pid)
    return [own, *own.children(recursive=True)]


def controller(service: Service) -> psutil.Process:
    """Return the process that has the store."""
    (found,) = (each for each in family(service) if "portway.server.controller" in each.cmdline())
    return found


async def test_a_service_outlives_its_database(database: Cluster, tmp_path: Path) -> None:
    url = database.url(database.database(), f"tester:{PASSWORD}")
    options = tmp_path / "portway.yml"
    options.write_text(f"database_url: '{url}'\n")
    with running_service(tmp_path, "--config", str(options)) as service:
        rest = Rest(service)
        token = (await asyncio.to_thread(rest.credential))["token"]
        async with (
            server(echo) as upstream,
            agent_beside(service, "tcp", str(upstream)) as (_, public),
            visitor(urlsplit(public).port or 0) as old,
            agent_of(service) as bystander,
        ):
            await carries(*old)
            await asyncio.to_thread(database.stop)
            with pytest.raises(portway.Error) as caught:
                await bystander.listen(url="tcp://")
            assert caught.value.code == "ERR_NGROK_128"
            assert (await asyncio.to_thread(rest.call, "POST", "/credentials", {})).status == 503
            await carries(*old)
            async with visitor(urlsplit(public).port or 0) as new:
                await carries(*new)
            newcomer = asyncio.ensure_future(entered(service, token))
            await asyncio.to_thread(database.start)
            await asyncio.wait_for(newcomer, 60)
            await bystander.listen(url="tcp://")
            await asyncio.wait_for(revoked(service, token, url), 60)
            await carries(*old)
        command_lines = " ".join(word for each in family(service) for word in each.cmdline())
        files = b"".join(each.read_bytes() for each in service.data.iterdir() if each.is_file())
        assert PASSWORD not in command_lines
        assert PASSWORD not in service.log
        assert PASSWORD.encode() not in files
        assert not (service.data / "portway.db").exists()
        assert service.log.count("cannot be used") < 5, "it is said once an outage, by whom it concerns"


async def entered(service: Service, token: str) -> None:
    """Try until an agent has come in: those who ask while the store is away are to come again."""
    while True:
        try:
            async with agent_of(service, token) as agent:
                await agent.listen(url="tcp://")
        except portway.ConnectError:
            continue  # no answer within the agent's patience
        except portway.Error as error:
            if error.code != "ERR_NGROK_128":
                raise
        else:
            return


async def revoked(service: Service, token: str, url: str) -> None:
    """Revoke an authtoken by `portway admin`, which needs to be told where the store is; its session ends."""

    def admin(**environ: str) -> subprocess.CompletedProcess[str]:
        flags = ("--data-dir", str(service.data), "--json")
        return subprocess.run(
            [sys.executable, "-m", "portway.cli.main", "admin", *command, *flags],
            env=clean_environment() | environ, capture_output=True, text=True, check=False,
        )  # fmt: skip

    async with agent_of(service, token) as agent:
        listener = await agent.listen(url="tcp://")
        command = ("token", "list")
        lost = await asyncio.to_thread(admin)
        assert lost.returncode != 0
        assert "say --database-url" in lost.stderr
        rows = json.loads((await asyncio.to_thread(admin, PORTWAY_DATABASE_URL=url)).stdout)
        (found,) = (row["id"] for row in rows if token.startswith(row["id"].removeprefix("cr_")))
        command = ("token", "revoke", found)
        await asyncio.to_thread(admin, PORTWAY_DATABASE_URL=url)
        with pytest.raises((portway.Error, portway.ListenerClosed)):
            await listener.accept()


async def test_a_service_outlives_a_full_disk(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        rest = Rest(service)
        for _ in range(12):
            rest.credential()
        owner = controller(service)
        wal = service.data / "portway.db-wal"
        eventually(lambda: wal.stat().st_size > 1 << 17, "the log of the store is larger than the limit")
        async with (
            server(echo) as upstream,
            agent_beside(service, "tcp", str(upstream)) as (_, public),
            visitor(urlsplit(public).port or 0) as old,
            agent_of(service) as bystander,
        ):
            before = len(rest.done("GET", "/credentials")["credentials"])
            unlimited = resource.prlimit(owner.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(owner.pid, resource.RLIMIT_FSIZE, (1 << 16, unlimited[1]))
            for _ in range(2):
                assert (await asyncio.to_thread(rest.call, "POST", "/credentials", {})).status == 503
            with pytest.raises(portway.Error) as caught:
                await bystander.listen(url="tcp://")
            assert caught.value.code == "ERR_NGROK_128"
            await carries(*old)
            assert len((await asyncio.to_thread(rest.done, "GET", "/credentials"))["credentials"]) == before
            resource.prlimit(owner.pid, resource.RLIMIT_FSIZE, unlimited)
            assert (await asyncio.to_thread(rest.credential))["token"]
            await bystander.listen(url="tcp://")
            assert controller(service).pid == owner.pid, "it was the same process all the time"
