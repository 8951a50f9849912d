"""Everything in `portway.net` is tested on both event loops."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.kit.certs import Certs, make_certs


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every async test of this folder on uvloop, where it is installed, and on asyncio."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        pass
    else:
        found["uvloop"] = uvloop.new_event_loop
    return found


@pytest.fixture(scope="session")
def certs() -> Certs:
    """A CA and contexts signed by it."""
    return make_certs()
