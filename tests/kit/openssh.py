"""Stock OpenSSH through the SSH gateway of a whole service."""

import contextlib
import os
import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tests.kit.eventually import eventually
from tests.kit.product import Service, running_service
from tests.kit.programs import need
from tests.kit.rest import Rest


@contextlib.contextmanager
def gateway(folder: Path, *flags: str) -> Generator[Service]:
    """Run a service with an SSH gateway, whose first account has registered the key ``id``."""
    for name in ("id", "stranger"):
        subprocess.run([need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with running_service(folder, "--listen-ssh", "127.0.0.1:0", *flags) as service:
        key = (folder / "id.pub").read_text().strip()
        Rest(service).done("POST", "/ssh_credentials", {"public_key": key})
        yield service


def gateway_port(service: Service) -> str:
    """Return the port that SSH clients connect to."""
    return (service.data / "ssh_known_hosts").read_text().split("]:")[1].split(",")[0]


class Ssh:
    """One run of ssh, its output kept in a file."""

    def __init__(self, service: Service, *words: str, key: str = "id", batch: bool = True) -> None:
        """Run it; ``words`` is everything but port, keys and host keys."""
        known = service.data / "ssh_known_hosts"
        self.file = service.folder / f"ssh-{os.urandom(4).hex()}.log"
        options = [
            *("-F", "none", "-p", gateway_port(service), "-i", str(service.folder / key)),
            *("-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={known}"),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"BatchMode={'yes' if batch else 'no'}"),
        ]
        with self.file.open("wb") as out:
            self.process = subprocess.Popen(
                [need("ssh"), *options, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    @property
    def said(self) -> str:
        """All that it has printed."""
        return self.file.read_text()

    def url(self) -> str:
        """Wait until it is online; return where."""

        def look() -> str:
            assert self.process.poll() is None, self.said
            found = re.search(r"Forwarding +(\S+)", self.said)
            return found.group(1) if found else ""

        return eventually(look, "ssh is online", timeout=20)

    def status(self) -> int:
        """Wait for its end; return the status."""
        return self.process.wait(20)


@contextlib.contextmanager
def ssh(service: Service, *words: str, **options: Any) -> Generator[Ssh]:
    """Run ssh for the time of the context."""
    run = Ssh(service, *words, **options)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.wait()
