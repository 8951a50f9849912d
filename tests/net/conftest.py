"""Everything in `portway.net` is tested on both event loops."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.loops import factories


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every async test of this folder on uvloop, where it is installed, and on asyncio."""
    return factories("asyncio", "uvloop")


@pytest.fixture(scope="session")
def certs() -> Certs:
    """A CA and contexts signed by it."""
    return make_certs()
