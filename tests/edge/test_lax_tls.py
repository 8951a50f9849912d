"""The contexts that ask for a certificate and do not judge it, as the pump uses them.

Who gets in is tested with all strategies together (test_tls_settings.py, test_tls_visitor.py).
"""

import random
import ssl

import pytest
from OpenSSL import SSL
from tests.kit import mutual
from tests.kit.certificates import Authority

from portway.edge.lax_tls import LaxContext
from portway.errors import ConnectError
from portway.net.tls import TlsPump

SERVER = Authority()
CHAIN, KEY = SERVER.issue("a.test")


def pair(*, required: bool = False, shown: mutual.Signed | None = None) -> tuple[TlsPump, TlsPump]:
    """Return both ends, the server's first, before their handshake."""
    context = SERVER.client_context()
    client = context if shown is None else shown.show(context)
    return (
        TlsPump(LaxContext(CHAIN, KEY, required=required), server_side=True),
        TlsPump(client, server_side=False, server_hostname="a.test"),
    )


def secured(**options: object) -> tuple[TlsPump, TlsPump]:
    """Return both ends after their handshake."""
    server, visitor = pair(**options)  # type: ignore[arg-type]
    while not (server.secure and visitor.secure):
        if not visitor.secure:
            visitor.handshake()
        server.received(visitor.output())
        if not server.secure:
            server.handshake()
        visitor.received(server.output())
    return server, visitor


def test_bytes_arrive_however_their_records_are_cut() -> None:
    dice = random.Random(5)
    server, visitor = secured()
    sent, got = bytearray(), bytearray()
    for _ in range(30):
        data = dice.randbytes(dice.randrange(1, 40_000))
        sent += data
        visitor.write(data)
        cipher = visitor.output()
        while cipher:
            n = dice.randrange(1, 30_000)
            server.received(cipher[:n])
            cipher = cipher[n:]
            view = memoryview(bytearray(dice.randrange(1, 20_000)))
            while n := server.read_into(view):
                got += view[:n]
    assert got == sent


def test_bytes_go_out_whole() -> None:
    server, visitor = secured()
    data = random.Random(6).randbytes(300_000)
    server.write(memoryview(data))
    visitor.received(server.output())
    got = bytearray()
    view = memoryview(bytearray(50_000))
    while n := visitor.read_into(view):
        got += view[:n]
    assert got == data


def test_either_direction_ends_by_itself() -> None:
    server, visitor = secured()
    visitor.write(b"unread")
    server.received(visitor.output())
    server.close_notify()
    visitor.received(server.output())
    assert visitor.read_into(memoryview(bytearray(10))) == 0
    assert visitor.eof
    view = memoryview(bytearray(10))
    assert bytes(view[: server.read_into(view)]) == b"unread"
    visitor.close_notify()
    server.received(visitor.output())
    assert server.read_into(view) == 0
    assert server.eof


def test_what_was_agreed_on() -> None:
    server, _visitor = secured(shown=mutual.client())
    assert server.agreed.version == "TLSv1.3"
    assert server.agreed.cipher.startswith("TLS_")
    assert server.agreed.peer_certificate == ssl.PEM_cert_to_DER_cert(mutual.client().pem.decode())
    before, _ = pair()
    assert (before.cipher, before.peer_certificate) == ("", b"")
    server.release()
    assert server.agreed.version == "TLSv1.3"


def test_noise_is_a_fault() -> None:
    for noise in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x17\x03\x03\x00\x05hello",
    ):
        server, _visitor = pair()
        server.received(noise)
        with pytest.raises(ConnectError, match="TLS failed"):
            server.handshake()
        assert server.output()[:1] in (b"\x15", b"")  # OpenSSL has no alert for plain HTTP


def test_a_record_that_was_tampered_with_is_a_fault() -> None:
    server, visitor = secured()
    visitor.write(b"hello")
    cipher = bytearray(visitor.output())
    cipher[-1] ^= 1
    server.received(cipher)
    with pytest.raises(ConnectError):
        server.read_into(memoryview(bytearray(10)))
    assert server.has_output


def test_a_key_that_is_anothers_is_refused() -> None:
    with pytest.raises(SSL.Error):
        LaxContext(CHAIN, mutual.client().key_pem, required=True)
    with pytest.raises(ValueError):
        LaxContext(b"", KEY, required=True)
