"""The TLS ClientHello: who is asked for, read before any TLS library sees a byte.

The first bytes of a TLS connection decide which endpoint it belongs to (RFC 6066 server name),
which certificate is shown and whether the bytes are passed through untouched. ``parse`` reads them
without changing anything: the same bytes are then fed to the TLS pump or sent to the agent.

A hello may be cut over several records (RFC 8446 §5.1) and over any number of reads; the caller
keeps what it has and calls again. It is strict where laxness would let two readers of the same
bytes disagree about the name: two server names, two equal extensions, odd lengths are refused.

``ja4`` is the fingerprint of a hello by which programs are told apart: version, whether there is a name,
how many ciphers and extensions, the first protocol, and two hashes over the ciphers and the extensions,
each sorted, since browsers shuffle them.
"""

import struct
from dataclasses import dataclass
from hashlib import sha256

from portway.errors import PortwayError

MAX_HELLO = 65_536
"""Longest hello taken, in bytes of records, as the service's limit for TLS messages says."""

ALERT_UNEXPECTED_MESSAGE = 10
ALERT_PROTOCOL_VERSION = 70
ALERT_DECODE_ERROR = 50
ALERT_UNRECOGNIZED_NAME = 112
ALERT_NO_APPLICATION_PROTOCOL = 120

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_MAX_RECORD = 16_384
_SERVER_NAME = 0
_SIGNATURE_ALGORITHMS = 13
_ALPN = 16
_SUPPORTED_VERSIONS = 43
_MAX_NAME = 253
_GREASE = frozenset(range(0x0A0A, 0x10000, 0x1010))
"""Numbers that mean nothing (RFC 8701)."""
_JA4_VERSIONS = {0x0301: "10", 0x0302: "11", 0x0303: "12", 0x0304: "13"}

_u16 = struct.Struct(">H").unpack_from
_NAME_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-._")


class ClientHelloError(PortwayError):
    """The bytes are no ClientHello that can be served. ``alert`` is the TLS alert to answer with."""

    def __init__(self, message: str, alert: int = ALERT_DECODE_ERROR) -> None:
        """Make an error with the TLS alert number (RFC 8446 §6)."""
        super().__init__(message)
        self.alert = alert


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a visitor's hello says. Numbers are as on the wire, in the order sent."""

    sni: str | None
    """Server name in lower case without a trailing dot; None when the visitor named nobody."""
    alpn: tuple[bytes, ...]
    """Application protocols offered, best first; empty when the extension is missing."""
    version: int
    """Highest TLS version offered: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3."""
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    size: int
    """Bytes of the records that hold the hello; what follows them is not ours to read."""
    signatures: tuple[int, ...] = ()
    """Signature algorithms, best first; empty when the extension is missing."""

    @property
    def ja4(self) -> str:
        """The JA4 fingerprint, such as ``t13d1516h2_8daaf6152771_e5627efa2ab1``. Computed at each call."""
        ciphers = sorted(each for each in self.ciphers if each not in _GREASE)
        extensions = [each for each in self.extensions if each not in _GREASE]
        told = sorted(each for each in extensions if each not in (_SERVER_NAME, _ALPN))
        signatures = [each for each in self.signatures if each not in _GREASE]
        first = (
            f"t{_JA4_VERSIONS.get(self.version, '00')}{'d' if _SERVER_NAME in self.extensions else 'i'}"
            f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{self._ja4_protocol()}"
        )
        listed = _listed(told) + (f"_{_listed(signatures)}" if signatures else "")
        return f"{first}_{_digest(_listed(ciphers))}_{_digest(listed if told else '')}"

    def _ja4_protocol(self) -> str:
        """Return the first and the last character of the first protocol, of odd ones in hexadecimal."""
        if not self.alpn:
            return "00"
        first = self.alpn[0]
        ends = bytes((first[0], first[-1]))
        if ends.isalnum():
            return ends.decode("ascii")
        digits = first.hex()
        return digits[0] + digits[-1]


def parse(data: bytes | bytearray | memoryview) -> ClientHello | None:
    """Read a hello from the first bytes of a connection; None when more bytes are needed.

    Raise ClientHelloError when the bytes are not TLS, not a hello, malformed, or over 64 KiB.
    """
    found = _collect(bytes(data[:MAX_HELLO]))
    if found is None:
        if len(data) >= MAX_HELLO:
            raise ClientHelloError("the ClientHello is over 64 KiB")
        return None
    message, size = found
    return _read_hello(_Reader(message), size)


def _listed(numbers: list[int]) -> str:
    """Write 16-bit numbers in hexadecimal, with commas between."""
    return struct.pack(f">{len(numbers)}H", *numbers).hex(",", 2) if numbers else ""


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def alert_record(alert: int) -> bytes:
    """Return a fatal alert as the plain record that may answer a hello."""
    return bytes((21, 3, 3, 0, 2, 2, alert))


def _collect(data: bytes) -> tuple[bytes, int] | None:
    """Join record payloads until one whole handshake message stands; return it and the size."""
    message = b""
    pos = 0
    need = 4
    while len(message) < need:
        payload, pos = _record(data, pos)
        if payload is None:
            return None
        message += payload
        if message[0] != _CLIENT_HELLO:
            raise ClientHelloError("the first message is no ClientHello", ALERT_UNEXPECTED_MESSAGE)
        if len(message) >= 4:
            need = 4 + int.from_bytes(message[1:4], "big")
            if need > MAX_HELLO:
                raise ClientHelloError("the ClientHello is over 64 KiB")
    if len(message) != need:
        raise ClientHelloError("bytes follow the ClientHello in its record", ALERT_UNEXPECTED_MESSAGE)
    return message[4:], pos


