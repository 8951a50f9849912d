"""Everything at once on one machine: a service, an agent, a page and an echo behind public URLs.

    make run                    the demo page and the echo
    make run UPSTREAM=3000      your own service instead of the page

Ctrl+C ends it all. The service keeps its data in the default folder, so while it runs,
`portway http 8080` in another terminal finds it.
"""

import argparse
import asyncio
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from examples.demo_page import start_echo, start_page

import portway
from portway.paths import bootstrap_file, default_data_dir

READY_WITHIN = 30.0
"""Seconds that the service may take to write bootstrap.json."""


class Service:
    """The service as a child process; its own output goes to a log file beside its data."""

    def __init__(self, data_dir: Path) -> None:
        """Start `portway serve` and wait until it writes bootstrap.json."""
        self.data_dir = data_dir
        self.log = data_dir / "serve.log"
        data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "portway.cli.main", "serve", "--data-dir", str(data_dir)]
        with self.log.open("w") as log:
            self.log.chmod(0o600)  # a first start prints its authtoken there
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self.bootstrap = self._wait(bootstrap_file(data_dir))
        except BaseException:
            self.stop()
            raise

    def _wait(self, path: Path) -> dict[str, str]:
        deadline = time.monotonic() + READY_WITHIN
        started = time.time()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SystemExit(f"the service did not start:\n\n{self.log.read_text()}")
            if path.exists() and path.stat().st_mtime >= started - 2:
                return json.loads(path.read_text())
            time.sleep(0.05)
        raise SystemExit(f"the service was not ready within {READY_WITHIN:.0f} s; see {self.log}")

    def stop(self) -> None:
        """Ask it to finish, and wait."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()


def new_token(data_dir: Path) -> str:
    """Make an authtoken: the file of a service that is older than this lost its own."""
    command = [sys.executable, "-m", "portway.cli.main", "admin", "token", "add", "--data-dir", str(data_dir)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    token = json.loads(done.stdout)["token"]
    assert isinstance(token, str)
    return token


def echo_line(host: str, port: int) -> str:
    """A line for the shell that sends a greeting through the echo and prints what comes back."""
    program = (
        "import socket; "
        f's = socket.create_connection(("{host}", {port})); '
        's.sendall(b"hello through portway"); s.shutdown(1); '
        'print(b"".join(iter(lambda: s.recv(4096), b"")).decode())'
    )
    return f"python3 -c {shlex.quote(program)}"


def show(bootstrap: dict[str, str], urls: dict[str, str], upstream: str, log: Path) -> None:
    """Print what is online and what to type."""
    bold, dim, cyan, off = ("\033[1m", "\033[2m", "\033[36m", "\033[0m") if sys.stdout.isatty() else ("",) * 4
    ca = shlex.quote(bootstrap["ca_cert"])
    tcp = urls["tcp"].removeprefix("tcp://")
    host, _, port = urls["echo"].removeprefix("tcp://").rpartition(":")
    print(f"\n{bold}portway is running{off}  {dim}service log: {log}{off}\n")
    for name, url in urls.items():
        target = "a TCP echo on this machine" if name == "echo" else upstream
        print(f"  {name:<6} {cyan}{url}{off} -> {target}")
    print(f"\n{bold}Try, in another terminal:{off}\n")
    print(f"  curl {urls['http']}/")
    print(f"  curl --cacert {ca} {urls['https']}/")
    print(f"  curl http://{tcp}/")
    print(f"  {echo_line(host, int(port))}")
    print(f"\nor open {urls['http']}/ in a browser. Ctrl+C ends everything.\n", flush=True)


async def serve(service: Service, upstream: str | None) -> None:
    """Put the upstream and the echo online and stay until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    target = upstream or f"http://127.0.0.1:{start_page()}"
    echo = f"127.0.0.1:{await start_echo()}"
    boot = service.bootstrap
    http, https = boot["http_url"], boot["https_url"]
    async with portway.Agent(
        authtoken=boot["authtoken"] or new_token(service.data_dir),
        connect_url=boot["connect_url"],
        connect_cas=boot["ca_cert"],
    ) as agent:
        wanted = {
            "http": (target, http.replace("://", "://demo.", 1)),
            "https": (target, https.replace("://", "://demo.", 1)),
            "tcp": (target.removeprefix("http://"), "tcp://"),
            "echo": (echo, "tcp://"),
        }
        urls = {name: str((await agent.forward(to, url=url)).url) for name, (to, url) in wanted.items()}
        show(boot, urls, target, service.log)
        await stop.wait()


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--upstream", help="your own HTTP service: a port, host:port or http:// URL")
    parser.add_argument("--data-dir", type=Path, default=None, help="folder of the service's data")
    arguments = parser.parse_args()
    upstream = arguments.upstream
    if upstream and "://" not in upstream:
        upstream = f"http://localhost:{upstream}" if upstream.isdigit() else f"http://{upstream}"
    service = Service(arguments.data_dir or default_data_dir())
    try:
        asyncio.run(serve(service, upstream))
    except portway.Error as error:
        raise SystemExit(f"{error.message} {error.code}") from error
    finally:
        service.stop()


if __name__ == "__main__":
    main()
