"""What tests of reserved names and of certificates share: a service with a real domain, two accounts."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from portway.control.certificates.seal import KEY_FILE, Seal
from portway.control.service import accounts
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.store import changes
from portway.errors import Error
from portway.model.entities import Account
from portway.model.plan import Plan

DOMAIN = "portway.example"
PORTS = range(20_000, 20_010)


def configured(
    context: Context, folder: Path, *, domain: str = DOMAIN, plans: Mapping[str, Plan] | None = None
) -> Context:
    """Return the context of a service at a real domain, with limits for some plans."""
    settings = Settings(domain=domain, tcp_host=f"1.tcp.{domain}", tcp_ports=PORTS, plans=plans or {})
    return replace(context, settings=settings, seal=Seal(folder / KEY_FILE))


async def two_accounts(context: Context) -> tuple[Account, Account]:
    """Add two accounts."""
    return await accounts.add(context, "ann", "free"), await accounts.add(context, "ben", "free")


@contextmanager
def refused(code: int) -> Generator[None]:
    """Expect the service's refusal with this code."""
    with pytest.raises(Error) as caught:
        yield
    assert caught.value.code == f"ERR_NGROK_{code}", caught.value


async def noted(context: Context) -> list[tuple[str, str]]:
    """Return every change noted so far: kind and identifier."""
    async with context.database.read() as connection:
        return [(each.kind, each.subject_id) for each in await changes.after(connection, 0)]