def _record(data: bytes, pos: int) -> tuple[bytes | None, int]:
    """Return one record's payload and the position behind it; None while it is incomplete."""
    if pos < len(data) and data[pos] != _HANDSHAKE:
        raise ClientHelloError("the bytes are not TLS", ALERT_UNEXPECTED_MESSAGE)
    if pos + 1 < len(data) and data[pos + 1] != 3:
        raise ClientHelloError("the bytes are not TLS", ALERT_PROTOCOL_VERSION)
    if pos + 5 > len(data):
        return None, pos
    length: int = _u16(data, pos + 3)[0]
    if not 0 < length <= _MAX_RECORD:
        raise ClientHelloError("a record's length is out of range")
    end = pos + 5 + length
    return (data[pos + 5 : end], end) if end <= len(data) else (None, pos)


class _Reader:
    """A position in a byte string that refuses to read past its end."""

    __slots__ = ("data", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def take(self, n: int) -> bytes:
        """Return the next ``n`` bytes."""
        end = self.pos + n
        if end > len(self.data):
            raise ClientHelloError("a length runs past the end")
        taken = self.data[self.pos : end]
        self.pos = end
        return taken

    def vector(self, width: int) -> bytes:
        """Return a byte string that is preceded by its length in ``width`` bytes."""
        return self.take(int.from_bytes(self.take(width), "big"))

    def u16(self) -> int:
        """Return the next 16-bit number."""
        number: int = _u16(self.take(2))[0]
        return number

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self.data) - self.pos


def _read_hello(reader: _Reader, size: int) -> ClientHello:
    legacy_version = reader.u16()
    if legacy_version < 0x0301:
        raise ClientHelloError("SSL 3.0 and below are not spoken", ALERT_PROTOCOL_VERSION)
    reader.take(32)  # random
    if len(reader.vector(1)) > 32:
        raise ClientHelloError("the session id is too long")
    ciphers = _numbers(reader.vector(2))
    if 0 not in reader.vector(1):
        raise ClientHelloError("the null compression is not offered")
    extensions = _read_extensions(_Reader(reader.vector(2))) if reader.left else {}
    if reader.left:
        raise ClientHelloError("bytes follow the extensions")
    return ClientHello(
        sni=_server_name(extensions.get(_SERVER_NAME)),
        alpn=_alpn(extensions.get(_ALPN)),
        version=_version(extensions.get(_SUPPORTED_VERSIONS), legacy_version),
        ciphers=ciphers,
        extensions=tuple(extensions),
        size=size,
        signatures=_signatures(extensions.get(_SIGNATURE_ALGORITHMS)),
    )


def _numbers(data: bytes) -> tuple[int, ...]:
    if not data or len(data) % 2:
        raise ClientHelloError("a list of 16-bit numbers has an odd length")
    return struct.unpack(f">{len(data) // 2}H", data)


def _read_extensions(reader: _Reader) -> dict[int, bytes]:
    extensions: dict[int, bytes] = {}
    while reader.left:
        kind = reader.u16()
        if kind in extensions:
            raise ClientHelloError("an extension stands twice")
        extensions[kind] = reader.vector(2)
    return extensions


def _server_name(data: bytes | None) -> str | None:
    """Read RFC 6066 §3: a list of names, of which exactly one host name may exist."""
    if data is None:
        return None
    outer = _Reader(data)
    entries = _Reader(outer.vector(2))
    if outer.left or not entries.left:
        raise ClientHelloError("the server name list is malformed")
    name: str | None = None
    while entries.left:
        kind = entries.take(1)[0]
        value = entries.vector(2)
        if kind != 0 or name is not None:
            raise ClientHelloError("more than one server name is given")
        name = _host(value)
    return name


def _host(value: bytes) -> str:
    lower = value.lower().removesuffix(b".")
    if not 0 < len(lower) <= _MAX_NAME or not _NAME_BYTES.issuperset(lower):
        raise ClientHelloError("the server name is no host name", ALERT_UNRECOGNIZED_NAME)
    return lower.decode("ascii")


def _alpn(data: bytes | None) -> tuple[bytes, ...]:
    if data is None:
        return ()
    outer = _Reader(data)
    entries = _Reader(outer.vector(2))
    names: list[bytes] = []
    while entries.left:
        names.append(entries.vector(1))
    if outer.left or not names or b"" in names:
        raise ClientHelloError("the protocol list is malformed")
    return tuple(names)


def _signatures(data: bytes | None) -> tuple[int, ...]:
    if data is None:
        return ()
    outer = _Reader(data)
    listed = outer.vector(2)
    if outer.left:
        raise ClientHelloError("the list of signature algorithms is malformed")
    return _numbers(listed)


def _version(data: bytes | None, legacy_version: int) -> int:
    """Return the highest version offered that means anything."""
    if data is None:
        return min(legacy_version, 0x0303)
    offered = [number for number in _numbers(_Reader(data).vector(1)) if number not in _GREASE]
    return max(offered, default=legacy_version)
