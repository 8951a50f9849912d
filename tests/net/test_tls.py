"""The pump: two of them back to back, no socket."""

import gc
import random
import ssl
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.kit.certs import Certs, make_certs

from portway.errors import ConfigError, ConnectError
from portway.net.tls import TlsPump, agent_context, service_context

SPACE = memoryview(bytearray(1 << 20))


def _context(certs: Certs, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = agent_context(certs.ca)
    context.maximum_version = version
    return context


def _pair(
    certs: Certs, host: str = "localhost", context: ssl.SSLContext | None = None
) -> tuple[TlsPump, TlsPump]:
    """A client and a server that have not spoken yet."""
    return (
        TlsPump(context or certs.client, server_side=False, server_hostname=host),
        TlsPump(certs.server, server_side=True),
    )


def _shake(client: TlsPump, server: TlsPump) -> None:
    """Let them talk until both are secure, tickets included."""
    for _ in range(4):
        client.handshake()
        server.received(client.output())
        server.handshake()
        client.received(server.output())
    assert client.secure
    assert server.secure
    assert client.read_into(SPACE) == 0  # tickets are not data


def _read(pump: TlsPump, size: int = 1 << 20) -> bytes:
    """Read all that is there now, in views of `size`."""
    got = bytearray()
    while n := pump.read_into(SPACE[:size]):
        got += SPACE[:n]
    return bytes(got)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_megabytes_both_ways(certs: Certs, version: ssl.TLSVersion) -> None:
    """What goes in comes out."""
    client, server = _pair(certs, context=_context(certs, version))
    assert (client.version, client.cipher) == ("", "")
    _shake(client, server)
    assert server.version == client.version == version.name.replace("_", ".")
    assert server.cipher
    there, back = random.Random(1).randbytes(700_000), random.Random(2).randbytes(900_000)
    client.write(there)
    server.write(memoryview(back))
    server.received(client.output())
    client.received(server.output())
    assert not client.has_output
    assert _read(server) == there
    assert _read(client) == back
    assert server.read_into(SPACE) == 0
    assert server.unread == 0


def test_one_call_fills_the_view_with_many_records(certs: Certs) -> None:
    """Frames are as long as the view, not as records are."""
    client, server = _pair(certs)
    _shake(client, server)
    client.write(bytes(200_000))
    server.received(client.output())
    assert server.read_into(SPACE[:150_001]) == 150_001
    assert server.read_into(SPACE[:150_001]) == 49_999


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.binary(max_size=40_000), max_size=6),
    st.lists(st.integers(1, 30_000), min_size=1, max_size=20),
    st.lists(st.integers(1, 50_000), min_size=1, max_size=20),
)
def test_any_pieces_of_ciphertext_any_views(
    certs: Certs, writes: list[bytes], cuts: list[int], views: list[int]
) -> None:
    """However the socket cuts it and however small the lends are, order and content hold."""
    client, server = _pair(certs)
    _shake(client, server)
    for data in writes:
        client.write(data)
    client.close_notify()
    sealed, got, step = client.output(), bytearray(), 0
    while sealed:
        cut = cuts[step % len(cuts)]
        server.received(sealed[:cut])
        sealed = sealed[cut:]
        while n := server.read_into(SPACE[: views[step % len(views)]]):
            got += SPACE[:n]
            step += 1
        step += 1
    assert got == b"".join(writes)
    assert server.eof
    assert not server.unread


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("view", [1, 100, 16_384, 1 << 20])
def test_half_close_loses_nothing_that_is_unread(certs: Certs, version: ssl.TLSVersion, view: int) -> None:
    """Our close_notify goes out while the peer's data waits, some of it half way through a record."""
    client, server = _pair(certs, context=_context(certs, version))
    _shake(client, server)
    data = random.Random(3).randbytes(60_000)
    client.write(data)
    server.received(client.output())
    first = server.read_into(SPACE[:view])
    got = bytes(SPACE[:first])
    server.write(b"all I have to say")
    server.close_notify()
    server.close_notify()
    client.received(server.output())
    assert _read(client) == b"all I have to say"
    assert client.eof
    got += _read(server, 5000)
    client.write(b" and then some")
    server.received(client.output())
    got += _read(server)
    assert got == data + b" and then some"
    assert not server.eof
    client.close_notify()
    server.received(client.output())
    assert server.read_into(SPACE) == 0
    assert server.eof
    assert not server.truncated
    server.received_eof()
    assert not server.truncated


def test_truncation_is_told(certs: Certs) -> None:
    """The socket ended, close_notify did not come."""
    client, server = _pair(certs)
    _shake(client, server)
    client.write(b"half a st")
    server.received(client.output())
    assert _read(server) == b"half a st"
    server.received_eof()
    assert server.truncated
    assert not server.eof
    assert "truncated" in repr(server)


def test_close_notify_before_the_handshake_is_nothing(certs: Certs) -> None:
    """There is no one to tell."""
    client, _ = _pair(certs)
    client.close_notify()
    assert client.output() == b""
    assert repr(client) == "<TlsPump handshake unread=0 unsent=0>"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_names_and_addresses_are_verified(certs: Certs, host: str) -> None:
    """An address matches an address of the certificate, and is never sent as SNI (RFC 6066 §3)."""
    asked: list[str | None] = []
    context = service_context(certs.chain, certs.key)
    context.sni_callback = lambda _, name, __: asked.append(name)
    client = TlsPump(certs.client, server_side=False, server_hostname=host)
    server = TlsPump(context, server_side=True)
    _shake(client, server)
    assert asked == [host if host == "localhost" else None]
    assert client.server_hostname == host
    assert client.peer_certificate
    assert server.peer_certificate == b""
    assert client.alpn == ""


