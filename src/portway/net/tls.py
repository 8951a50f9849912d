"""The pump: TLS without a socket, and the contexts it runs under.

Theory of operation
-------------------
OpenSSL sits between two memory BIOs. Ciphertext from the socket goes into *incoming* in one piece
(`received`); `read_into` decrypts straight into the caller's view, record by record, until the view is
full or *incoming* is empty. Asking an empty BIO raises SSLWantReadError, which costs more than the
decryption of a small record: so the pump looks at ``incoming.pending`` first. A record may be cut in
two by the caller's view; OpenSSL keeps the rest, invisible to the BIO: that is what ``_more`` is for.
The other way `write` encrypts a view, and `output` hands out all ciphertext as one `bytes` object,
because transports keep a reference to what they are given.

Whatever was called, *outgoing* may have gained something: the handshake, an alert, a session ticket,
the answer to a key update. So look at `output` (or `has_output`) after every call, errors included.

Half-close. A peer's close_notify sets `eof`; writing goes on. Ours, `close_notify`, leaves reading
intact: OpenSSL would take data that is still unread for a fault (its shutdown reads, and refuses
application data), so the pump takes that out of OpenSSL's sight for the moment.

A socket that ends without close_notify is *truncated*: an attacker may have cut it. The pump says so
exactly and decides nothing; agents and many web servers never send close_notify.
"""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from portway.errors import ConfigError, ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: OpenSSL's largest record: what one `SSL_read` gives at most.
RECORD = 16_384


class Agreed(msgspec.Struct, frozen=True):
    """What a handshake has settled; see the properties of `TlsPump`."""

    version: str
    cipher: str
    alpn: str
    server_hostname: str
    peer_certificate: bytes


class Context(Protocol):
    """What a pump runs under: an ``ssl.SSLContext``, or what behaves like one (`edge.lax_tls`)."""

    check_hostname: bool

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
    ) -> ssl.SSLObject:
        """Make a connection between two memory BIOs."""
        ...


class TlsPump:
    """One TLS connection, either side, without its socket.

    Every method that meets a fault of the peer or of its certificate raises ConnectError("tls"); the
    alert that tells the peer is then in `output()`. After that only `output()` may be called.
    """

    __slots__ = (
        "_agreed",
        "_ahead",
        "_incoming",
        "_more",
        "_notified",
        "_outgoing",
        "_read",
        "_tls",
        "eof",
        "secure",
        "truncated",
    )

    def __init__(self, context: Context, *, server_side: bool, server_hostname: str | None = None) -> None:
        """Make a pump. `server_hostname` (client side) is the name or IP address to verify.

        Raises ConnectError("tls") when it is missing or cannot be a name.
        """
        if context.check_hostname and not server_side and server_hostname is None:
            # Python itself refuses that for sockets, but for BIOs it would verify no name at all.
            raise ConnectError("tls", "there is no server name to verify")
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(
                self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
            )
        except (TypeError, ValueError) as error:  # an empty name, a name with a zero byte
            raise ConnectError("tls", f"{server_hostname!r} cannot be a server name: {error}") from error
        # Typing knows only the form without a buffer, which returns bytes.
        self._read = cast("Callable[[int, memoryview], int]", self._tls.read)
        self._agreed: Agreed | None = None
        self._more = False
        self._notified = False
        self._ahead = b""
        #: The handshake is complete.
        self.secure = False
        #: The peer has sent its close_notify, and everything before it has been read.
        self.eof = False
        #: The socket ended without the peer's close_notify.
        self.truncated = False

    # -- from the socket

    def received(self, data: bytes | bytearray | memoryview) -> None:
        """Take ciphertext that the socket delivered. It is copied: the view may be reused."""
        self._incoming.write(data)

    def received_eof(self) -> None:
        """Take note that the socket has ended. Call it when all before it has been read."""
        if not self.eof:
            self.truncated = True

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is complete. Raises ConnectError("tls")."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise _refused(error) from error
        self.secure = True
        return True

    def read_into(self, view: memoryview) -> int:
        """Decrypt into `view`; return how many bytes it got, 0 when nothing more is there now.

        `view` must not be empty. At the peer's close_notify `eof` turns True.
        """
        if self._ahead:
            return self._read_ahead(view)
        size = len(view)
        total = 0
        read = self._read
        incoming = self._incoming
        try:
            while self._more or incoming.pending:
                room = size - total
                got = read(room, view[total:] if total else view)
                if not got:
                    self.eof = True
                    self._more = False
                    break
                total += got
                self._more = got == room and self._tls.pending() > 0
                if total == size:
                    break
        except ssl.SSLWantReadError:
            self._more = False  # the rest of a record is still under way
        except ssl.SSLZeroReturnError:
            self._more = False
            self.eof = True
        except ssl.SSLError as error:
            raise _refused(error) from error
        return total

    def _read_ahead(self, view: memoryview) -> int:
        n = min(len(view), len(self._ahead))
        view[:n] = self._ahead[:n]
        self._ahead = self._ahead[n:]
        return n

    @property
    def unread(self) -> int:
        """Bytes that `read_into` has not looked at yet: ciphertext, roughly what it will give."""
        return self._incoming.pending + len(self._ahead) + (1 if self._more else 0)

    # -- to the socket

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Only after the handshake, and not after `close_notify`."""
        size = len(data)
        if not size:
            return  # OpenSSL takes an empty write for a fault
        try:
            done = self._tls.write(data)
            while done < size:
                done += self._tls.write(memoryview(data)[done:])
        except ssl.SSLError as error:
            raise _refused(error) from error

    def close_notify(self) -> None:
        """Say that we shall write no more. Idempotent; reading goes on. Nothing before the handshake."""
        if self._notified or not self.secure:
            return
        self._notified = True
        hidden = self._incoming.read()
        if self._more:
            # At most one record: the part that the last view had no room for.
            self._ahead += self._tls.read(RECORD)
            self._more = False
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # WantRead: the peer's own close_notify is not here yet, and need not be
        self._incoming.write(hidden)

    @property
    def has_output(self) -> bool:
        """Whether `output` would return anything."""
        return self._outgoing.pending > 0

    def output(self) -> bytes:
        """Take all ciphertext that is to be sent."""
        return self._outgoing.read()

    # -- what was agreed

    @property
    def agreed(self) -> "Agreed":
        """What the two sides have settled; still known after `release`."""
        if self._agreed is not None:
            return self._agreed
        cipher = self._tls.cipher()
        return Agreed(
            version=self._tls.version() or "",
            cipher=cipher[0] if cipher else "",
            alpn=self._tls.selected_alpn_protocol() or "",
            server_hostname=self._tls.server_hostname or "",
            peer_certificate=self._certificate(),
        )

    def _certificate(self) -> bytes:
        try:
            return self._tls.getpeercert(binary_form=True) or b""
        except ValueError:  # no handshake yet, or a broken connection, which OpenSSL takes for the same
            return b""

    @property
    def version(self) -> str:
        """The protocol version, such as "TLSv1.3"; "" before the handshake."""
        return self.agreed.version

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher suite; "" before the handshake."""
        return self.agreed.cipher

    @property
    def alpn(self) -> str:
        """The protocol that ALPN chose, or ""."""
        return self.agreed.alpn

    @property
    def server_hostname(self) -> str:
        """Client side: the name that we asked for and verified. Server side: ""."""
        return self.agreed.server_hostname

    @property
    def peer_certificate(self) -> bytes:
        """The peer's certificate as DER, or b"" when it showed none."""
        return self.agreed.peer_certificate

    def release(self) -> None:
        """Free what OpenSSL holds, up to a megabyte after bulk: its connection is over. Idempotent.

        Who owns a pump is often part of a cycle, and the garbage collector may take its time.
        Nothing but the values of this part may be asked for any more.
        """
        if self._agreed is None:
            self._agreed = self.agreed
            del self._tls, self._read
            self._incoming = self._outgoing = ssl.MemoryBIO()

    def __repr__(self) -> str:
        """Show the state and what waits on either side."""
        state = "secure" if self.secure else "handshake"
        flags = "".join(f" {name}" for name in ("eof", "truncated") if getattr(self, name))
        return f"<TlsPump {state}{flags} unread={self.unread} unsent={self._outgoing.pending}>"


