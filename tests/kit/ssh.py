"""A data plane with its SSH gateway in this process, and SSH clients for it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import asyncssh

from portway.edge.ports import CertificatePem, Limits
from portway.edge.ssh_gateway import SshGateway
from portway.edge.ssh_limits import SshLimits, SshSetup
from portway.edge.ssh_pipe import Scratch, SshPipe
from portway.edge.ssh_session import SshSession
from portway.edge.view import View
from portway.errors import Error
from portway.model.entities import Grant
from portway.model.view import SshKeyItem
from portway.pipe import Sink
from portway.server.parsers import Address
from portway.server.ssh_host_key import HostKey, load_or_make
from portway.server.worker import Worker
from tests.kit.service import SECRET, Events, FakeControl, Running, service_certs, settings

GRANT = Grant("ac_good", "Good Account", "free", "sshcr_good")


new_key: Callable[..., asyncssh.SSHKey] = cast("Any", asyncssh).generate_private_key
"""Make a key; asyncssh's own type says too little."""


@cache
def client_key(name: str) -> asyncssh.SSHKey:
    """Return a key of a client; one for each name."""
    return new_key("ssh-ed25519", comment=name)


class KnownKeys:
    """Whose keys are known. Every key is first unknown."""

    def __init__(self, view: View) -> None:
        """Know the key "good"."""
        self._view = view
        self.judged: dict[str, Grant | Error] = {}
        self.asked: list[str] = []
        self.put("good", GRANT)

    def put(self, name: str, judged: Grant | Error) -> None:
        """Know a key."""
        self.judged[client_key(name).get_fingerprint()] = judged

    async def authenticate_key(self, fingerprint: str, source: str) -> Grant:
        """Judge."""
        self.asked.append(fingerprint)
        found = self.judged.get(fingerprint) or Error("No account has this key.", 1102)
        if isinstance(found, Error):
            raise found
        self._view.learn(SshKeyItem(found.credential_id, found.account_id, found.acl))
        return found


class SshService(Running):
    """A data plane that runs, with its gateway."""

    def __init__(self, running: Running, keys: KnownKeys, host_key: HostKey) -> None:
        """Hold the parts."""
        super().__init__(running.worker, running.control, running.events, running.certs)
        self.keys = keys
        self.host_key = host_key

    @property
    def port(self) -> int:
        """Where SSH clients connect."""
        return self.worker.ssh_port

    @property
    def gateway(self) -> SshGateway:
        """All SSH sessions."""
        assert self.worker.ssh is not None
        return self.worker.ssh

    @property
    def session(self) -> SshSession:
        """The only session there is."""
        (session,) = self.gateway.sessions.values()
        return session

    async def connect(
        self, key: str = "good", user: str = "v2", port: int = 0, **options: Any
    ) -> "asyncssh.SSHClientConnection":
        """Connect and log in, by way of another port if one is given; the caller closes it."""
        port = port or self.port
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {self.host_key.public}\n")
        return await asyncssh.connect(
            "127.0.0.1", port, username=user, client_keys=[client_key(key)], known_hosts=known,
            config=None, agent_path=None, **options,
        )  # fmt: skip

    @asynccontextmanager
    async def client(
        self,
        command: str = "tcp",
        host: str = "localhost",
        port: int = 0,
        *,
        serve: Any = None,
        **options: Any,
    ) -> AsyncGenerator["Client"]:
        """Bring an endpoint online; ``serve`` makes the session of each visitor's channel."""
        connection = await self.connect(**options)
        try:
            client = Client(connection)
            await client.forward(command, host, port, serve or _refuse)
            yield client
        finally:
            connection.abort()
            await connection.wait_closed()


class Client:
    """A client that is in."""

    def __init__(self, connection: "asyncssh.SSHClientConnection") -> None:
        """Nothing is asked for yet."""
        self.connection = connection
        self.said = ""
        self.process: asyncssh.SSHClientProcess[str] | None = None
        self.listener: asyncssh.SSHListener | None = None

    async def forward(self, command: str, host: str, port: int, serve: Any) -> None:
        """Ask for a forwarding and say the command; wait until both are answered."""
        listening = asyncio.ensure_future(self.connection.create_server(serve, host, port))
        self.process = await self.connection.create_process(command)
        try:
            self.listener = await listening
        except asyncssh.ChannelListenError:
            return

    async def ended(self) -> tuple[int | None, str]:
        """Wait for the end of the session; return its status and all it said."""
        assert self.process is not None
        async with asyncio.timeout(10):
            result = await self.process.wait()
        return result.exit_status, f"{result.stdout}{result.stderr}"


def _refuse(_host: str, _port: int) -> Any:
    raise asyncssh.ChannelOpenError(2, "connect failed")


@asynccontextmanager
async def running_ssh(
    folder: Path,
    *,
    control: FakeControl | None = None,
    limits: Limits | None = None,
    ssh: SshLimits | None = None,
    **changes: Any,
) -> AsyncGenerator[SshService]:
    """Run a data plane with an SSH gateway for the time of the context."""
    certs = service_certs()
    worker = Worker(settings(listen_ssh=Address("127.0.0.1", 0), **changes), limits=limits)
    events, known = Events(), control or FakeControl()
    keys, host_key = KnownKeys(known.view), load_or_make(folder)
    await worker.open()
    try:
        worker.start(
            known, events, secret=SECRET, certificate=CertificatePem(certs.chain, certs.key),
            ssh=SshSetup(keys, host_key.private, ssh or SshLimits()),
        )  # fmt: skip
        await worker.ssh_ready()
        yield SshService(Running(worker, known, events, certs), keys, host_key)
    finally:
        await worker.stop()


class _NoWire:
    """What a pipe needs of its wire at a client's end: everything fits."""

    full = False
    over = False

    def __init__(self) -> None:
        self._written = 0

    @property
    def written(self) -> int:
        self._written += 1 << 30
        return self._written

    def park(self, pipe: object) -> None:
        raise AssertionError("a client's end never parks on its socket")


def no_wire() -> object:
    """Make what stands for a wire that everything fits into."""
    return _NoWire()


def client_pipe(sink: Sink, over: Callable[[], None] = lambda: None) -> SshPipe:
    """Make the Pipe of a client's end of a channel."""
    return SshPipe(cast("Any", _NoWire()), Scratch(), sink, over)
