"""Ports for the TCP endpoints of services: each process of tests has a share that no other takes.

All are below those that systems give to outgoing connections, and aside of those that the benchmark uses,
which a test runs.
"""

import itertools
import os
import socket
from contextlib import ExitStack
from random import SystemRandom

SHARES = 4
"""Processes of one run of the tests that get ports of their own; a fifth begins with the first's again."""

LASTING = range(11_000, 21_000)
"""For services that may live as long as the tests do: one range after the other."""

FLEETING = range(30_000, 32_768)
"""For services of one test."""

_share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
_turns = itertools.count(SystemRandom().randrange(1000))  # so that two runs at once seldom meet


def lasting(count: int) -> int:
    """Return the first of this many ports, which come again only after all others."""
    return _low(LASTING, count, next(_turns))


def fleeting(count: int) -> int:
    """Return the first of this many ports, chosen at random."""
    return _low(FLEETING, count, SystemRandom().randrange(1000))


def _low(ports: range, count: int, turn: int) -> int:
    size = len(ports) // SHARES
    return ports.start + _share * size + turn % (size // count) * count


def free(count: int) -> list[int]:
    """Return ports of loopback on which nobody listens now, for who cannot be told to choose one."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in made]
