"""ngrok's official Python client of the API, unmodified, driven in a process of its own.

Its import name is that of the agent SDK, so it lives in a virtual environment of its own, made once in a
cache folder that git ignores, from locked and hashed requirements.
"""

import fcntl
import hashlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest

from tests.kit.product import clean_environment

ROOT = Path(__file__).parent.parent.parent
LOCKED = ROOT / "requirements" / "ngrok-api.txt"
CACHE = ROOT / ".cache" / "ngrok-api"
DRIVER = ROOT / "tests" / "system" / "drivers" / "api_client.py"
FETCH = 90.0
"""Seconds that fetching the client may take, once."""


class ClientError(Exception):
    """What the client raised: the name of its class, and what an error of the API carries."""

    def __init__(self, answer: dict[str, Any]) -> None:
        """Take the driver's answer."""
        super().__init__(f"{answer['error']}: {answer.get('text', '')}")
        self.kind: str = answer["error"]
        self.code = int(str(answer.get("code") or "0").rpartition("_")[2])
        self.status: int = answer.get("status", 0)
        self.operation: str = answer.get("operation", "")
        self.details: dict[str, str] = answer.get("details", {})


class ApiClient:
    """One `ngrok.Client`. Calls block. Use it as a context manager."""

    def __init__(self, key: str, url: str, *, ca: str = "") -> None:
        """Start the driver and make the client; nothing is sent yet. ``ca`` is a PEM file to trust."""
        self._process = subprocess.Popen(
            [str(_environment()), str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment() | {"NO_PROXY": "*"} | ({"REQUESTS_CA_BUNDLE": ca} if ca else {}),
        )
        self._ask("connect", key=key, url=url)

    def __call__(self, method: str, **arguments: Any) -> Any:
        """Call a method, such as "credentials.create"; return every property of its answer.

        Raises ClientError.
        """
        return self._ask("call", method=method, arguments=arguments)

    def iterate(self, method: str, **arguments: Any) -> list[dict[str, Any]]:
        """Read a whole list, page after page. Raises ClientError."""
        return self._ask("iterate", method=method, arguments=arguments)

    def probe(self, method: str) -> Any:
        """Call a method with something for each argument that it needs. Raises ClientError."""
        return self._ask("probe", method=method)

    def methods(self) -> dict[str, dict[str, str]]:
        """Return every method of the client: "verb" and "path", or "error" for one that cannot be called."""
        return self._ask("methods")

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.end()

    def _ask(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise ClientError(answer)
        return answer["value"]


def _environment() -> Path:
    """Return the interpreter with the client in it; skip the test when it cannot be fetched."""
    fault = _install()
    if fault:
        pytest.skip(f"ngrok's API client could not be fetched, and is not in .cache: {fault}")
    return CACHE / "bin" / "python"


@cache
def _install() -> str:
    """Make the environment once; return what went wrong, or ""."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = f"{sys.version} {hashlib.sha256(LOCKED.read_bytes()).hexdigest()}"
    done = CACHE / "installed"
    uv = (sys.executable, "-m", "uv", "--quiet")
    with (CACHE.parent / "ngrok-api.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        if done.exists() and done.read_text() == wanted:
            return ""
        done.unlink(missing_ok=True)
        try:
            _run(*uv, "venv", "--clear", "--python", sys.executable, str(CACHE))
            python = str(CACHE / "bin" / "python")
            _run(*uv, "pip", "sync", "--python", python, "--require-hashes", str(LOCKED))
        except subprocess.CalledProcessError as error:
            return f"uv: {error.stderr.strip()[-300:]}"
        except subprocess.TimeoutExpired:
            return f"uv did not end within {FETCH:g} s"
        done.write_text(wanted)
    return ""


def _run(*command: str) -> None:
    subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=FETCH
    )
