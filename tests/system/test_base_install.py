"""The wheel in a fresh environment, without any library of the `server` extra: the agent needs none."""

import asyncio
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from tests.kit.product import AgentProcess, clean_environment, running_service
from tests.kit.traffic import get, hello_http, server

pytestmark = pytest.mark.xdist_group("base")

ROOT = Path(__file__).parent.parent.parent

GUARD = """
import sys

class Absent:
    names = {
        *("aiosqlite", "alembic", "asyncpg", "cryptography", "sqlalchemy", "structlog", "fastapi"),
        *("starlette", "pydantic", "uvicorn", "httptools", "OpenSSL", "maxminddb", "re2", "brotli", "isal"),
    }

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{name} belongs to the server extra", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""
"""Put first on the import path of that environment: what the extra brings cannot be imported."""

EVERY_MODULE = """
import importlib, pkgutil
import portway.agent
for module in pkgutil.walk_packages(portway.agent.__path__, "portway.agent."):
    importlib.import_module(module.name)
for name in portway.__all__:
    getattr(portway, name)
print(portway.__file__, portway.__version__)
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with our wheel in it."""
    folder = tmp_path_factory.mktemp("base")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    _run(build, cwd=ROOT)
    venv.create(folder / "venv")
    interpreter = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    # pip of this environment, for that one: to install pip there takes longer than all the rest.
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--quiet"]
    _run([*pip, "--no-index", "--no-deps", "--no-compile", str(wheel)])
    (site,) = (folder / "venv" / "lib").glob("*/site-packages")
    (site / "sitecustomize.py").write_text(GUARD)
    (site / "zz_base_requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return interpreter


@pytest.mark.row("G-004")
def test_every_module_of_the_agent_loads(python: Path, tmp_path: Path) -> None:
    place, version = _run([str(python), "-c", EVERY_MODULE], cwd=tmp_path).split()
    assert "site-packages" in place
    assert version == "0.1.0"


async def test_the_command_works(python: Path, tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        agent = AgentProcess(tmp_path, service, str(python))
        try:
            async with server(hello_http) as upstream:
                url = await asyncio.to_thread(agent.start, "http", str(upstream), "--url", "http://")
                answer = await get(url, service.bootstrap.http_port)
        finally:
            agent.kill()
    assert answer.status == 200


QUICKSTART = """
import portway

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

portway.serve(app, "http://")
"""


@pytest.mark.row("G-004", "G-005", "G-003")
async def test_an_application_is_served_by_the_sdk_alone(python: Path, tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        known = service.bootstrap
        environ = clean_environment() | {
            "PORTWAY_CONNECT_URL": known.connect_url,
            "PORTWAY_CONNECT_CAS": known.ca_cert,
            "PORTWAY_AUTHTOKEN": known.authtoken,
        }
        process = await asyncio.create_subprocess_exec(
            str(python), "-c", QUICKSTART, stdout=subprocess.PIPE, env=environ
        )
        try:
            assert process.stdout is not None
            url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
            answer = await get(url, known.http_port)
        finally:
            process.kill()
            await process.communicate()
    assert (answer.status, answer.body) == (200, b"hello")


def _run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
