"""Real programs through TCP endpoints of our own agent: OpenSSH, PostgreSQL, servers that speak first."""

import asyncio
import contextlib
import getpass
import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from tests.kit.certificates import Authority
from tests.kit.eventually import eventually
from tests.kit.openssh import gateway
from tests.kit.openssh import ssh as forwarded
from tests.kit.ports import free
from tests.kit.product import Service, agent_beside, running_agent
from tests.kit.programs import need
from tests.kit.rest import Rest
from tests.kit.sdk import Sdk
from tests.kit.traffic import server, visitor

pytestmark = pytest.mark.xdist_group("protocols")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all protocols, also by SSH in the agent's place."""
    with gateway(tmp_path_factory.mktemp("protocols")) as service:
        yield service


# -- OpenSSH -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sshd:
    """A real sshd: its port, and the folder with the keys of host and user."""

    port: int
    folder: Path

    @property
    def options(self) -> list[str]:
        """What ssh, scp and sftp are told."""
        return [
            *(
                "-i",
                str(self.folder / "user"),
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-F",
                "none",
            ),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
        ]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sshd]:
    """A real sshd with keys of its own, for the user who runs the tests."""
    tmp_path = tmp_path_factory.mktemp("sshd")
    program, keygen = need("sshd"), need("ssh-keygen")
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    (port,) = free(1)
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nPidFile none\n"
        f"AuthorizedKeysFile {tmp_path}/user.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its empty folder for unprivileged work
    with _daemon([str(program), "-D", "-e", "-f", str(config)], tmp_path / "sshd.log", port):
        yield Sshd(port, tmp_path)


@pytest.mark.row("T-002", "T-020", "T-060")
def test_ssh_login_and_scp(service: Service, sshd: Sshd, tmp_path: Path) -> None:
    ssh, scp = need("ssh"), need("scp")
    user = getpass.getuser()
    content = Random(7).randbytes(20 << 20)
    (tmp_path / "there").write_bytes(content)
    with running_agent(service, "tcp", str(sshd.port)) as (_, url):
        parts = urlsplit(url)
        options = [*sshd.options, "-P", str(parts.port)]
        login = _run(
            [str(ssh), *sshd.options, "-p", str(parts.port), f"{user}@127.0.0.1", "echo hello from $0"]
        )
        _run([str(scp), *options, f"{tmp_path}/there", f"{user}@127.0.0.1:{tmp_path}/copy"])
        _run([str(scp), *options, f"{user}@127.0.0.1:{tmp_path}/copy", f"{tmp_path}/back"])
    assert login.startswith("hello from ")
    assert (parts.scheme, parts.hostname) == ("tcp", "localhost")
    assert _hash(tmp_path / "copy") == _hash(tmp_path / "back") == hashlib.sha256(content).hexdigest()


@pytest.mark.row("K-31")
def test_ssh_scp_and_sftp_through_the_ssh_gateway(service: Service, sshd: Sshd, tmp_path: Path) -> None:
    """SSH within SSH: the outer one is the agent."""
    user, programs = getpass.getuser(), [need(name) for name in ("ssh", "scp", "sftp")]
    content = Random(8).randbytes(4 << 20)
    (tmp_path / "there").write_bytes(content)
    with forwarded(service, "-R", f"0:localhost:{sshd.port}", "v2@127.0.0.1", "tcp") as outer:
        port = str(urlsplit(outer.url()).port)
        there = f"{user}@127.0.0.1"
        login = _run([str(programs[0]), *sshd.options, "-p", port, there, "echo hello from $0"])
        _run([str(programs[1]), *sshd.options, "-P", port, f"{tmp_path}/there", f"{there}:{tmp_path}/copy"])
        (tmp_path / "batch").write_text(f"get {tmp_path}/copy {tmp_path}/back\n")
        _run([str(programs[2]), *sshd.options, "-P", port, "-b", f"{tmp_path}/batch", there])
    assert login.startswith("hello from ")
    assert _hash(tmp_path / "copy") == _hash(tmp_path / "back") == hashlib.sha256(content).hexdigest()


