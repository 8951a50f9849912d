"""`portway diagnose`: each step's failure with its code, no secret in the report, nobody else asked."""

import asyncio
import json
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.kit.product import Service, running_service
from tests.kit.traffic import echo, server

from portway.cli import diagnose
from portway.cli.diagnose import Check, Report, examine, show
from portway.cli.main import run

pytestmark = pytest.mark.xdist_group("cli")


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(tmp_path / "data"))
    for name in ("PORTWAY_CONNECT_URL", "PORTWAY_PROXY_URL", "http_proxy", "PORTWAY_CONFIG", "NGROK_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    with running_service(tmp_path_factory.mktemp("diagnose")) as service:
        yield service


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


def found(report: Report, part: str) -> Check:
    return next(check for check in report.checks if part in check.what)


def test_all_is_well(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORTWAY_AUTHTOKEN", "topsecret")
    monkeypatch.setenv("http_proxy", "http://ann:alsosecret@proxy.test:1")
    known, file = service.bootstrap, tmp_path / "report.json"
    arguments = ["--connect-url", known.connect_url, "--connect-cas", known.ca_cert, "-w", str(file)]
    assert run(["diagnose", *arguments]) == 0
    text = capsys.readouterr().out
    assert text.count("[ OK ]") == 5
    assert "The service can be reached: region local, " in text
    assert "Internet" not in text
    report = json.loads(file.read_text())
    assert report["ok"] is True
    assert report["environment"]["secrets_set"] == ["PORTWAY_AUTHTOKEN"]
    assert "secret" not in file.read_text().replace("secrets_set", "")


def test_a_wrong_authority_is_a_failure_of_tls(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    url = service.bootstrap.connect_url
    assert run(["diagnose", "--connect-url", url, "--connect-cas", "host", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    states = {check["what"]: (check["state"], check["code"]) for check in report["checks"]}
    assert states["TCP connection"] == ("OK", None)
    assert states["TLS connection"] == ("FAIL", "ERR_NGROK_8003")
    assert states["Session protocol"] == ("SKIP", None)


async def test_what_fails_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = f"127.0.0.1:{free_port()}"
    assert found(await examine({"connect_url": closed}), "TCP").code == 8002
    async with server(echo) as port:
        assert found(await examine({"connect_url": f"localhost:{port}"}), "TLS").code == 8003
    proxied = {"connect_url": "x.test:1", "proxy_url": f"http://{closed}"}
    assert found(await examine(proxied), "Proxy").code == 8006

    async def nobody(host: str) -> tuple[list[str], str]:
        await asyncio.sleep(0)
        return [], f"{host}: not known"

    monkeypatch.setattr(diagnose, "_resolve", nobody)
    report = await examine({"connect_url": "x.test:1"})
    assert found(report, "Name resolution of x.test").code == 8000
    assert report.failed
    assert not any("TCP" in check.what for check in report.checks), "it is not worth going on"
    assert (
        found(await examine({"connect_url": "x.test:1", "proxy_url": "http://p.test:1"}), "Proxy").code
        == 8005
    )


async def test_the_internet_and_ipv6_are_asked_on_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def dial(host: str, port: int) -> str:
        await asyncio.sleep(0)
        asked.append(host)
        return "no way"

    monkeypatch.setattr(diagnose, "_dial", dial)
    closed = {"connect_url": f"127.0.0.1:{free_port()}"}
    await examine(closed)
    assert asked == []
    report = await examine(closed, internet=True, ipv6=True)
    assert asked == [host for host, _ in diagnose.INTERNET]
    assert [check.code for check in report.checks if check.state == "WARN"] == [8001, 8001, 8011]


def test_no_service_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diagnose"]) == 1
    assert "no service to connect to" in capsys.readouterr().err


def test_failures_are_told_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    report: Any = Report(
        "h:1", "1", "now", checks=[Check("Service", "TCP\x1b[2J", "FAIL", "refused\n", 8002)]
    )
    show(report)
    text = capsys.readouterr().out
    assert "└─ refused\\n  ERR_NGROK_8002" in text
    assert "\x1b[2J" not in text
