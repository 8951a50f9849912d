"""What a start finds and leaves in the data folder."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portway.errors import ConfigError
from portway.server import bootstrap, config
from portway.server.bootstrap import DataFolder, Ports
from portway.server.link import Secrets

NOW = 1_800_000_000.0
SECRETS = Secrets("token-1", "key-1", fresh=True)
PORTS = Ports(4443, 7080, 7443)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def content(secrets: Secrets = SECRETS, ports: Ports = PORTS, **flags: str) -> dict[str, str | None]:
    loaded = config.load({"data_dir": "/data", **flags}, {})
    return bootstrap.bootstrap_content(loaded, ports, secrets)


def test_the_file_says_exactly_this() -> None:
    assert content() == {
        "authtoken": "token-1",
        "api_key": "key-1",
        "ca_cert": "/data/ca.pem",
        "connect_url": "127.0.0.1:4443",
        "domain": "portway.localhost",
        "http_url": "http://portway.localhost:7080",
        "https_url": "https://portway.localhost:7443",
    }


def test_public_ports_and_the_domain_show_in_the_urls() -> None:
    said = content(domain="example.com", public_http_port="80", public_https_port="443")
    assert said["http_url"] == "http://example.com:80"
    assert said["https_url"] == "https://example.com:443"


@pytest.mark.parametrize(("listen", "connect"), [
    ("127.0.0.1:1", "127.0.0.1:4443"),
    (":1", "127.0.0.1:4443"),
    ("[::]:1", "[::1]:4443"),
    ("localhost:1", "localhost:4443"),
    ("192.0.2.7:1", "connect.portway.localhost:4443"),
])  # fmt: skip
def test_the_connect_url_reaches_the_listener_under_a_certified_name(listen: str, connect: str) -> None:
    assert content(listen_agent=listen)["connect_url"] == connect


def test_the_file_is_private_and_appears_whole(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "data") as folder:
        assert not (folder.path / "bootstrap.json").exists()
        folder.announce(content())
        assert json.loads((folder.path / "bootstrap.json").read_text()) == content()
        assert mode(folder.path / "bootstrap.json") == 0o600
        assert mode(folder.path) == 0o700


def test_an_old_file_is_gone_before_anything_listens_and_its_secrets_are_kept(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        folder.announce(content())
    with DataFolder(tmp_path) as folder:
        assert not (tmp_path / "bootstrap.json").exists()
        assert folder.kept_secrets() == Secrets("token-1", "key-1")
    # That start never became ready; the next one still knows them.
    with DataFolder(tmp_path) as folder:
        kept = folder.kept_secrets()
        assert kept == Secrets("token-1", "key-1")
        folder.announce(content(kept))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bootstrap.json", "lock"]


@pytest.mark.parametrize("left", [None, "", "{", "[]", '{"authtoken": 1}'])
def test_a_lost_or_damaged_file_leaves_no_secrets(tmp_path: Path, left: str | None) -> None:
    if left is not None:
        (tmp_path / "bootstrap.json").write_text(left)
    with DataFolder(tmp_path) as folder:
        assert folder.kept_secrets() == Secrets()
        folder.announce(content(Secrets()))
    said = json.loads((tmp_path / "bootstrap.json").read_text())
    assert said["authtoken"] is None
    assert said["api_key"] is None


def test_one_folder_serves_one_service(tmp_path: Path) -> None:
    with DataFolder(tmp_path), pytest.raises(ConfigError, match="another portway serve"):
        DataFolder(tmp_path)
    with DataFolder(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: the data folder cannot be used"):
        DataFolder(tmp_path / "file")


def test_the_key_of_proofs_is_made_once(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        secret = folder.secret()
        assert len(secret) == 32
        assert folder.secret() == secret
        assert mode(tmp_path / "secret") == 0o600
        (tmp_path / "secret").write_bytes(b"short")
        with pytest.raises(ConfigError, match="secret: not 32 bytes"):
            folder.secret()


def test_the_certificate_is_made_once_and_renewed_near_its_end(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        chain, key = folder.certificate("portway.localhost", NOW)
        first, authority = chain.read_bytes(), (tmp_path / "ca.pem").read_bytes()
        assert mode(key) == 0o600
        assert mode(tmp_path / "ca-key.pem") == 0o600
        end = json.loads((tmp_path / "service.json").read_text())["not_after"]
        last_day = end - 30 * 86_400
        folder.certificate("portway.localhost", last_day - 1)
        assert chain.read_bytes() == first
        folder.certificate("portway.localhost", last_day + 1)
        second = chain.read_bytes()
        assert second != first
        folder.certificate("example.com", last_day + 1)
        third = chain.read_bytes()
        assert third != second
        chain.write_bytes(first)  # not what the stamp says
        folder.certificate("example.com", last_day + 1)
        assert chain.read_bytes() not in {first, third}
        assert (tmp_path / "ca.pem").read_bytes() == authority


def test_the_certificate_holds_the_further_hosts_of_agents(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        folder.certificate("portway.localhost", NOW, ["two.example.com", "192.0.2.7", "localhost"])
        names = json.loads((tmp_path / "service.json").read_text())["names"]
        assert names == [*bootstrap.service_names("portway.localhost"), "two.example.com", "192.0.2.7"]


def test_a_damaged_stamp_costs_a_new_certificate_only(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        for stamp in ("", "[]", "{}", '{"not_after": "x"}'):
            (tmp_path / "service.json").write_text(stamp)
            chain, _ = folder.certificate("portway.localhost", NOW)
            assert chain.exists()


def test_the_names_of_the_service() -> None:
    assert bootstrap.service_names("portway.localhost") == [
        "localhost", "127.0.0.1", "::1", "connect.portway.localhost", "portway.localhost",
        "*.portway.localhost",
    ]  # fmt: skip
    assert bootstrap.service_names("localhost").count("localhost") == 1


def test_fresh_secrets_are_shown_once_and_lost_ones_name_the_command(tmp_path: Path) -> None:
    fresh = bootstrap.banner(content(), SECRETS, tmp_path)
    assert "token-1" in fresh
    assert "key-1" in fresh
    known = Secrets("token-1", "key-1")
    assert "token-1" not in bootstrap.banner(content(known), known, tmp_path)
    lost = bootstrap.banner(content(Secrets()), Secrets(), tmp_path)
    assert f"PORTWAY_DATA_DIR={tmp_path} portway admin token add" in lost
    assert "portway admin api-key add" in lost


def test_the_hint_is_short_for_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTWAY_DATA_DIR", "/data")
    assert "terminal: portway http 8080" in bootstrap.banner(content(), SECRETS, Path("/data"))


PROBE = """
import sys
from pathlib import Path
import portway.server.service
from portway.server.bootstrap import DataFolder
with DataFolder(Path(sys.argv[1])) as folder:
    folder.certificate("portway.localhost", float(sys.argv[2]))
    folder.secret()
heavy = {"sqlalchemy", "alembic", "aiosqlite", "greenlet", "ruamel", "cryptography", "structlog", "rich"}
print(*sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""


def test_the_data_plane_imports_nothing_heavy(tmp_path: Path) -> None:
    def imported() -> str:
        command = [sys.executable, "-c", PROBE, str(tmp_path), str(NOW)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert imported() == "cryptography", "the first start makes certificates"
    assert imported() == ""
