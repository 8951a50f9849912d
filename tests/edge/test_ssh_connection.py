"""Clients that flood: each ends its own connection, and nobody else notices."""

import asyncio
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import Boolean, String, UInt32
from tests.kit.ssh import SshService, new_key, running_ssh

from portway.edge import ssh_connection
from portway.edge.ssh_connection import CIPHERS, KEX, MACS

KEXINIT, GLOBAL_REQUEST, CHANNEL_OPEN, CHANNEL_REQUEST = 20, 80, 90, 98


async def is_cut(service: SshService, connection: "asyncssh.SSHClientConnection") -> None:
    """The connection ends, and the next client is served."""
    async with asyncio.timeout(10):
        await connection.wait_closed()
    async with service.client("http") as client:
        assert client.listener is not None


async def test_global_requests(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service:
        connection = await service.connect()
        for _ in range(ssh_connection.GLOBAL_REQUESTS + 20):
            connection.send_packet(GLOBAL_REQUEST, String(b"x"), Boolean(False))
        await is_cut(service, connection)


async def test_forwardings_that_nobody_has_said_a_command_for(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service:
        connection = await service.connect()
        for port in range(1000):
            connection.send_packet(
                GLOBAL_REQUEST, String(b"tcpip-forward"), Boolean(False), String(b"a.b"), UInt32(port)
            )
        await is_cut(service, connection)


async def test_environment_variables(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service:
        connection = await service.connect()
        connection.send_packet(CHANNEL_OPEN, String(b"session"), UInt32(0), UInt32(1000), UInt32(1000))
        for n in range(ssh_connection.SESSION_REQUESTS + 20):
            connection.send_packet(
                CHANNEL_REQUEST, UInt32(0), String(b"env"), Boolean(False), String(f"v{n}"), String(b"x" * 99)
            )
        await is_cut(service, connection)


async def test_key_exchanges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, "KEY_EXCHANGES", 2)
    async with running_ssh(tmp_path) as service:
        connection = await service.connect(rekey_bytes=500)
        for _ in range(200):
            connection.send_packet(GLOBAL_REQUEST, String(b"keepalive@openssh.com"), Boolean(False))
            await asyncio.sleep(0)
        await is_cut(service, connection)


async def test_malformed_packets(tmp_path: Path) -> None:
    packets: list[tuple[int, tuple[bytes, ...]]] = [
        (GLOBAL_REQUEST, ()),
        (GLOBAL_REQUEST, (String(b"tcpip-forward"), Boolean(True), String(b"\xff\xfe"), UInt32(1))),
        (GLOBAL_REQUEST, (String(b"tcpip-forward"), Boolean(True), UInt32(1 << 31))),
        (GLOBAL_REQUEST, (String(b"cancel-tcpip-forward"), Boolean(True), String(b"a"), UInt32(1))),
        (CHANNEL_OPEN, (String(b"session"), UInt32(0), UInt32(0), UInt32(0))),
        (CHANNEL_OPEN, (b"\xff\xff\xff\xff",)),
        (CHANNEL_REQUEST, (UInt32(77), String(b"exec"))),
        (94, (UInt32(0), String(b"data for nobody"))),
        (81, ()),
    ]
    async with running_ssh(tmp_path) as service:
        for kind, parts in packets:
            connection = await service.connect()
            connection.send_packet(kind, *parts)
            async with asyncio.timeout(10):
                await connection.wait_closed()
        async with service.client("http") as client:
            assert client.listener is not None
        assert "connections=1" in repr(service.gateway) or "connections=0" in repr(service.gateway)


async def test_channel_opens_are_answered_and_cost_nothing(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service, service.client("http") as client:
        for n in range(300):
            kind = String((b"session", b"direct-tcpip", b"x11", b"nonsense")[n % 4])
            rest = (String(b"h"), UInt32(1), String(b"o"), UInt32(2)) if n % 4 == 1 else ()
            client.connection.send_packet(CHANNEL_OPEN, kind, UInt32(n), UInt32(1), UInt32(1), *rest)
        # asyncssh as a client takes answers to what it has not asked for amiss: the connection may end,
        # the service does not.
        async with asyncio.timeout(10):
            await client.connection.wait_closed()
        async with service.client("http") as other:
            assert other.listener is not None


@pytest.mark.parametrize(
    "old",
    [
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"encryption_algs": ["aes128-cbc"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]},
        {"server_host_key_algs": ["ssh-rsa"]},
    ],
)
async def test_old_algorithms_are_not_spoken(tmp_path: Path, old: dict[str, Any]) -> None:
    async with running_ssh(tmp_path) as service:
        with pytest.raises(asyncssh.Error):
            await service.connect(**old)
    assert not any("sha1" in name or "cbc" in name for name in (*KEX, *CIPHERS, *MACS))


async def test_a_signature_by_sha_1_is_no_proof(tmp_path: Path) -> None:
    key = new_key("ssh-rsa", key_size=2048)
    async with running_ssh(tmp_path) as service:
        service.keys.judged[key.get_fingerprint()] = service.keys.judged.copy().popitem()[1]
        known = {"known_hosts": None, "config": None, "agent_path": None, "client_keys": [key]}
        good = await asyncssh.connect("127.0.0.1", service.port, username="v2", **known)
        good.abort()
        await good.wait_closed()
        with pytest.raises(asyncssh.Error):
            await asyncssh.connect(
                "127.0.0.1", service.port, username="v2", signature_algs=["ssh-rsa"], **known,
                preferred_auth="publickey",
            )  # fmt: skip
