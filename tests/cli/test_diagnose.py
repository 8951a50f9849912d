"""`portway diagnose`: each step's failure with its code, no secret in the report, nobody else asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.kit.product import Service

from portway.cli.diagnose import show
from portway.cli.diagnosis import Check, Report
from portway.cli.main import run

pytestmark = pytest.mark.xdist_group("cli")


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(tmp_path / "data"))
    for name in ("PORTWAY_CONNECT_URL", "PORTWAY_PROXY_URL", "http_proxy", "PORTWAY_CONFIG", "NGROK_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.row("K-12")
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


@pytest.mark.row("K-12")
def test_all_addresses_are_told_in_a_report_of_their_own(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    known = service.bootstrap
    arguments = ["--connect-url", known.connect_url, "--connect-cas", known.ca_cert]
    assert run(["diagnose", *arguments, "--region", "all"]) == 0
    text = capsys.readouterr().out
    assert f"Service at {known.connect_url}" in text
    (file,) = tmp_path.glob("portway-diagnose-*.json")
    assert f"The report is in {file}" in text
    assert json.loads(file.read_text())["region"] == "local"
    assert run(["diagnose", *arguments, "-r", "eu"]) == 0
    assert "only connect.… has others" in capsys.readouterr().out


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