@pytest.mark.parametrize(
    ("host", "reason"),
    [("elsewhere.example", "Hostname mismatch"), ("127.0.0.2", "IP address mismatch")],
)
def test_a_wrong_name_is_refused(certs: Certs, host: str, reason: str) -> None:
    """The error says why, the alert for the peer is in the output."""
    client, server = _pair(certs, host)
    client.handshake()
    server.received(client.output())
    server.handshake()
    client.received(server.output())
    with pytest.raises(ConnectError, match=reason) as caught:
        client.handshake()
    assert caught.value.step == "tls"
    server.received(client.output())
    with pytest.raises(ConnectError, match="alert"):
        server.handshake()


def test_a_stranger_is_refused(certs: Certs) -> None:
    """A certificate of another CA."""
    client, server = _pair(make_certs(), context=certs.client)
    client.handshake()
    server.received(client.output())
    server.handshake()
    client.received(server.output())
    with pytest.raises(ConnectError, match="the certificate is not valid: unable to get local issuer"):
        client.handshake()


@pytest.mark.parametrize("bad", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 100])
def test_what_is_not_tls_is_refused(certs: Certs, bad: bytes) -> None:
    """As one documented error."""
    _, server = _pair(certs)
    server.received(bad)
    with pytest.raises(ConnectError, match="TLS failed: ") as caught:
        server.handshake()
    assert caught.value.step == "tls"
    server.output()


def test_a_spoilt_record_is_refused(certs: Certs) -> None:
    """One bit flipped on the way."""
    client, server = _pair(certs)
    _shake(client, server)
    client.write(b"x" * 100)
    sealed = bytearray(client.output())
    sealed[50] ^= 1
    server.received(sealed)
    with pytest.raises(ConnectError, match="bad record mac"):
        server.read_into(SPACE)
    assert server.has_output  # the alert


@pytest.mark.parametrize("name", ["", ".example", "a\0b"])
def test_what_cannot_be_a_name(certs: Certs, name: str) -> None:
    """It fails at once, and not by verifying nothing."""
    with pytest.raises(ConnectError, match="cannot be a server name"):
        TlsPump(certs.client, server_side=False, server_hostname=name)


def test_contexts_verify_and_need_tls_1_2(certs: Certs) -> None:
    """The two properties on which everything stands."""
    for context in (agent_context(), agent_context(certs.ca)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert certs.server.minimum_version is ssl.TLSVersion.TLSv1_2
    with pytest.raises(ConnectError):  # no name, nothing to verify
        TlsPump(certs.client, server_side=False)


def test_authorities_from_path_text_and_bytes(certs: Certs, tmp_path: Path) -> None:
    """Every form, PEM or DER."""
    file = tmp_path / "ca.pem"
    file.write_bytes(certs.ca)
    der = ssl.PEM_cert_to_DER_cert(certs.ca.decode())
    for source in (file, str(file), certs.ca, certs.ca.decode(), der):
        _shake(*_pair(certs, context=agent_context(source)))


def test_certificates_from_paths_and_bytes(certs: Certs, tmp_path: Path) -> None:
    """Files, bytes, or one of each; the key does not stay on disk."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(certs.chain)
    key.write_bytes(certs.key)
    for pair in ((chain, key), (str(chain), str(key)), (certs.chain, certs.key), (chain, certs.key)):
        server = TlsPump(service_context(*pair), server_side=True)
        _shake(TlsPump(certs.client, server_side=False, server_hostname="localhost"), server)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (Path("/absent/ca.pem"), "/absent/ca.pem: No such file or directory"),
        ("/absent/ca.pem", "/absent/ca.pem: No such file or directory"),
        (Path(__file__), "there is no certificate in it"),
        (b"\0", "there is no certificate in it"),
        ("-----BEGIN CERTIFICATE", "there is no certificate in it"),
    ],
)
def test_unusable_authorities(source: "Path | str | bytes", why: str) -> None:
    """The user is told which, and why in plain words."""
    with pytest.raises(ConfigError, match=f"cannot read CA certificates from .*{why}$"):
        agent_context(source)


def test_unusable_certificates(certs: Certs, tmp_path: Path) -> None:
    """Absent, unreadable, or a key of another certificate."""
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        service_context(tmp_path / "absent.pem", tmp_path / "key.pem")
    with pytest.raises(ConfigError, match="the given PEM"):
        service_context(b"nothing", b"at all")
    with pytest.raises(ConfigError, match="mismatch"):
        service_context(certs.chain, make_certs().key)


def test_what_was_agreed_outlives_the_connection(certs: Certs) -> None:
    client, server = _pair(certs)
    assert (client.version, client.cipher, client.peer_certificate) == ("", "", b"")
    _shake(client, server)
    before = client.agreed
    assert before.version == "TLSv1.3"
    assert before.peer_certificate
    client.release()
    client.release()
    assert client.agreed == before
    assert (client.server_hostname, client.cipher) == ("localhost", before.cipher)


def _ssl_objects() -> int:
    """Count them by their exact type: asking a dead weak proxy of another test for its class raises."""
    return sum(type(each) is ssl.SSLObject for each in gc.get_objects())


def test_release_frees_what_openssl_holds_without_the_collector(certs: Certs) -> None:
    client, server = _pair(certs)
    _shake(client, server)
    client.write(bytes(1 << 20))
    client.output()
    gc.disable()
    try:
        held = _ssl_objects()
        client.release()
        assert _ssl_objects() == held - 1
    finally:
        gc.enable()