@pytest.mark.row("T-002", "T-031")
def test_ssh_finds_its_machine_again_at_a_fixed_address(service: Service, sshd: Sshd, tmp_path: Path) -> None:
    """Each agent is a new process; ssh pins the host key to the address and would notice another."""
    ssh = need("ssh")
    addr = Rest(service).address()["addr"]
    host, port = addr.split(":")
    options = [
        *("-i", str(sshd.folder / "user"), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-F", "none"),
        *("-o", f"UserKnownHostsFile={tmp_path}/known", "-o", f"HostName={host}", "-p", port),
    ]
    for flag, checking in (("--remote-addr", "accept-new"), ("--url", "yes")):
        with running_agent(service, "tcp", str(sshd.port), flag, addr) as (_, url):
            assert url == f"tcp://{addr}"
            checked = [*options, "-o", f"StrictHostKeyChecking={checking}"]
            assert _run([str(ssh), *checked, f"{getpass.getuser()}@machine", "echo there"]) == "there\n"


# -- PostgreSQL ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Generator[tuple[int, Path]]:
    """A new PostgreSQL cluster with TLS on; gives its port and the CA's certificate.

    The server refuses to run as root: root becomes the user that the Debian package made.
    """
    programs = need("postgres").resolve().parent
    owner = "postgres" if os.getuid() == 0 else getpass.getuser()
    account = pwd.getpwnam(owner)
    folder = Path(tempfile.mkdtemp(prefix="portway-postgres-"))
    try:
        authority = Authority()
        chain, key = authority.issue("localhost", "127.0.0.1")
        (folder / "ca.pem").write_bytes(authority.pem)
        (folder / "server.pem").write_bytes(chain)
        (folder / "server.key").write_bytes(key)
        (folder / "server.key").chmod(0o600)
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
        data = folder / "data"
        initdb = [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "tester", "--no-sync"]
        subprocess.run(initdb, check=True, user=owner, capture_output=True, cwd="/")
        (port,) = free(1)
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(folder),
            "ssl": "on", "ssl_cert_file": str(folder / "server.pem"),
            "ssl_key_file": str(folder / "server.key"), "fsync": "off",
        }  # fmt: skip
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(programs / "postgres"), "-D", str(data), *flags]
        with _daemon(command, folder / "postgres.log", port, user=owner):
            yield port, folder / "ca.pem"
    finally:
        shutil.rmtree(folder)


@pytest.mark.row("T-006")
def test_postgresql_with_tls_asked_for_inside_the_connection(
    service: Service, postgres: tuple[int, Path]
) -> None:
    port, ca = postgres
    with running_agent(service, "tcp", f"127.0.0.1:{port}") as (_, url):
        _ask_much(url, ca)


@pytest.mark.row("K-31")
def test_postgresql_through_the_ssh_gateway(service: Service, postgres: tuple[int, Path]) -> None:
    port, ca = postgres
    with forwarded(service, "-R", f"0:127.0.0.1:{port}", "127.0.0.1", "tcp") as outer:
        _ask_much(outer.url(), ca)


def _ask_much(url: str, ca: Path) -> None:
    """Have psql ask there for much, by TLS that the connection asks for in between."""
    there = (
        f"host=localhost hostaddr=127.0.0.1 port={urlsplit(url).port} user=tester dbname=postgres "
        f"sslmode=verify-full sslrootcert={ca}"
    )
    query = (
        "select ssl, version from pg_stat_ssl where pid = pg_backend_pid();"
        "select sum(n), md5(string_agg(n::text, ',')) from generate_series(1, 300000) n;"
    )
    answer = _run([str(need("psql")), "-X", "-A", "-t", "-d", there, "-c", query]).splitlines()
    numbers = ",".join(map(str, range(1, 300001))).encode()
    assert answer[0].startswith("t|TLSv1")
    assert answer[1] == f"{300000 * 300001 // 2}|{hashlib.md5(numbers).hexdigest()}"


