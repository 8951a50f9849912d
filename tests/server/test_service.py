"""A whole service as a process: start, readiness, secrets, signals."""

import asyncio
import io
import json
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.kit.eventually import eventually
from tests.kit.ports import free
from tests.kit.product import clean_environment

from portway.edge.ports import EdgeConfig
from portway.edge.wishes import Wishes
from portway.errors import Error
from portway.server import config
from portway.server import service as service_module
from portway.server.link import Secrets

ACCEPTS_WITHIN = 1.0
"""Seconds from exec until every listener accepts, decided."""


class Running:
    """One `portway serve`, its two outputs apart."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data = data
        self.ports = free(3)
        names = ("agent", "http", "https")
        listen = [f"--listen-{name}=127.0.0.1:{port}" for name, port in zip(names, self.ports, strict=True)]
        command = [sys.executable, "-m", "portway.cli.main", "serve", f"--data-dir={data}", *listen, *flags]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
        )

    @property
    def file(self) -> Path:
        return self.data / "bootstrap.json"

    def ready(self) -> dict[str, str | None]:
        eventually(lambda: self.process.poll() is not None or self.file.exists(), "it is ready", timeout=30)
        return json.loads(self.file.read_text())

    def stop(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGTERM)
        out, log = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, log
        return out, log


@contextmanager
def running(data: Path, *flags: str) -> Generator[Running]:
    service = Running(data, *flags)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
        service.process.communicate()


def accepts(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()
    return True


def test_from_the_first_start_to_lost_secrets(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as service:
        first = service.ready()
        assert first["connect_url"] == f"127.0.0.1:{service.ports[0]}"
        assert first["http_url"] == f"http://portway.localhost:{service.ports[1]}"
        assert first["https_url"] == f"https://portway.localhost:{service.ports[2]}"
        assert stat.S_IMODE(service.file.stat().st_mode) == 0o600
        for port in service.ports:
            assert accepts(port), "the file's presence means ready"
        loaded = Path(f"/proc/{service.process.pid}/maps").read_text()
        assert not any(library in loaded for library in ("sqlalchemy", "greenlet", "sqlite3"))
        out, log = service.stop()
    token, key = first["authtoken"], first["api_key"]
    assert token
    assert key
    assert out.count(token) == 1, "shown once, to the person"
    assert token not in log
    assert key not in log
    assert " info     ready" in log
    assert " info     stopped" in log
    secrets = [token.partition("_")[2].encode(), key.partition("_")[2].encode()]
    for file in data.iterdir():
        if file.name != "bootstrap.json":
            assert not any(secret in file.read_bytes() for secret in secrets), file
            private = file.name not in {"ca.pem", "service.pem", "service.json"}
            assert stat.S_IMODE(file.stat().st_mode) == (0o600 if private else 0o644), file

    with running(data) as service:
        eventually(lambda: accepts(service.ports[0]), "it accepts")
        again = service.ready()
        assert again["authtoken"] == token, "a restart keeps the secrets in the file"
        out, _ = service.stop()
        assert token not in out
    service.file.unlink()
    with running(data) as service:
        lost = service.ready()
        assert lost["authtoken"] is None
        assert lost["api_key"] is None
        out, _ = service.stop()
        assert "portway admin token add" in out
        assert "portway admin api-key add" in out


def test_listeners_accept_before_the_heavy_half_starts(tmp_path: Path) -> None:
    used: list[float] = []
    early: list[bool] = []
    for _ in range(3):  # the first makes certificates
        with running(tmp_path) as service:
            (tmp_path / "bootstrap.json").unlink(missing_ok=True)
            for port in service.ports:
                eventually(lambda port=port: accepts(port), "it accepts")
            times = psutil.Process(service.process.pid).cpu_times()
            used.append(times.user + times.system)
            early.append(not service.file.exists())
            service.ready()
    # Processor time, and the least of it: how busy the machine is besides must not decide.
    assert min(used) < ACCEPTS_WITHIN, used
    assert any(early), "they accept before all is ready"


def test_a_second_service_on_the_folder_or_the_port_fails_at_once(tmp_path: Path) -> None:
    with running(tmp_path / "a") as service:
        service.ready()
        with running(tmp_path / "a") as second:
            _, log = second.process.communicate(timeout=30)
            assert second.process.returncode != 0
            assert "another portway serve uses this data folder" in log
        with running(tmp_path / "b", f"--listen-http=127.0.0.1:{service.ports[1]}") as second:
            _, log = second.process.communicate(timeout=30)
            assert second.process.returncode != 0
            assert "--listen-http" in log
        assert service.file.exists()
        assert not (tmp_path / "b" / "bootstrap.json").exists()
        service.stop()


def test_a_store_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "portway.db").write_text("no database" * 500)
    with running(tmp_path) as service:
        _, log = service.process.communicate(timeout=30)
        assert service.process.returncode != 0
        assert "portway.db: not a usable database" in log


def test_a_stop_before_it_is_ready_ends_it(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        eventually(lambda: accepts(service.ports[0]), "it accepts")
        service.process.send_signal(signal.SIGTERM)
        service.process.communicate(timeout=30)
        assert not service.file.exists()


def test_neither_half_outlives_the_other_for_long(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.ready()
        (controller,) = psutil.Process(service.process.pid).children()
        controller.kill()
        (fresh,) = eventually(
            lambda: [
                each for each in psutil.Process(service.process.pid).children() if each.pid != controller.pid
            ],
            "a new controller",
        )
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait(10)
        fresh.wait(10)


def test_the_log_can_be_json(tmp_path: Path) -> None:
    with running(tmp_path, "--log-format=json") as service:
        service.ready()
        _, log = service.stop()
    assert "ready" in [json.loads(line)["event"] for line in log.splitlines()]


class FakeWorker:
    """A data plane that never finishes draining; counts how often it is drained and closed."""

    addresses: tuple[tuple[str, int], ...] = ()
    wishes = Wishes()

    agent_port = http_port = https_port = 1
    config = EdgeConfig()
    edge = None
    drains = closes = 0

    def __init__(self, _config: object) -> None:
        pass

    async def open(self) -> None:
        pass

    def start(self, *_: object, **__: object) -> None:
        pass

    async def ssh_ready(self) -> None:
        pass

    async def command(self, *_: object) -> None:
        pass

    async def drain(self) -> None:
        FakeWorker.drains += 1
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    async def close(self) -> None:
        FakeWorker.closes += 1


class FakeLink:
    """A controller that answers at once, the second time."""

    stops = 0

    is_up = True

    def __init__(self, *_: object) -> None:
        self.asked = 0

    def start(self, *_: object) -> None:
        pass

    async def ready(self) -> None:
        pass

    async def bootstrap(self, _authtoken: str | None, _api_key: str | None) -> Secrets:
        self.asked += 1
        if self.asked == 1:
            raise Error("away", 128)
        return Secrets("token", "key", fresh=True)

    async def flush_events(self) -> None:
        pass

    async def stop(self) -> None:
        FakeLink.stops += 1


class SignalWhenReady(io.StringIO):
    """Standard output that tells the service to stop as soon as it says that it is ready."""

    def write(self, s: str) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().write(s)


@pytest.fixture
def root_logger() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root_logger")
def test_a_second_signal_cuts_what_drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "Worker", FakeWorker)
    monkeypatch.setattr(service_module, "ControllerLink", FakeLink)
    monkeypatch.setattr(service_module, "RETRY", 0)
    out = SignalWhenReady()
    assert service_module.serve(config.load({"data_dir": str(tmp_path)}, {}), out) == 1
    assert (FakeWorker.drains, FakeWorker.closes, FakeLink.stops) == (1, 1, 1)
    assert "token" in out.getvalue()
