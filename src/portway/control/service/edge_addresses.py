"""Addresses of edges: which may be attached, and what is reserved for them.

Whether an address is free is a question to two tables of the store, of edges and of cloud endpoints, and to
the directory of what agents have online. The last may change while we ask; the data plane, which sees all of
them, then lets an edge wait until the agent has gone.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from portway.control.service.cloud_endpoints import domain_of, public_ports
from portway.control.service.context import Context
from portway.control.store import changes, nouns
from portway.control.store import cloud_endpoints as clouds
from portway.control.store import edges as store
from portway.control.store import reserved_addrs as addrs
from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import edge_endpoints
from portway.control.store.tables import reserved_addrs
from portway.errors import Error
from portway.model.edge import HOSTPORTS, EdgeEndpoint, place_of, read_hostport
from portway.model.ids import new_id
from portway.model.url import Url

_SAME_DOOR: Final = {"https": "tls", "tls": "https"}


async def attach(
    context: Context,
    connection: AsyncConnection,
    account_id: str,
    edge_id: str,
    kind: str,
    hostports: Sequence[str],
) -> list[EdgeEndpoint]:
    """Let an edge have exactly these addresses, in this order; return them. Those that it keeps stay online.

    Raises Error 7104, 7112–7114, 7116–7118, 7120–7122, 7129, 7132, 7133, 7157 or 6027.
    """
    if len(hostports) > HOSTPORTS:
        raise Error(f"An edge has at most {HOSTPORTS} addresses.", 7129)
    port = public_ports(context.settings)["https"]
    wanted: dict[str, tuple[str, Url]] = {}
    for text in hostports:
        url = _read(context, text, kind, port)
        wanted.setdefault(place_of(url), (text, url))
    before = {each.place: each for each in await store.addresses_of(connection, account_id, [edge_id])}
    now = context.now()
    for place, each in before.items():
        if place not in wanted:
            await store.remove_address(connection, each.id)
            await changes.note(connection, changes.EDGE_ENDPOINT, account_id, each.id, now)
    made: list[EdgeEndpoint] = []
    moved = [text for text, _ in wanted.values()] != [each.hostport for each in before.values()]
    for place, (text, url) in wanted.items():
        kept = before.get(place)
        if kept is None:
            kept = await _new(context, connection, account_id, edge_id, text, url)
            await nouns.add(connection, edge_endpoints, store.endpoint_values(kept, len(made)))
            await changes.note(connection, changes.EDGE_ENDPOINT, account_id, kept.id, now)
        elif moved:
            kept = replace(kept, hostport=text)
            await store.move_address(connection, kept, len(made))
        made.append(kept)
    await _one_region(connection, account_id, made)
    return made


def _read(context: Context, text: str, kind: str, port: int) -> Url:
    """Read an address. Raises Error, 7120, 7121 or 7133 where it is one of another kind of edge."""
    host = text.rpartition(":")[0].lower()
    is_address = host == context.settings.tcp_host
    if kind == "tcp" and not is_address:
        read_hostport(text, kind, port)
        raise Error(f"A TCP edge has reserved TCP addresses, which {text[:300]!r} is not.", 7120)
    if kind != "tcp" and is_address:
        code = 7121 if kind == "https" else 7133
        raise Error(f"A {kind} edge has reserved domains; {text[:300]!r} is a TCP address.", code)
    return read_hostport(text, kind, port)


async def _new(
    context: Context, connection: AsyncConnection, account_id: str, edge_id: str, text: str, url: Url
) -> EdgeEndpoint:
    domain_id = addr_id = None
    if url.scheme == "tcp":
        addr_id = await _address(connection, account_id, url)
    else:
        domain_id = await _domain(context, connection, account_id, url)
    await _check_free(context, connection, url)
    now = context.now()
    return EdgeEndpoint(
        id=new_id("ep", context.random, now),
        account_id=account_id,
        edge_id=edge_id,
        hostport=text,
        url=str(url),
        place=place_of(url),
        domain_id=domain_id,
        tcp_addr_id=addr_id,
        created_at=now,
    )


async def _address(connection: AsyncConnection, account_id: str, url: Url) -> str:
    found = await addrs.at(connection, url.host, url.port)
    if found is None:
        raise Error(f"The address {url.hostport} is not reserved.", 7113)
    if found.account_id != account_id:
        raise Error(f"The address {url.hostport} is not reserved for your account.", 7114)
    return found.id


async def _domain(context: Context, connection: AsyncConnection, account_id: str, url: Url) -> str:
    found = await domain_of(context, connection, account_id, url)
    if found is not None:
        return found
    if await clouds.domain_owner(connection, url.host) is not None:
        raise Error(f"The domain {url.host} is not reserved for your account.", 7118)
    raise Error(f"The domain {url.host} is not reserved.", 7117)


async def _check_free(context: Context, connection: AsyncConnection, url: Url) -> None:
    """Refuse an address that something else has. Raises Error 7122, 6027 or 7132."""
    if await store.at(connection, [place_of(url)]):
        raise Error(f"The address {url.hostport} belongs to another edge.", 7122)
    urls = [str(url)]
    if url.scheme in _SAME_DOOR:
        urls.append(str(Url(_SAME_DOOR[url.scheme], url.host, url.port)))
    if await clouds.at(connection, urls):
        raise Error(f"A cloud endpoint is at {url.hostport}.", 6027)
    if any(context.live.at(each) for each in urls):
        raise Error(f"An agent is online at {url.hostport}; stop it first.", 7132)


async def _one_region(connection: AsyncConnection, account_id: str, made: Sequence[EdgeEndpoint]) -> None:
    """Refuse addresses of several regions. Domains have none. Raises Error 7157."""
    ids = [each.tcp_addr_id for each in made if each.tcp_addr_id is not None]
    if len(ids) < 2:
        return
    regions = {
        (await nouns.find(connection, reserved_addrs, account_id, each))  # a handful at most
        for each in ids
    }
    if len({row.region for row in regions if row is not None}) > 1:
        raise Error("The addresses of an edge are all in one region; these are not.", 7157)
