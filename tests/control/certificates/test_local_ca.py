"""The local authority: what it issues verifies, and its key stays private."""

import datetime as dt
import socket
import ssl
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509

from portway.control.certificates import local_ca
from portway.errors import ConfigError

NAMES = ["localhost", "127.0.0.1", "::1", "connect.portway.localhost", "*.portway.localhost"]
NOW = 1_800_000_000.0


def handshake(folder: Path, chain: bytes, key: bytes, host: str) -> None:
    """Shake hands over a socket pair's memory; raises SSLError when the client does not trust."""
    (folder / "leaf.pem").write_bytes(chain + key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "leaf.pem")
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "::1", "connect.portway.localhost", "any.portway.localhost"]
)
def test_a_leaf_is_trusted_for_its_names(tmp_path: Path, host: str) -> None:
    authority = local_ca.load_or_make(tmp_path, time.time())
    issued = authority.issue(NAMES, time.time())
    handshake(tmp_path, issued.chain, issued.key, host)


def test_a_leaf_is_not_trusted_for_other_names(tmp_path: Path) -> None:
    authority = local_ca.load_or_make(tmp_path, time.time())
    issued = authority.issue(["a.b.portway.localhost"], time.time())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, issued.chain, issued.key, "b.portway.localhost")


def test_lifetimes(tmp_path: Path) -> None:
    authority = local_ca.load_or_make(tmp_path, NOW)
    issued = authority.issue(["a.example"], NOW)
    leaf = x509.load_pem_x509_certificate(issued.chain)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == dt.timedelta(days=825)
    assert leaf.not_valid_after_utc.timestamp() == issued.not_after
    assert leaf.not_valid_before_utc.timestamp() == NOW - 3600
    root = x509.load_pem_x509_certificate(authority.pem)
    late = authority.issue(["a.example"], root.not_valid_after_utc.timestamp() - 86_400)
    assert late.not_after == root.not_valid_after_utc.timestamp(), "no leaf outlives its authority"


def test_keys_are_private_and_reprs_hide_them(tmp_path: Path) -> None:
    issued = local_ca.load_or_make(tmp_path, NOW).issue(["a.example"], NOW)
    assert stat.S_IMODE((tmp_path / "ca-key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca.pem").stat().st_mode) == 0o644
    assert b"PRIVATE KEY" in issued.key
    assert "PRIVATE" not in repr(issued)


def test_the_authority_is_made_once(tmp_path: Path) -> None:
    made = local_ca.load_or_make(tmp_path, NOW)
    again = local_ca.load_or_make(tmp_path, NOW + 1)
    assert made.pem == again.pem
    leaf = x509.load_pem_x509_certificate(again.issue(["a"], NOW).chain)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(made.pem))


def test_a_crash_between_the_two_files_is_healed(tmp_path: Path) -> None:
    local_ca.load_or_make(tmp_path, NOW)
    (tmp_path / "ca.pem").unlink()
    authority = local_ca.load_or_make(tmp_path, NOW)
    assert (tmp_path / "ca.pem").read_bytes() == authority.pem
    local_ca.load_or_make(tmp_path, NOW)


def test_a_name_too_long_for_a_common_name_still_gets_a_leaf(tmp_path: Path) -> None:
    name = ".".join(["a" * 60] * 3)
    authority = local_ca.load_or_make(tmp_path, time.time())
    issued = authority.issue([name], time.time())
    handshake(tmp_path, issued.chain, issued.key, name)


@pytest.mark.parametrize("damage", ["missing", "garbage", "foreign"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    local_ca.load_or_make(tmp_path, NOW)
    key = tmp_path / "ca-key.pem"
    if damage == "missing":
        key.unlink()
    elif damage == "garbage":
        key.write_text("garbage")
    else:
        (tmp_path / "other").mkdir()
        local_ca.load_or_make(tmp_path / "other", NOW)
        key.write_bytes((tmp_path / "other" / "ca-key.pem").read_bytes())
    with pytest.raises(ConfigError, match=r"ca-key\.pem"):
        local_ca.load_or_make(tmp_path, NOW)


def test_no_socket_is_needed_to_issue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = local_ca.load_or_make(tmp_path, NOW)
    monkeypatch.delattr(socket, "socket")
    assert authority.issue(["a"], NOW).chain