def _refused(error: ssl.SSLError) -> ConnectError:
    """Say in one plain sentence what OpenSSL said in its own way."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectError("tls", f"the certificate is not valid: {error.verify_message}")
    reason = str(error.reason or "the connection was closed").replace("_", " ").lower()
    return ConnectError("tls", f"TLS failed: {reason}")


def agent_context(cas: "str | bytes | Path | None" = None) -> ssl.SSLContext:
    """Make a client's context: TLS 1.2 or newer, certificate and name verified.

    `cas` is who may sign: None for the system's roots, a Path for a PEM file, text for PEM text if it
    has a PEM header and for a file's path if not, bytes for PEM or DER. Raises ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and checks the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cas is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        if isinstance(cas, Path):
            context.load_verify_locations(cafile=cas)
        elif isinstance(cas, bytes):
            context.load_verify_locations(cadata=cas.decode("ascii") if b"-----BEGIN" in cas else cas)
        elif "-----BEGIN" in cas:
            context.load_verify_locations(cadata=cas)
        else:
            context.load_verify_locations(cafile=cas)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        where = "the given PEM text" if isinstance(cas, bytes) or "-----BEGIN" in str(cas) else str(cas)
        none = isinstance(error, ssl.SSLError | ValueError)
        why = "there is no certificate in it" if none else error.strerror
        raise ConfigError(f"cannot read CA certificates from {where}: {why}") from error
    return context


def service_context(
    chain: "Path | str | bytes", key: "Path | str | bytes", *, alpn: "Sequence[str]" = ()
) -> ssl.SSLContext:
    """Make a server's context, TLS 1.2 or newer, from PEM files (paths) or from PEM bytes.

    ``alpn`` are the protocols that it agrees on, best first; empty: none is agreed on. Asks for no client
    certificate and takes no early data, which somebody could replay. It costs about 1 ms: make it once
    per certificate. Raises ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # TLS 1.2: a handshake at the visitor's pleasure
    if alpn:
        context.set_alpn_protocols(list(alpn))
    try:
        if isinstance(chain, bytes) or isinstance(key, bytes):
            _load_bytes(context, _pem(chain), _pem(key))
        else:
            context.load_cert_chain(chain, key)
    except (OSError, ValueError) as error:
        what = "the given PEM" if isinstance(chain, bytes) else str(chain)
        raise ConfigError(f"cannot use the certificate from {what}: {error}") from error
    return context


def _pem(source: "Path | str | bytes") -> bytes:
    return source if isinstance(source, bytes) else Path(source).read_bytes()


def _load_bytes(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """Load PEM bytes. Python can only load a chain from files: so from private ones, for a moment."""
    with TemporaryDirectory(prefix="portway-") as folder:  # made with mode 0700
        chain_path, key_path = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain_path.write_bytes(chain)
        key_path.touch(0o600)
        key_path.write_bytes(key)
        context.load_cert_chain(chain_path, key_path)
