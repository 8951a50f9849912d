"""The host key: made once, kept to its owner, shown as OpenSSH shows it."""

import stat
import subprocess
from pathlib import Path

import pytest
from tests.kit.programs import need

from portway.errors import ConfigError
from portway.server import ssh_host_key
from portway.server.ssh_host_key import KEY, PUBLIC, keep_known_hosts, known_hosts_line, load_or_make


def test_it_is_made_once(tmp_path: Path) -> None:
    made = load_or_make(tmp_path)
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    assert load_or_make(tmp_path) == made
    (tmp_path / PUBLIC).unlink()
    assert load_or_make(tmp_path) == made
    assert "PRIVATE" not in repr(made)
    shown = subprocess.run(
        [need("ssh-keygen"), "-l", "-f", tmp_path / KEY], check=True, capture_output=True, text=True
    ).stdout
    assert made.fingerprint in shown
    assert "ED25519" in shown


def test_a_line_for_known_hosts(tmp_path: Path) -> None:
    key = load_or_make(tmp_path)
    assert known_hosts_line(key, ["h.test", "i.test"], 22) == f"h.test,i.test {key.public}"
    line = known_hosts_line(key, ["127.0.0.1", "connect.example.com"], 2222)
    path = keep_known_hosts(tmp_path, line)
    found = subprocess.run(
        [need("ssh-keygen"), "-F", "[127.0.0.1]:2222", "-f", path], check=True, capture_output=True, text=True
    ).stdout
    assert key.public in found


def test_what_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / KEY).write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="remove it"):
        load_or_make(tmp_path)
    (tmp_path / KEY).unlink()
    (tmp_path / KEY).mkdir()
    with pytest.raises(ConfigError):
        load_or_make(tmp_path)
    with pytest.raises(ConfigError):
        keep_known_hosts(tmp_path / "nowhere", "x")
    assert ssh_host_key.SSH_PORT == 22
