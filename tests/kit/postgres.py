"""A real PostgreSQL server for the tests of one process, and databases on it.

`cluster()` starts the server when it is first asked for; tests/conftest.py ends it with the tests. It
listens on a socket in its own folder only. A crash of the server loses nothing, one of the machine all.
"""

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

from tests.kit.eventually import eventually
from tests.kit.programs import need


class Cluster:
    """One PostgreSQL server. It refuses to run as root, who becomes the user that the Debian package made."""

    def __init__(self) -> None:
        """Make an empty cluster; skip the test when PostgreSQL is not installed."""
        self._programs = need("postgres").resolve().parent
        self._owner = "postgres" if os.getuid() == 0 else getpass.getuser()
        self.folder = Path(tempfile.mkdtemp(prefix="portway-pg-"))
        account = pwd.getpwnam(self._owner)
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._last = 0
        data = str(self.folder / "data")
        initdb = [str(self._programs / "initdb"), "-D", data, "-A", "trust", "-U", "tester", "--no-sync"]
        # English order, where a < B: the order of identifiers must not depend on it.
        initdb += ["--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US"]
        subprocess.run(initdb, check=True, user=self._owner, capture_output=True, cwd="/")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "", "unix_socket_directories": str(self.folder), "fsync": "off",
            "full_page_writes": "off", "max_connections": "100",
            "shared_buffers": "16MB", "autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0",
        }  # fmt: skip
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self.folder / "data"), *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._owner, cwd="/",
                start_new_session=True,
            )  # fmt: skip
        # Ends the server when the tests are ended so that they cannot: the pipe breaks with their process.
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", 'read _; kill -QUIT "$0"; rm -rf "$1"', str(self._process.pid), self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        eventually(self._accepts, "PostgreSQL accepts", timeout=60)

    def stop(self) -> None:
        """Stop the server at once, as a crash would; every connection is cut."""
        process, self._process = self._process, None
        if process is None:
            return
        self._dismiss_watcher()
        process.send_signal(signal.SIGQUIT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def remove(self) -> None:
        """Stop the server and delete all it had."""
        self.stop()
        shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """Stop every process of the server in its tracks, so that it is silent but there."""
        assert self._process is not None
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def database(self, template: str = "template1") -> str:
        """Make a new database; return its name."""
        self._last += 1
        name = f"portway_{self._last}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def url(self, name: str, user: str = "tester") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{name}?host={quote(str(self.folder), safe='')}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement with psql; return what it prints."""
        flags = ("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement)
        return self._client(need("psql"), database, *flags).strip()

    def dump(self, database: str) -> str:
        """Return everything that is in a database, as SQL."""
        return self._client(self._programs / "pg_dump", database)

    def _client(self, program: Path, database: str, *flags: str) -> str:
        command = [program, "-h", self.folder, "-U", "tester", "-d", database, *flags]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _dismiss_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.kill()
            watcher.communicate()

    def _signal(self, number: int) -> None:
        """Signal the server and every process that serves a connection."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _accepts(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended:\n{(self.folder / 'log').read_text()}")
        return self.sql("SELECT 1") == "1"


_cluster: list[Cluster] = []


def cluster() -> Cluster:
    """Return the server of this process's tests; it is made now if it is not there yet."""
    if not _cluster:
        _cluster.append(Cluster())
    return _cluster[0]


def remove_cluster() -> None:
    """End it, if there is one."""
    while _cluster:
        _cluster.pop().remove()
