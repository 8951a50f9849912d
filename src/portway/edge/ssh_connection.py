"""asyncssh's side of a connection, kept within bounds, and the algorithms that are spoken.

asyncssh queues what it cannot answer yet, whatever it is sent, and keeps every environment variable. So
packets are counted before it sees them: a client that sends more than any good one would is disconnected.
What the library bounds by itself (windows, sizes of packets) is left to it.
"""

import base64
import hashlib
from typing import TYPE_CHECKING, Final

from asyncssh import (
    ProtocolError,
    SSHServerChannel,
    SSHServerConnection,
    SSHServerConnectionOptions,
)
from asyncssh.kex import get_kex_algs
from asyncssh.packet import PacketDecodeError, SSHPacket

from portway.edge.ssh_request import Forward

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from asyncssh import SSHKeyPair, SSHServer

GLOBAL_REQUESTS: Final = 64
"""Global requests of a connection, and one more for every second: clients ask whether we live."""

KEY_EXCHANGES: Final = 64
"""Key exchanges that a client may begin, and one more for every ``EXCHANGE_SECONDS``."""

EXCHANGE_SECONDS: Final = 2.0

SESSION_REQUESTS: Final = 256
"""Requests on the session's channel, but for changes of the window's size."""

KEX: Final = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp521",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
)
MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
SIGNATURES: Final = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""What is spoken: no SHA-1, no CBC, no compression."""

_KEXINIT: Final = 20
_GLOBAL_REQUEST: Final = 80
_CHANNEL_REQUEST: Final = 98
_SIGNS: Final = frozenset(each.encode() for each in SIGNATURES)


def options_of(
    host_key: "SSHKeyPair", owner: "Callable[[], SSHServer]", *, login: float, interval: float, misses: int
) -> SSHServerConnectionOptions:
    """Make the options of all connections. Times are seconds; ``interval`` 0: nobody is asked for life."""
    return SSHServerConnectionOptions(
        server_factory=owner,
        server_host_keys=[host_key],
        server_version="portway",
        kex_algs=_known(KEX),
        encryption_algs=CIPHERS,
        mac_algs=MACS,
        compression_algs=["none"],
        signature_algs=SIGNATURES,
        login_timeout=login,
        keepalive_interval=interval,
        keepalive_count_max=misses,
        password_auth=False,
        host_based_auth=False,
        gss_host=None,
        agent_forwarding=False,
        x11_forwarding=False,
        line_editor=False,
        encoding=None,
        config=[],
    )


def _known(names: tuple[str, ...]) -> list[str]:
    """Leave out what this build of asyncssh does not speak: post-quantum exchange needs a library."""
    spoken = {each.decode() for each in get_kex_algs()}
    return [each for each in names if each in spoken]


class Connection(SSHServerConnection):
    """One connection.

    ``asked`` hears of every ``-R`` when it arrives, before it is answered; ``proved`` of the fingerprint of
    the key that let the client in.
    """

    def __init__(
        self,
        loop: "asyncio.AbstractEventLoop",
        options: SSHServerConnectionOptions,
        asked: "Callable[[Forward], None]",
        proved: "Callable[[str], None]",
    ) -> None:
        """Make the protocol of a connection."""
        super().__init__(loop, options)
        self._clock = loop.time
        self._began = loop.time()
        self._asked = asked
        self._proved = proved
        self._global_requests = 0
        self._exchanges = 0

    async def reload_config(self) -> None:
        """Keep the options: they do not depend on the user."""

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> "bool | Awaitable[None]":
        """Count a packet, then let asyncssh have it. Raises ProtocolError: the client is disconnected."""
        if pkttype == _GLOBAL_REQUEST:
            self._count_request(packet)
        elif pkttype == _KEXINIT:
            self._exchanges += 1
            if self._exchanges > KEY_EXCHANGES + (self._clock() - self._began) / EXCHANGE_SECONDS:
                raise ProtocolError("Too many key exchanges")
        return super().process_packet(pkttype, pktid, packet)

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Check a key, and its signature when there is one: only with algorithms that are spoken."""
        if msg and not _signed_well(signature):
            return False
        good = await super().validate_public_key(username, key_data, msg, signature)
        if good and msg:
            digest = hashlib.sha256(key_data).digest()
            self._proved(f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}")
        return good

    def _count_request(self, packet: SSHPacket) -> None:
        self._global_requests += 1
        if self._global_requests > GLOBAL_REQUESTS + self._clock() - self._began:
            raise ProtocolError("Too many global requests")
        copy = SSHPacket(packet.get_full_payload())
        copy.get_byte()
        if copy.get_string() == b"tcpip-forward":
            copy.get_boolean()
            host, port = copy.get_string(), copy.get_uint32()
            self._asked(Forward(host.decode("utf-8", "replace"), port))


class SessionChannel(SSHServerChannel[bytes]):
    """The session's channel of a connection."""

    def __init__(self, connection: Connection, loop: "asyncio.AbstractEventLoop") -> None:
        """Make a channel for bytes, without a line editor, that may have a terminal."""
        super().__init__(connection, loop, True, False, False, 0, 1, None, "strict", 65_536, 32_768)
        self._requests = 0

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> "bool | Awaitable[None]":
        """Count a request, then let asyncssh have it. Raises ProtocolError: the client is disconnected."""
        if pkttype == _CHANNEL_REQUEST:
            copy = SSHPacket(packet.get_full_payload())
            copy.get_byte()
            copy.get_uint32()
            if copy.get_string() != b"window-change":
                self._requests += 1
                if self._requests > SESSION_REQUESTS:
                    raise ProtocolError("Too many requests on a session")
        return super().process_packet(pkttype, pktid, packet)


def _signed_well(signature: bytes) -> bool:
    try:
        return SSHPacket(signature).get_string() in _SIGNS
    except PacketDecodeError:
        return False
