"""How an SSH client shows whose it is, and how it is refused."""

import asyncio
from pathlib import Path
from typing import Any, cast

import asyncssh
import pytest
from tests.kit.service import FakeControl
from tests.kit.ssh import GRANT, KnownKeys, SshService, client_key, running_ssh

from portway.edge.admission import Admission
from portway.edge.ports import Limits
from portway.edge.ssh_limits import SshLimits
from portway.edge.ssh_login import Login
from portway.errors import Error, RefusedSession
from portway.model.event import AgentSessionStarted


class Cut:
    """Hears of refusals."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def __call__(self, error: Error) -> None:
        self.errors.append(error.code)


def login(keys: KnownKeys, admission: Admission | None = None, offers: int = 10) -> Login:
    edge = Limits(auth_deadline=0.0)
    return Login(keys, admission or Admission(edge), edge, SshLimits(keys=offers), "192.0.2.1")


class Talker(asyncssh.SSHClient):
    """Goes on to keyboard-interactive when it has no more keys, as OpenSSH does."""

    def kbdint_auth_requested(self) -> str:
        return ""


async def test_keys_are_asked_about_once_and_counted() -> None:
    keys, cut = KnownKeys(FakeControl().view), Cut()
    client = login(keys, offers=2)
    good = client_key("good").get_fingerprint()
    assert not await client.knows("SHA256:one", cut)
    assert await client.knows(good, cut)
    assert await client.knows(good, cut)
    assert keys.asked == ["SHA256:one", good]
    assert not await client.knows("SHA256:three", cut)
    assert cut.errors == ["ERR_NGROK_1101"]
    assert client.judgement(good) == GRANT


async def test_a_key_that_may_not_be_used_lets_in_to_be_told() -> None:
    keys, cut = KnownKeys(FakeControl().view), Cut()
    keys.put("plan", Error("Not in this plan.", 1103))
    client, key = login(keys), client_key("plan").get_fingerprint()
    assert await client.knows(key, cut)
    told = client.judgement(key)
    assert isinstance(told, Error)
    assert told.code == "ERR_NGROK_1103"


async def test_a_control_plane_that_is_away() -> None:
    keys, cut = KnownKeys(FakeControl().view), Cut()
    keys.put("away", Error("Not now.", 128))
    assert not await login(keys).knows(client_key("away").get_fingerprint(), cut)
    assert cut.errors == ["ERR_NGROK_128"]


@pytest.mark.parametrize(
    ("user", "code"), [("v2", ""), ("root", ""), ("v1x", ""), ("v1", "1106"), ("v22", "1106")]
)
async def test_users_are_versions(user: str, code: str) -> None:
    client = login(KnownKeys(FakeControl().view))
    await client.begin(user)
    assert (client.error.code if client.error else "") == (code and f"ERR_NGROK_{code}")


async def test_wrong_keys_count_as_wrong_authtokens() -> None:
    limits = Limits(wrong_tokens=1, wrong_token_delay=3.0)
    admission = Admission(limits)
    keys, cut = KnownKeys(FakeControl().view), Cut()
    login(keys, admission).failed(5.0)
    assert admission.delay("192.0.2.1", 5.0) == 0
    client = login(keys, admission)
    await client.knows("SHA256:wrong", cut)
    client.failed(5.0)
    assert admission.delay("192.0.2.1", 5.0) == 3.0


# Over the wire.


async def why(service: SshService, **options: object) -> str:
    """Try to log in; return the code with which that is refused."""
    with pytest.raises(asyncssh.DisconnectError) as refused:
        await service.connect(client_factory=Talker, **options)  # pyright: ignore[reportArgumentType]
    return refused.value.reason.rpartition("ERR_NGROK_")[2]


@pytest.mark.row("EV-09")
async def test_the_account_of_a_key_hears_that_it_was_refused(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service:
        service.keys.put("kept out", RefusedSession("Not from there.", 115, "ac_good", "sshcr_good"))
        async with await service.connect(key="kept out"):
            started = await service.events.next(AgentSessionStarted)
            assert (started.account_id, started.credential_id) == ("ac_good", "sshcr_good")
            assert (started.error, started.error_code) == ("Not from there.", "ERR_NGROK_115")


@pytest.mark.row("K-31")
async def test_refusals_are_told_by_the_disconnect(tmp_path: Path) -> None:
    async with running_ssh(tmp_path, ssh=SshLimits(keys=2)) as service:
        assert await why(service, key="unknown", preferred_auth="publickey,keyboard-interactive") == "1102"
        assert await why(service, preferred_auth="keyboard-interactive") == "1100"
        with pytest.raises(asyncssh.DisconnectError) as many:
            await asyncssh.connect(
                "127.0.0.1", service.port, username="v2", known_hosts=None, config=None, agent_path=None,
                client_keys=[client_key(name) for name in ("a", "b", "c", "good")],
            )  # fmt: skip
        assert many.value.reason.endswith("ERR_NGROK_1101")
        assert not service.gateway.sessions
        assert service.gateway.admission.strangers == 0


async def test_a_key_of_a_plan_without_ssh_is_told_in_the_session(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service:
        service.keys.put("plan", Error("Not in this plan.", 1103))
        async with service.client("http", key="plan") as client:
            status, said = await client.ended()
            assert (status, "ERR_NGROK_1103" in said) == (1, True)


class Forged(asyncssh.SSHKeyPair):
    """Offers one key and signs with another."""

    def __init__(self, shown: asyncssh.SSHKey, own: asyncssh.SSHKey) -> None:
        super().__init__(
            b"ssh-ed25519", b"ssh-ed25519", [b"ssh-ed25519"], [b"ssh-ed25519"], shown.public_data, None
        )
        self._own = own

    def sign(self, data: bytes) -> bytes:
        return self._own.sign(data, b"ssh-ed25519")


async def test_no_password_and_no_key_that_is_not_proved(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service:
        with pytest.raises(asyncssh.PermissionDenied):
            await service.connect(preferred_auth="password", password="x")
        stolen = Forged(client_key("good"), client_key("stolen"))
        with pytest.raises(asyncssh.Error):
            await asyncssh.connect(
                "127.0.0.1", service.port, username="v2", known_hosts=None, config=None, agent_path=None,
                client_keys=[cast("Any", stolen)], preferred_auth="publickey",
            )  # fmt: skip
        assert not service.gateway.sessions


async def test_strangers_share_the_places_and_the_deadline_of_agents(tmp_path: Path) -> None:
    limits = Limits(auth_deadline=0.3, unauthenticated_per_address=2, drain=0.1)
    async with running_ssh(tmp_path, limits=limits) as service:
        pairs = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(2)]
        for reader, _ in pairs:
            assert await reader.readline() == b"SSH-2.0-portway\r\n"
        third, writer = await asyncio.open_connection("127.0.0.1", service.port)
        assert await third.read() == b""
        writer.close()
        for reader, writer in pairs:
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()
        assert service.gateway.admission.strangers == 0
        assert "connections=0" in repr(service.gateway)
