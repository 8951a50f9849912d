"""Reserved TCP addresses: a host and a port that stay an account's until it gives them back.

Neither is chosen: the port is drawn at random, and an address that was given back is drawn again last
of all, so nobody can ask for a certain one.
"""

from typing import Final

from msgspec.structs import asdict

from portway.control.service import plans, shown, texts
from portway.control.service.context import Context
from portway.control.service.noun import Noun
from portway.control.store import changes
from portway.control.store import reserved_addrs as store
from portway.control.store.core import AsyncConnection
from portway.control.store.tables import reserved_addrs
from portway.errors import Error
from portway.model.address import ReservedAddr, choose_port
from portway.model.ids import new_id

_GATE: Final = plans.Gate("addresses", "TCP addresses", reserved_addrs, forbidden=501, full=502, upgrade=508)
_TEXTS: Final = (504, 505)

NOUN: Final = Noun(reserved_addrs, store.read, shown.reserved_addr, changes.RESERVED_ADDR, "tcp_address")
get, listed = NOUN.get, NOUN.listed


async def create(
    context: Context, account_id: str, *, region: str = "", description: str = "", metadata: str = ""
) -> ReservedAddr:
    """Reserve an address. Raises Error 500–505 or 508."""
    async with context.database.write() as connection:
        return await add(
            context, connection, account_id, region=region, description=description, metadata=metadata
        )


async def add(
    context: Context,
    connection: AsyncConnection,
    account_id: str,
    *,
    region: str = "",
    description: str = "",
    metadata: str = "",
) -> ReservedAddr:
    """Reserve an address in a transaction that writes. Raises as ``create`` does."""
    settings = context.settings
    if region not in {"", settings.region}:
        raise Error(f"There is no region {region!r}; this service has {settings.region!r}.", 500)
    texts.check(description, metadata, _TEXTS)
    await plans.check_room(context, connection, account_id, _GATE)
    now = context.now()
    host = settings.tcp_host
    port = choose_port(
        settings.tcp_ports,
        await store.taken(connection, host, now),
        await store.former(connection, host),
        context.random,
    )
    addr = ReservedAddr(
        id=new_id("ra", context.random, now),
        account_id=account_id,
        description=description,
        metadata=metadata,
        created_at=now,
        region=settings.region,
        host=host,
        port=port,
    )
    await NOUN.add(context, connection, asdict(addr), addr)
    return addr


async def update(
    context: Context,
    account_id: str,
    addr_id: str,
    *,
    description: str | None = None,
    metadata: str | None = None,
) -> ReservedAddr:
    """Change the texts of an address; nothing else can change. Raises Error 504–506, NotFound."""
    values = texts.given(description=description, metadata=metadata)
    if not values:
        raise Error("Nothing to change: give a description or metadata.", 506)
    texts.check(description, metadata, _TEXTS)
    async with context.database.write() as connection:
        return await NOUN.change(context, connection, account_id, addr_id, values)


async def delete(context: Context, account_id: str, addr_id: str) -> ReservedAddr:
    """Give an address back, for good. Raises NotFound; Error 251 while a cloud endpoint or an edge has it."""
    async with context.database.write() as connection:
        addr = await NOUN.find(connection, account_id, addr_id)
        if await store.is_used(connection, addr_id):
            raise Error(f"A cloud endpoint or an edge is at {addr.addr}; take it away first.", 251)
        await store.remember(connection, addr.host, addr.port, context.now())
        await NOUN.remove(context, connection, addr)
    return addr
