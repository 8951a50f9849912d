"""What `portway diagnose` finds out: each step's failure with its code, and nobody else is asked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.kit.certs import make_certs
from tests.kit.fake_service import FakeService
from tests.kit.name_server import name_server
from tests.kit.ports import free
from tests.kit.traffic import echo, server

from portway.agent.config.model import Settings
from portway.cli import diagnosis
from portway.cli.diagnosis import Check, Report, environment, examine


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(tmp_path / "data"))
    for name in ("PORTWAY_CONNECT_URL", "PORTWAY_PROXY_URL", "http_proxy", "PORTWAY_CONFIG", "NGROK_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def found(report: Report, part: str) -> Check:
    return next(check for check in report.checks if part in check.what)


def resolving(*addresses: str) -> object:
    """Make a system's resolver that always gives these."""

    async def resolved(_host: str) -> tuple[list[str], str]:
        await asyncio.sleep(0)
        return list(addresses), "" if addresses else "not known"

    return resolved


def states(report: Report, group: str) -> list[tuple[str, int]]:
    return [(check.state, check.code) for check in report.checks if check.group == group]


@pytest.mark.row("K-12")
async def test_what_fails_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = f"127.0.0.1:{free(1)[0]}"
    assert found(await examine({"connect_url": closed}), "TCP").code == 8002
    async with server(echo) as port:
        assert found(await examine({"connect_url": f"localhost:{port}"}), "TLS").code == 8003
    proxied = {"connect_url": "x.test:1", "proxy_url": f"http://{closed}"}
    assert found(await examine(proxied), "Proxy").code == 8006

    async def nobody(host: str) -> tuple[list[str], str]:
        await asyncio.sleep(0)
        return [], f"{host}: not known"

    monkeypatch.setattr(diagnosis, "resolved", nobody)
    report = await examine({"connect_url": "x.test:1"})
    assert found(report, "Name resolution of x.test").code == 8000
    assert report.failed
    assert not any("TCP" in check.what for check in report.checks), "it is not worth going on"
    assert (
        found(await examine({"connect_url": "x.test:1", "proxy_url": "http://p.test:1"}), "Proxy").code
        == 8005
    )


@pytest.mark.row("K-12")
async def test_the_internet_and_ipv6_are_asked_on_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def dial(host: str, port: int, context: object = None) -> str:
        await asyncio.sleep(0)
        asked.append(host)
        return "no way"

    monkeypatch.setattr(diagnosis, "dialled", dial)
    closed = {"connect_url": f"127.0.0.1:{free(1)[0]}"}
    await examine(closed)
    assert asked == []
    report = await examine(closed, internet=True, ipv6=True)
    assert asked == [host for host, _ in diagnosis.INTERNET]
    assert [check.code for check in report.checks if check.state == "WARN"] == [8001, 8001, 8011]


@pytest.fixture
async def named() -> AsyncIterator[FakeService]:
    """A service whose name is x.test."""
    service = FakeService(make_certs("x.test"))
    await service.start()
    yield service
    await service.close()


@pytest.mark.row("K-12")
async def test_what_answers_there_is_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS stands, with the right certificate; what follows is not the session's protocol."""
    certs, cas = make_certs("localhost"), tmp_path / "ca.pem"
    cas.write_bytes(certs.ca)

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(1)
        writer.close()

    monkeypatch.setattr(diagnosis, "resolved", resolving("127.0.0.1", "127.0.0.2"))
    made = await asyncio.start_server(page, "127.0.0.1", 0, ssl=certs.server)
    async with made:
        port = made.sockets[0].getsockname()[1]
        values = {"connect_url": f"localhost:{port}", "connect_cas": str(cas)}
        report = await examine(values)
        assert states(report, "Service")[1:] == [("OK", 0), ("OK", 0), ("FAIL", 8004)]
        report = await examine(values, region="all")
    assert states(report, f"Service at 127.0.0.1:{port}") == [("OK", 0), ("OK", 0), ("FAIL", 8004)]
    assert states(report, f"Service at 127.0.0.2:{port}") == [("FAIL", 8002), ("SKIP", 0), ("SKIP", 0)]
    assert states(report, "Service")[-1] == ("FAIL", 8009)


async def test_every_address_is_tested_by_itself(
    named: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cas = tmp_path / "ca.pem"
    cas.write_bytes(named.certs.ca)
    monkeypatch.setattr(diagnosis, "resolved", resolving("127.0.0.2", "127.0.0.1"))
    values = {"connect_url": f"x.test:{named.port}", "connect_cas": str(cas)}
    report = await examine(values, region="all")
    assert not report.failed, "one is enough"
    assert report.region == "somewhere"
    assert states(report, f"Service at 127.0.0.2:{named.port}")[0] == ("WARN", 8002)
    assert states(report, f"Service at 127.0.0.1:{named.port}") == [("OK", 0)] * 3


@pytest.mark.row("K-12")
async def test_no_address_takes_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "resolved", resolving("127.0.0.1", "127.0.0.2"))
    report = await examine({"connect_url": f"x.test:{free(1)[0]}"}, region="all")
    assert states(report, "Service")[-1] == ("FAIL", 8007)
    async with server(echo) as port:
        report = await examine({"connect_url": f"x.test:{port}"}, region="all")
    assert states(report, "Service")[-1] == ("FAIL", 8008)


@pytest.mark.row("K-12")
async def test_resolvers_that_do_not_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "resolved", resolving("127.0.0.1"))
    file = tmp_path / "agent.yml"
    values = {"connect_url": f"x.test:{free(1)[0]}", "config": [str(file)]}

    def asking(*ports: int) -> None:
        servers = [f"127.0.0.1:{port}" for port in ports]
        file.write_text(f"version: 3\nagent: {{connect_timeout: 1s, dns_resolver_ips: {servers}}}\n")

    async with (
        name_server({"x.test": ["127.0.0.1"]}) as (one, _),
        name_server({"x.test": ["127.0.0.9"]}) as (two, _),
        name_server({}) as (ignorant, _),
    ):
        asking(one)
        assert found(await examine(values), "agree").state == "OK"
        asking(one, two)
        lonely = found(await examine(values), "agree")
        assert (lonely.state, lonely.code) == ("WARN", 8010)
        assert lonely.detail == f"127.0.0.9: only 127.0.0.1:{two}"
        asking(ignorant)
        check = found(await examine(values), "Name resolution of x.test")
        assert (check.state, check.code) == ("WARN", 8000)
        assert check.detail == f"127.0.0.1:{ignorant}: there is no such name"


@pytest.mark.row("K-12")
def test_the_configuration_is_told_without_its_secrets() -> None:
    settings = Settings(
        authtoken="topsecret", api_key="topsecret", proxy_url="http://ann:topsecret@p:1", log="x"
    )
    told = environment({}, [], settings)
    assert "topsecret" not in str(told)
    assert told["configuration"] == {
        "authtoken": "set", "api_key": "set", "proxy_url": "http://…@p:1", "log": "x",
    }  # fmt: skip
