"""The PROXY protocol, versions 1 and 2: the visitor's address, told to the upstream.

The service writes the header as the first bytes of a proxied stream when the bind asks for it. Both
addresses are texts of the form ``ip:port`` or ``[v6]:port``. When the two are of different families
the IPv4 one is written as an IPv4-mapped IPv6 address, so that no half is lost. ``decode`` is the
strict reader of the same two forms.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from portway.errors import PortwayError

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""First twelve bytes of a version 2 header."""

MAX_V1 = 107
"""Longest version 1 line, CR LF included, as its specification says."""

MAX_V2 = 4096
"""Longest version 2 header that is read, in bytes; our own are 28 or 52 long."""

_LOCAL, _PROXY = 0x20, 0x21
_STREAM_OVER_IPV4, _STREAM_OVER_IPV6 = 0x11, 0x21
_V2_FIXED = 16

Address = IPv4Address | IPv6Address


class ProxyProtocolError(PortwayError):
    """The bytes are no PROXY header, or a malformed or oversized one."""


@dataclass(frozen=True, slots=True)
class ProxyProtocol:
    """A header that was read. Addresses are None when the sender spoke for itself or hid them."""

    version: int
    source: str | None
    destination: str | None
    size: int
    """Length of the header in bytes: what follows is the connection's own data."""


def encode(version: int, source: str, destination: str) -> bytes:
    """Return the header of version 1 or 2; raise ValueError for another version."""
    if version == 1:
        return encode_v1(source, destination)
    if version == 2:
        return encode_v2(source, destination)
    raise ValueError(f"no such PROXY protocol version: {version}")


def encode_v1(source: str, destination: str) -> bytes:
    """Return the text form. Addresses that are not ``ip:port`` give ``PROXY UNKNOWN``."""
    pair = _pair(source, destination)
    if pair is None:
        return b"PROXY UNKNOWN\r\n"
    (ip, port), (own_ip, own_port) = pair
    return f"PROXY TCP{ip.version} {ip} {own_ip} {port} {own_port}\r\n".encode()


def encode_v2(source: str, destination: str) -> bytes:
    """Return the binary form. Addresses that are not ``ip:port`` give the LOCAL command."""
    pair = _pair(source, destination)
    if pair is None:
        return SIGNATURE + bytes((_LOCAL, 0, 0, 0))
    (ip, port), (own_ip, own_port) = pair
    body = ip.packed + own_ip.packed + port.to_bytes(2, "big") + own_port.to_bytes(2, "big")
    family = _STREAM_OVER_IPV4 if ip.version == 4 else _STREAM_OVER_IPV6
    return SIGNATURE + bytes((_PROXY, family)) + len(body).to_bytes(2, "big") + body


def decode(data: bytes) -> ProxyProtocol | None:
    """Read a header from the first bytes of a connection; None when more bytes are needed.

    Raise ProxyProtocolError when no header starts here, or it is malformed or too long.
    """
    if data[:12] == SIGNATURE[: len(data)]:
        return _decode_v2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _decode_v1(data)
    raise ProxyProtocolError("no PROXY header")


def _pair(source: str, destination: str) -> tuple[tuple[Address, int], tuple[Address, int]] | None:
    try:
        (ip, port), (own_ip, own_port) = _split(source), _split(destination)
    except ValueError:
        return None
    if ip.version != own_ip.version:
        ip, own_ip = _mapped(ip), _mapped(own_ip)
    return (ip, port), (own_ip, own_port)


def _split(address: str) -> tuple[Address, int]:
    """Return ip and port of ``ip:port`` or ``[v6]:port``; a scope id is dropped."""
    host, _, port = address.rpartition(":")
    ip = ip_address(host.removeprefix("[").removesuffix("]").partition("%")[0])
    number = int(port)
    if not 0 <= number <= 65_535:
        raise ValueError("port out of range")
    return ip, number


def _mapped(ip: Address) -> IPv6Address:
    return IPv6Address(b"\0" * 10 + b"\xff\xff" + ip.packed) if isinstance(ip, IPv4Address) else ip


def _join(ip: Address, port: int) -> str:
    return f"{ip}:{port}" if ip.version == 4 else f"[{ip}]:{port}"


def _decode_v1(data: bytes) -> ProxyProtocol | None:
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise ProxyProtocolError("a version 1 line is over 107 bytes")
        return None
    fields = data[:end].split(b" ")
    if fields[1] == b"UNKNOWN":
        return ProxyProtocol(1, None, None, end + 2)
    if len(fields) != 6 or fields[1] not in (b"TCP4", b"TCP6"):
        raise ProxyProtocolError("a version 1 line is malformed")
    version = fields[1][3] - 48
    source = _v1_address(version, fields[2], fields[4])
    return ProxyProtocol(1, source, _v1_address(version, fields[3], fields[5]), end + 2)


def _v1_address(version: int, host: bytes, port: bytes) -> str:
    try:
        ip = ip_address(host.decode("ascii"))
    except ValueError as error:
        raise ProxyProtocolError("a version 1 address is malformed") from error
    number = int(port) if port.isdigit() and len(port) <= 5 else -1
    if ip.version != version or str(number).encode() != port or number > 65_535 or b"%" in host:
        raise ProxyProtocolError("a version 1 address is malformed")
    return _join(ip, number)


def _decode_v2(data: bytes) -> ProxyProtocol | None:
    if len(data) < _V2_FIXED:
        return None
    command, family = data[12], data[13]
    end = _V2_FIXED + int.from_bytes(data[14:16], "big")
    if end > MAX_V2:
        raise ProxyProtocolError("a version 2 header is too long")
    if command not in (_LOCAL, _PROXY):
        raise ProxyProtocolError("a version 2 header has an unknown version or command")
    if len(data) < end:
        return None
    if command == _LOCAL or family not in (_STREAM_OVER_IPV4, _STREAM_OVER_IPV6):
        return ProxyProtocol(2, None, None, end)
    size = 4 if family == _STREAM_OVER_IPV4 else 16
    body = data[_V2_FIXED:end]
    if len(body) < 2 * size + 4:
        raise ProxyProtocolError("a version 2 header is shorter than its addresses")
    source = _join(ip_address(body[:size]), int.from_bytes(body[2 * size : 2 * size + 2], "big"))
    own_port = int.from_bytes(body[2 * size + 2 : 2 * size + 4], "big")
    return ProxyProtocol(2, source, _join(ip_address(body[size : 2 * size]), own_port), end)
