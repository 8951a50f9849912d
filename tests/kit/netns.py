"""A cable that can be pulled: a network namespace for an agent, joined to ours by a pair of interfaces.

Needs root and iproute2. Nothing outside of the two ends is touched, and all is taken down again.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from random import SystemRandom

from tests.kit.driven import DrivenAgent
from tests.kit.product import Service
from tests.kit.programs import need

NAME = "connect.portway.localhost"


class SpacedAgent(DrivenAgent):
    """An agent that lives in a namespace."""

    def __init__(self, service: Service, space: str, connect_url: str) -> None:
        """Take the namespace, and where the service is from there."""
        super().__init__(service)
        self._environ["PORTWAY_CONNECT_URL"] = connect_url
        self._prefix = ("ip", "netns", "exec", space)


@contextlib.contextmanager
def cable() -> Generator[tuple[str, str]]:
    """Lay one for the time of the context; give the namespace and the address of our end.

    In the namespace our end goes by the name in NAME, which is in a service's certificate.
    """
    need("ip")
    number = SystemRandom().randrange(1 << 16)
    space, ours, theirs = f"pw{number:04x}", f"pwa{number:04x}", f"pwb{number:04x}"
    net = f"10.213.{number & 0xFF}"
    _ip("netns", "add", space)
    hosts = Path("/etc/netns") / space / "hosts"  # what `ip netns exec` shows as /etc/hosts
    try:
        hosts.parent.mkdir(parents=True)
        hosts.write_text(f"127.0.0.1 localhost\n{net}.1 {NAME}\n")
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", space)
        _ip("addr", "add", f"{net}.1/24", "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", space, "addr", "add", f"{net}.2/24", "dev", theirs)
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "link", "set", theirs, "up")
        yield space, f"{net}.1"
    finally:
        _ip("netns", "del", space)  # and with it both ends of the cable
        shutil.rmtree(hosts.parent, ignore_errors=True)


def pull(space: str, *, down: bool) -> None:
    """Take our end down, or up again: then what the agent sends is swallowed, as with a pulled cable."""
    _ip("link", "set", f"pwa{space[2:]}", "down" if down else "up")


def _ip(*command: str) -> None:
    subprocess.run(("ip", *command), check=True, capture_output=True)
