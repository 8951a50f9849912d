"""TLS contexts that ask for a client's certificate and do not judge it.

The standard library verifies whatever certificate it has asked for. The lax strategies of mutual TLS
(*require-any*: some certificate, *request*: one if there is one) leave that to a policy or to the
upstream, so these contexts go through pyOpenSSL. Only who asks for one loads it.

:class:`LaxContext` makes connections that behave as ``ssl.SSLObject`` does between two memory BIOs, so
one pump (``net/tls.py``) serves both. OpenSSL reads from a BIO of pyOpenSSL's own here; ciphertext goes
there record by record, so that what the pump sees in its incoming BIO is what was not looked at yet.
"""

import ssl
from typing import TYPE_CHECKING, Final, NoReturn, cast

from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_HEADER: Final = 5
"""Bytes of a record's header, the last two its length (RFC 8446 §5.1)."""
_TYPES: Final = range(20, 25)
"""Types of records."""
_OUT: Final = 1 << 20
"""Bytes taken from OpenSSL at once."""
_CIPHERS: Final = b"ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
"""Suites of TLS 1.2, as the standard library has them."""


class LaxContext:
    """A server's context that asks visitors for a certificate and believes any."""

    check_hostname: bool = False

    def __init__(
        self,
        chain: bytes,
        key: bytes,
        *,
        required: bool,
        versions: tuple[str, str] = ("1.2", "1.3"),
        authorities: bytes = b"",
        alpn: "Sequence[str]" = (),
    ) -> None:
        """Show the certificates of ``chain``, leaf first, both PEM.

        ``required``: no handshake without a client certificate. ``authorities`` (PEM) are named to
        clients, which choose their certificate by that. Raises ValueError for what is no PEM, and
        ``SSL.Error`` for a key that is another certificate's.
        """
        self._context = context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(_VERSIONS[versions[0]])
        context.set_max_proto_version(_VERSIONS[versions[1]])
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_cipher_list(_CIPHERS)
        leaf, *rest = load_pem_x509_certificates(chain)
        context.use_certificate(leaf)
        for each in rest:
            context.add_extra_chain_cert(each)
        context.use_privatekey(load_pem_private_key(key, None))  # pyright: ignore[reportArgumentType]
        context.check_privatekey()
        mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0)
        context.set_verify(mode, _believe)
        for each in load_pem_x509_certificates(authorities) if authorities else ():
            context.add_client_ca(each)
        if alpn:
            wanted = [name.encode() for name in alpn]
            context.set_alpn_select_callback(lambda _, offered: _chosen(wanted, offered))

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = True,
        server_hostname: str | bytes | None = None,
    ) -> ssl.SSLObject:
        """Make a connection of a server between two memory BIOs."""
        connection = SSL.Connection(self._context)
        connection.set_accept_state()
        return cast("ssl.SSLObject", LaxConnection(connection, incoming, outgoing))


def _believe(*_judgement: object) -> bool:
    """Take a certificate whatever OpenSSL thinks of it."""
    return True


def _chosen(wanted: list[bytes], offered: list[bytes]) -> bytes:
    """Choose as the standard library does: our order counts; nothing in common, no protocol."""
    both = [name for name in wanted if name in offered]
    return both[0] if both else cast("bytes", SSL.NO_OVERLAPPING_PROTOCOLS)


class LaxConnection:
    """One connection, seen as an ``ssl.SSLObject``: those of its methods that the pump calls."""

    server_hostname: str | None = None

    def __init__(self, connection: SSL.Connection, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        """Join a connection to the two BIOs."""
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing
        self._record = bytearray()  # as much as there is of the next one

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises ssl.SSLWantReadError or ssl.SSLError."""
        while True:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                self._flush()
                self._next_record()
            except SSL.Error as error:
                self._failed(error)
            else:
                self._flush()
                return

    def read(self, size: int, view: memoryview | None = None) -> int | bytes:
        """Decrypt into ``view``, or return bytes. Raises as ``ssl.SSLObject.read`` does."""
        while True:
            try:
                if view is None:
                    return self._connection.recv(size)
                return self._connection.recv_into(view, size)
            except SSL.WantReadError:
                self._flush()
                self._next_record()
            except SSL.ZeroReturnError:
                return 0 if view is not None else b""
            except SSL.Error as error:
                self._failed(error)

    def write(self, data: bytes | memoryview) -> int:
        """Encrypt; return how many bytes were taken."""
        try:
            done = self._connection.send(bytes(data[: 1 << 16]))
        except SSL.Error as error:
            self._failed(error)
        self._flush()
        return done

    def pending(self) -> int:
        """Return how many decrypted bytes wait."""
        return self._connection.pending()

    def unwrap(self) -> None:
        """Send close_notify."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            pass  # the peer's is not here yet, and need not be
        self._flush()

    def cipher(self) -> tuple[str, str, int] | None:
        """Return OpenSSL's name of the suite, the version and the bits; None before the handshake."""
        name = self._connection.get_cipher_name()
        if name is None:
            return None
        return name, self._connection.get_cipher_version() or "", self._connection.get_cipher_bits() or 0

    def version(self) -> str:
        """Return the protocol version, such as "TLSv1.3"."""
        return self._connection.get_protocol_version_name()

    def selected_alpn_protocol(self) -> str | None:
        """Return what ALPN chose."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    def getpeercert(self, binary_form: bool = True) -> bytes:
        """Return the visitor's certificate as DER, b"" when it showed none."""
        shown = self._connection.get_peer_certificate(as_cryptography=True)
        return shown.public_bytes(Encoding.DER) if shown is not None else b""

    def _next_record(self) -> None:
        """Give OpenSSL the next whole record. Raises ssl.SSLWantReadError when it is not there yet."""
        record = self._record
        self._collect(_HEADER)
        if record[0] in _TYPES and record[1] == 3:  # else OpenSSL shall say what is wrong with it
            self._collect(_HEADER + int.from_bytes(record[3:5], "big"))
        self._connection.bio_write(bytes(record))
        record.clear()

    def _collect(self, size: int) -> None:
        self._record += self._incoming.read(max(0, size - len(self._record)))
        if len(self._record) < size:
            raise ssl.SSLWantReadError

    def _flush(self) -> None:
        """Move what OpenSSL has written to where the pump takes it from."""
        try:
            while True:
                self._outgoing.write(self._connection.bio_read(_OUT))
        except SSL.WantReadError:
            pass  # that was all

    def _failed(self, error: SSL.Error) -> NoReturn:
        """Say it as the standard library does; an alert may be on its way out."""
        self._flush()
        told = ssl.SSLError(1, str(error))
        reasons = cast("list[tuple[str, str, str]] | int", error.args[0]) if error.args else 0
        told.reason = reasons[0][2] if isinstance(reasons, list) and reasons else "the connection was closed"
        raise told from error
