"""What the agent's tests share: a fake service, an agent that knows it, an environment without secrets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.fake_service import FakeService
from tests.kit.loops import factories

from portway.agent import reconnect
from portway.net.backoff import Backoff


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    """Run the tests of links on both event loops: proxies put a link on the loop's own TLS."""
    if item.path.name != "test_link.py":
        return None
    return factories("asyncio", "uvloop")


def quick() -> Backoff:
    """Make a back-off that does not wait for long."""
    return Backoff(first=0.01, brisk_cap=0.02, cap=0.02)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what this machine would tell an agent, and let it retry at once."""
    for name in (
        "PORTWAY_CONNECT_URL",
        "PORTWAY_AUTHTOKEN",
        "NGROK_AUTHTOKEN",
        "PORTWAY_CONNECT_CAS",
        "PORTWAY_PROXY_URL",
        "http_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(reconnect, "Backoff", quick)


@pytest.fixture(scope="session")
def certs() -> Certs:
    """Make one authority for all."""
    return make_certs()


@pytest.fixture
async def service(certs: Certs) -> AsyncIterator[FakeService]:
    """Run a fake service."""
    service = FakeService(certs)
    await service.start()
    yield service
    await service.close()
