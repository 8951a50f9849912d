"""An account with what edges need, for tests of the control plane's use cases."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from portway.control.service import accounts, reserved_addrs
from portway.control.service.context import Context
from tests.kit.names import configured
from tests.kit.store import opened


@asynccontextmanager
async def with_account(folder: Path) -> AsyncGenerator[tuple[Context, str]]:
    """Open a store with one account; give its context and the account's identifier."""
    async with opened(folder) as bare:
        context = configured(bare, folder)
        yield context, (await accounts.add(context, "ann")).id


async def address(context: Context, account_id: str) -> str:
    """Reserve a TCP address; return host and port."""
    return (await reserved_addrs.create(context, account_id)).addr
