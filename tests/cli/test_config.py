"""`portway config`: files made, checked, edited and upgraded from the command line."""

import stat
import sys
from pathlib import Path

import pytest

from portway.agent.config.files import load
from portway.cli.config import editor
from portway.cli.main import run
from portway.errors import ConfigError

OLD = "# mine\nversion: 2\nauthtoken: abc # keep\ntunnels:\n  db:\n    proto: tcp\n    addr: 5432\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    for name in ("PORTWAY_CONFIG", "NGROK_CONFIG", "VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "xdg" / "portway" / "portway.yml"


@pytest.mark.row("K-09")
@pytest.mark.parametrize(
    ("command", "value", "line"),
    [
        ("add-authtoken", "T1", "  authtoken: T1"),
        ("add-api-key", "K1", "  api_key: K1"),
        ("add-connect-url", "h.test:4443", "  connect_url: h.test:4443"),
        ("add-server-addr", "h.test:4443", "  connect_url: h.test:4443"),
    ],
)
def test_a_setting_makes_the_file(
    command: str, value: str, line: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", command, value]) == 0
    assert home.read_text() == f"version: 3\nagent:\n{line}\n"
    assert stat.S_IMODE(home.stat().st_mode) == 0o600
    assert str(home) in capsys.readouterr().out
    assert run(["config", "check"]) == 0


@pytest.mark.row("K-09")
def test_other_content_stays(tmp_path: Path) -> None:
    file = tmp_path / "ngrok.yml"
    file.write_text(OLD)
    assert run(["config", "add-authtoken", "new", "--config", str(file)]) == 0
    assert file.read_text() == OLD.replace("abc", "new")
    assert run(["config", "add-connect-url", "h:1", "--config", str(file)]) == 0
    assert "server_addr: h:1\n" in file.read_text()


@pytest.mark.parametrize(
    "arguments", [["add-authtoken", " "], ["add-connect-url", "host"], ["add-authtoken"]]
)
def test_what_cannot_be_saved(arguments: list[str], home: Path) -> None:
    assert run(["config", *arguments]) in (1, 2)
    assert not home.exists()


@pytest.mark.row("K-10")
def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(OLD + "web_addr: 127.0.0.1:4040\n")
    bad.write_text("version: 3\nagent:\n  auth_token: x\n")
    assert run(["config", "check", "--config", str(good)]) == 0
    text = capsys.readouterr().out
    assert f"Valid configuration file at {good}" in text
    assert "web_addr has no effect: " in text
    assert run(["config", "check", "--config", f"{good},{bad}"]) == 1
    assert f"error: {bad}:3:3 agent.auth_token: there is no such key; did you mean authtoken?" in (
        capsys.readouterr().err
    )
    bad.write_text(
        "version: 3\nagent: {}\nendpoints:\n"
        "- {name: shop, upstream: {url: 80}, traffic_policy_file: gone.yml}\n"
        "- {name: site, upstream: {url: 'file:///nowhere'}}\n"
        "- {name: good, upstream: {url: 80}}\n"
    )
    assert run(["config", "check", "--config", str(bad)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        (
            f"error: {bad}:4:3 endpoints[0]: traffic policy {tmp_path}/gone.yml: cannot be read:"
            " No such file or directory"
        ),
        f"{bad}:5:3 endpoints[1]: upstream 'file:///nowhere': there is no such folder",
    ]
    assert run(["config", "check"]) == 0
    assert "none is needed" in capsys.readouterr().out
    assert run(["config", "check", "--config", str(tmp_path / "none.yml")]) == 1


@pytest.mark.row("K-10")
@pytest.mark.parametrize(
    ("version", "old", "kept", "gone"),
    [("2", "authtoken: a # keep\n", "version: 2", ""), ("3", OLD, "  authtoken: abc # keep", "tunnels:")],
)
def test_upgrade_keeps_a_backup(
    version: str, old: str, kept: str, gone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ngrok.yml"
    file.write_text(old)
    file.chmod(0o600)
    assert run(["config", "upgrade", version, "--dry-run", "--config", str(file)]) == 0
    assert file.read_text() == old
    shown = capsys.readouterr().out
    assert run(["config", "upgrade", version, "--config", str(file)]) == 0
    assert file.read_text() == shown
    assert kept in shown
    assert not gone or gone not in shown
    (backup,) = tmp_path.glob("ngrok.yml.v*.bak")
    assert backup.read_text() == old
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    capsys.readouterr()
    assert run(["config", "upgrade", version, "--config", str(file)]) == 0
    assert "already" in capsys.readouterr().out


@pytest.mark.row("K-10")
def test_upgrade_writes_the_version_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`config check` sends here whose file has none."""
    file = tmp_path / "ngrok.yml"
    file.write_text("agent:\n  authtoken: x\n")
    assert run(["config", "upgrade", "--config", str(file)]) == 0
    assert "It says its version now, 3; the old file is " in capsys.readouterr().out
    assert run(["config", "check", "--config", str(file)]) == 0


@pytest.mark.row("K-10")
def test_upgrade_moves_the_file_where_it_is_looked_for(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "ngrok.yml"
    (tmp_path / "ca.pem").touch()
    file.write_text(f"{OLD}root_cas: ca.pem\n")
    assert run(["config", "upgrade", "--relocate", "--config", str(file)]) == 0
    assert not file.exists()
    assert home.read_text().startswith("# mine\nversion: 3\n")
    assert load().settings.connect_cas == str(tmp_path / "ca.pem")
    file.write_text(OLD)
    assert run(["config", "upgrade", "--relocate", "--config", str(file)]) == 1, "nothing is overwritten"
    assert file.exists()


@pytest.mark.row("K-10")
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("version: 2\ntunnels:\n  a:\n    proto: tcp\n    addr: 1\n    nonsense: 2\n", "nonsense"),
        ("version: 2\nlog_level: loud\ntunnels: {}\n", "agent.log_level: one of"),
        ("auth_token: x\n", "auth_token"),
    ],
)
def test_what_would_not_be_valid_does_not_take_the_files_place(
    text: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ngrok.yml"
    file.write_text(text)
    assert run(["config", "upgrade", "--config", str(file)]) == 1
    told = capsys.readouterr().err
    assert what in told
    assert "is as it was" in told
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_what_endpoints_cannot_say_stays_a_tunnel_and_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ngrok.yml"
    file.write_text("version: 2\ntunnels:\n  old:\n    labels: [edge=x]\n    addr: 1\n")
    assert run(["config", "upgrade", "--config", str(file)]) == 0
    assert "tunnels.old stays a tunnel: endpoints have no labels" in capsys.readouterr().err
    (endpoint,) = load([str(file)]).endpoints["old"]
    assert (endpoint.labels, endpoint.upstream) == ({"edge": "x"}, "1")


@pytest.mark.row("K-10")
def test_no_way_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new.yml"
    file.write_text("version: 3\nagent: {}\n")
    assert run(["config", "upgrade", "2", "--config", str(file)]) == 1
    assert "cannot be taken back" in capsys.readouterr().err


@pytest.mark.row("K-10")
def test_edit_opens_what_is_wrong_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "broken.yml"
    file.write_text("version: [\n")
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('version: 3\\n')"
    monkeypatch.setenv("EDITOR", f"{sys.executable} {_script(tmp_path, program)}")
    assert run(["config", "edit", "--config", str(file)]) == 0
    assert "Valid configuration file" in capsys.readouterr().out
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    assert run(["config", "edit", "--config", str(file)]) == 1
    assert "set EDITOR" in capsys.readouterr().err


def _script(folder: Path, text: str) -> Path:
    script = folder / "editor.py"
    script.write_text(text)
    return script


def test_edit_begins_a_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "true")
    assert run(["config", "edit"]) == 0
    assert "endpoints: []" in home.read_text()


def test_which_editor(tmp_path: Path) -> None:
    assert editor({"VISUAL": "code -w", "EDITOR": "x"}) == ["code", "-w"]
    assert editor({}, "win32") == ["notepad"]
    (tmp_path / "vi").touch(mode=0o755)
    assert editor({"PATH": str(tmp_path)}) == [str(tmp_path / "vi")]
    with pytest.raises(ConfigError, match="set EDITOR"):
        editor({"PATH": "/nowhere"})


@pytest.mark.row("K-09")
@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("https://a.test:443", "write HOST:PORT, without a scheme"),
        ("a.test", "the port is missing"),
        ("a.test:x", "'x' is not a port"),
    ],
)
def test_an_address_that_is_none_is_not_saved(
    address: str, what: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "add-connect-url", address]) == 1
    assert what in capsys.readouterr().err
    assert not home.exists()
