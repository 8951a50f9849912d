"""What the agent's tests share: a fake service, an agent that knows it, an environment without secrets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.fake_service import FakeService

from portway.agent import reconnect
from portway.net.backoff import Backoff


def quick() -> Backoff:
    """Make a back-off that does not wait for long."""
    return Backoff(first=0.01, brisk_cap=0.02, cap=0.02)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what this machine would tell an agent, and let it retry at once."""
    for name in ("PORTWAY_CONNECT_URL", "PORTWAY_AUTHTOKEN", "NGROK_AUTHTOKEN", "PORTWAY_CONNECT_CAS"):
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
