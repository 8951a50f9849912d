"""What the operator of a service does for its accounts: reserve and give back names and addresses, and
lift restrictions by address.

These are the accounts' own use cases, with the account told by name, and things told by what they are
called. Nothing here is reachable through the API.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from portway.control.service import accounts, ip_restrictions, reserved_addrs, reserved_domains
from portway.control.service.context import Context
from portway.control.service.reserved_domains import Wish
from portway.control.store import ip_tables, nouns, tables
from portway.control.store import reserved_addrs as addr_store
from portway.control.store import reserved_domains as domain_store
from portway.control.store.rows import PAGE_LIMIT, Page
from portway.errors import NotFound
from portway.model.address import ReservedAddr, split_hostport
from portway.model.domain import ReservedDomain
from portway.model.ip import IpRestriction


class _Known(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Known)


async def add_address(context: Context, account: str | None = None, description: str = "") -> ReservedAddr:
    """Reserve a TCP address for an account (identifier or name; None: the only one). Raises Error."""
    owner = await _account(context, account)
    return await reserved_addrs.create(context, owner, description=description)


async def addresses(context: Context, account: str | None = None) -> list[ReservedAddr]:
    """Return the TCP addresses of one account or of all, newest first."""
    return await _all(context, account, reserved_addrs.listed)


async def remove_address(context: Context, key: str) -> ReservedAddr:
    """Give back a TCP address, told by identifier or ``host:port``, whoever has it. Raises Error."""
    host, port = split_hostport(key)
    async with context.database.read() as connection:
        found = await addr_store.at(connection, host, port)
        addr_id = found.id if found else key
        owner = await nouns.owner(connection, tables.reserved_addrs, addr_id)
    if owner is None:
        raise NotFound(f"There is no TCP address {key!r}.")
    return await reserved_addrs.delete(context, owner, addr_id)


async def add_domain(
    context: Context, name: str, account: str | None = None, description: str = ""
) -> ReservedDomain:
    """Reserve a name for an account (identifier or name; None: the only one). Raises Error."""
    owner = await _account(context, account)
    return await reserved_domains.create(context, owner, name, Wish(description=description))


async def domains(context: Context, account: str | None = None) -> list[ReservedDomain]:
    """Return the reserved domains of one account or of all, newest first."""
    return await _all(context, account, reserved_domains.listed)


async def remove_domain(context: Context, key: str) -> ReservedDomain:
    """Give back a domain, told by identifier or name, whoever has it. Raises Error."""
    async with context.database.read() as connection:
        named = await domain_store.named(connection, [key.lower().removesuffix(".")])
        domain_id = named[0].id if named else key
        owner = await nouns.owner(connection, tables.reserved_domains, domain_id)
    if owner is None:
        raise NotFound(f"There is no reserved domain {key!r}.")
    return await reserved_domains.delete(context, owner, domain_id)


async def restrictions(context: Context, account: str | None = None) -> list[IpRestriction]:
    """Return the IP restrictions of one account or of all, newest first."""
    return await _all(context, account, ip_restrictions.listed)


async def lift_restriction(context: Context, key: str) -> IpRestriction:
    """Delete an IP restriction, told by identifier, whoever has it. Raises Error.

    It works on the store, so who is locked out of the API is not locked out of this.
    """
    async with context.database.read() as connection:
        owner = await nouns.owner(connection, ip_tables.ip_restrictions, key)
    if owner is None:
        raise NotFound(f"There is no IP restriction {key!r}.")
    gone = await ip_restrictions.get(context, owner, key)
    await ip_restrictions.delete(context, owner, key)
    return gone


async def _account(context: Context, account: str | None) -> str:
    async with context.database.read() as connection:
        return (await accounts.resolve(connection, account)).id


async def _all(
    context: Context,
    account: str | None,
    listed: Callable[[Context, str, Page], Awaitable[list[T]]],
) -> list[T]:
    """Return every page of one account or of all."""
    owners = (
        [each.id for each in await accounts.listed(context)]
        if account is None
        else [await _account(context, account)]
    )
    found: list[T] = []
    for owner in owners:
        before = ""
        while True:
            rows = await listed(context, owner, Page(PAGE_LIMIT, before))
            found += rows[:PAGE_LIMIT]
            if len(rows) <= PAGE_LIMIT:
                break
            before = rows[PAGE_LIMIT - 1].id
    return sorted(found, key=lambda each: each.id, reverse=True)