@pytest.mark.row("T-006", "T-030")
def test_postgresql_at_a_fixed_address_over_a_restart_of_the_service(
    service: Service, postgres: tuple[int, Path]
) -> None:
    psql = need("psql")
    port, ca = postgres
    addr = Rest(service).address()["addr"]
    there = (
        f"host=localhost hostaddr=127.0.0.1 port={urlsplit(f'//{addr}').port} user=tester dbname=postgres "
        f"sslmode=verify-full sslrootcert={ca} connect_timeout=5"
    )

    def ask(query: str) -> str:
        return _run([str(psql), "-X", "-A", "-t", "-d", there, "-c", query]).strip()

    with running_agent(service, "tcp", f"127.0.0.1:{port}", "--url", f"tcp://{addr}") as (_, url):
        assert url == f"tcp://{addr}"
        ask("create table if not exists kept (n int); insert into kept values (1)")
        service.restart()
        assert eventually(lambda: ask("select count(*) from kept"), "psql is back", timeout=60) == "1"


# -- edges ---------------------------------------------------------------------------------------


@pytest.mark.row("T-080", "T-085", "T-086", "T-087", "T-089", "T-093", "T-094", "ED-02")
def test_psql_and_ssh_through_edges_from_two_addresses(
    service: Service, sshd: Sshd, postgres: tuple[int, Path]
) -> None:
    """Each edge is made in one step, and served by a labelled listener of the official SDK."""
    rest, ssh = Rest(service), need("ssh")
    policy = rest.done("POST", "/ip_policies", {})["id"]
    rule = {"ip_policy_id": policy, "action": "allow"}
    first = rest.done("POST", "/ip_policy_rules", rule | {"cidr": "127.0.0.1/32"})
    restricted = {"ip_restriction": {"ip_policy_ids": [policy]}}
    with Sdk("python", service) as sdk:
        sdk.connect()
        ports: dict[str, int] = {}
        for name, upstream in (("ssh", sshd.port), ("psql", postgres[0])):
            edge = rest.done("POST", "/edges/tcp?whole=true", restricted)
            ports[name] = int(edge["hostports"][0].rpartition(":")[2])
            sdk.serve({"edge": edge["id"]}, f"tcp://127.0.0.1:{upstream}")
            eventually(lambda port=ports[name]: _listens(port), "the edge listens")
        there = ["-p", str(ports["ssh"]), f"{getpass.getuser()}@127.0.0.1", "echo there"]

        def login(source: str) -> str:
            done = subprocess.run([str(ssh), *sshd.options, "-b", source, *there], capture_output=True)
            return done.stdout.decode()

        eventually(lambda: login("127.0.0.1") == "there\n", "ssh is let in", timeout=30)
        assert login("127.0.0.2") == ""
        _ask_much(f"tcp://localhost:{ports['psql']}", postgres[1])
        rest.done("POST", "/ip_policy_rules", rule | {"cidr": "127.0.0.2/32"})
        rest.done("DELETE", f"/ip_policy_rules/{first['id']}")
        eventually(lambda: login("127.0.0.2") == "there\n", "the rules hold at once", timeout=30)
        assert login("127.0.0.1") == ""
        with socket.create_connection(("127.0.0.1", ports["psql"])) as refused:
            refused.settimeout(10)
            assert refused.recv(1) == b"", "closed, and not a byte said"


def _listens(port: int) -> bool:
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


# -- the server speaks first ---------------------------------------------------------------------


@pytest.mark.row("T-001", "T-003", "T-005")
@pytest.mark.parametrize(
    "greeting", [b"RFB 003.008\n", b"\x4a\x00\x00\x00\x0a8.0.36\x00"], ids=["vnc", "mysql"]
)
async def test_a_server_that_greets_first(service: Service, greeting: bytes) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        answer = await reader.readexactly(len(greeting))
        writer.write(answer[::-1])

    async with (
        server(greet) as upstream,
        agent_beside(service, "tcp", str(upstream)) as (_, url),
        visitor(urlsplit(url).port or 0) as (reader, writer),
    ):
        heard = await asyncio.wait_for(reader.readexactly(len(greeting)), 10)
        writer.write(heard)
        answer = await asyncio.wait_for(reader.read(-1), 10)
    assert (heard, answer) == (greeting, greeting[::-1])


# -- helpers -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _daemon(command: list[str], log: Path, port: int, user: str | None = None) -> Generator[None]:
    """Run a server program until the context ends; ready when its port accepts."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, user=user, cwd="/"
        )

    def accepts() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{log.read_text()}")
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True

    try:
        eventually(accepts, f"{command[0]} accepts", timeout=30)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
    return done.stdout


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
