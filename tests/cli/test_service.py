"""`portway service`: what is installed and run, with the system's own program played by a script."""

from pathlib import Path

import pytest

from portway.cli.main import run


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that writes down how it was called; a home of its own."""
    script, said = tmp_path / "bin" / "systemctl", tmp_path / "calls"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.platform", "linux")
    said.touch()
    return said


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "agent.yml"
    file.write_text("version: 3\nendpoints: [{name: a, upstream: {url: 80}}]\n")
    return file


@pytest.mark.row("K-11")
def test_the_life_of_a_service(
    calls: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["service", "install", "--user", "--config", str(file)]) == 0
    installed = tmp_path / "home/.config/systemd/user/portway-agent.service"
    assert f"start --all --config {file}" in installed.read_text()
    for command in ("start", "stop", "restart", "status"):
        assert run(["service", command]) == 0
    assert run(["service", "uninstall"]) == 0
    assert not installed.exists()
    assert calls.read_text().splitlines() == [
        "--user daemon-reload", "--user enable portway-agent", "--user start portway-agent",
        "--user stop portway-agent", "--user restart portway-agent",
        "--user status --no-pager portway-agent", "--user disable --now portway-agent",
        "--user daemon-reload",
    ]  # fmt: skip
    assert run(["service", "start"]) == 1
    assert "is not installed" in capsys.readouterr().err


@pytest.mark.row("K-11")
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("version: 3\nagent: {x: 1}\n", "agent.x: there is no such key"),
        ("version: 3\n", "nothing to start"),
        ("version: 3\nendpoints: [{name: a, upstream: {url: 1}, traffic_policy_file: x}]\n", "policy"),
    ],
)
def test_what_is_wrong_is_not_installed(
    text: str, what: str, calls: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)
    assert run(["service", "install", "--user", "--config", str(file)]) == 1
    assert what in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
    assert not calls.read_text()


@pytest.mark.row("K-11")
def test_what_the_system_refuses_is_not_left(
    calls: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    assert run(["service", "install", "--user", "--config", str(file)]) == 1
    assert "systemctl --user daemon-reload ended with 1" in capsys.readouterr().err
    assert run(["service", "start"]) == 1
    assert "is not installed" in capsys.readouterr().err


def test_variables_of_the_shell_are_not_the_services(
    calls: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "x")
    assert run(["service", "install", "--user", "--dry-run", "--config", str(file)]) == 0
    assert "the service will not see NGROK_AUTHTOKEN of this shell" in capsys.readouterr().out


def test_a_dry_run_does_nothing(calls: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["service", "install", "--user", "--dry-run", "--config", str(file)]) == 0
    assert "ExecStart=" in capsys.readouterr().out
    assert not calls.read_text()


def test_the_machines_own_service_needs_an_administrator(
    calls: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run(["service", "install", "--config", str(file)]) == 1
    assert "use sudo, or --user" in capsys.readouterr().err
    assert run(["service", "install", "--config", "/none.yml"]) == 1
