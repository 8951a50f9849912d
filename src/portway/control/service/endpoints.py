"""Endpoints of an account: those that agents have online now, cloud ones and those of edges, in one list.

Agents' endpoints are known from the directory of what is online, the others from the store. All are walked
from the newest identifier, so a page is the merge of walks of its own length.
"""

from collections.abc import Iterable, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Final

import msgspec

from portway.control.live import LiveDirectory
from portway.control.service import online
from portway.control.service.context import Context
from portway.control.service.reserved_domains import service_names
from portway.control.store import cloud_endpoints as store
from portway.control.store import edges, nouns, rows
from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import edge_endpoints
from portway.control.store.rows import Page
from portway.control.store.tables import cloud_endpoints
from portway.errors import NotFound
from portway.model.cloud_endpoint import CloudEndpoint
from portway.model.domain import names_above
from portway.model.edge import EdgeEndpoint
from portway.model.live import LiveEndpoint
from portway.model.url import Url, parse_endpoint_url

POOL_SHOWN: Final = 100
"""Members of a pool that are named beside one of them."""

Either = LiveEndpoint | CloudEndpoint | EdgeEndpoint
"""An endpoint of any kind."""


class Wanted(msgspec.Struct, frozen=True):
    """Which endpoints; () for all. With both, an endpoint must have one of each."""

    ids: Sequence[str] = ()
    urls: Sequence[str] = ()


class EndpointView(msgspec.Struct, frozen=True):
    """An endpoint and what it refers to; "" where it refers to nothing.

    ``principal_id`` is whose it is: the user of the authtoken that the agent came with, else the account.
    ``pool`` are the other endpoints that share its URL.
    """

    endpoint: Either
    url: Url
    domain_id: str
    tcp_addr_id: str
    principal_id: str
    pool: Sequence[str] = ()

    @property
    def id(self) -> str:
        """The endpoint's identifier."""
        return self.endpoint.id


async def listed(
    context: Context, account_id: str, page: Page, wanted: Wanted | None = None
) -> list[EndpointView]:
    """Return a page of an account's endpoints, newest first, and one beyond it if there are more."""
    wanted = wanted or Wanted()
    ids, urls = frozenset(wanted.ids), frozenset(wanted.urls)
    live = await online.directory(context)
    agents = (
        each
        for each in live.endpoints.older(account_id, page.before_id)
        if not each.labels and (not ids or each.id in ids) and (not urls or each.url in urls)
    )
    narrowed = store.named(wanted.ids, wanted.urls)
    async with context.database.read() as connection:
        found = await rows.page(connection, cloud_endpoints, account_id, page, *narrowed)
        narrowed = edges.named(wanted.ids, wanted.urls)
        edged = await rows.page(connection, edge_endpoints, account_id, page, *narrowed)
        stored = map(store.read, found), map(edges.read_endpoint, edged)
        all_of_them = merge(agents, *stored, key=attrgetter("id"), reverse=True)
        return await _seen(context, connection, live, account_id, list(islice(all_of_them, page.limit + 1)))


async def get(context: Context, account_id: str, endpoint_id: str) -> EndpointView:
    """Return one endpoint of an account. Raises NotFound."""
    live = await online.directory(context)
    found = live.endpoints.get(account_id, endpoint_id)
    endpoint: Either | None = None if found is not None and found.labels else found
    async with context.database.read() as connection:
        if endpoint is None:
            row = await nouns.find(connection, cloud_endpoints, account_id, endpoint_id)
            endpoint = store.read(row) if row else None
        if endpoint is None:
            row = await nouns.find(connection, edge_endpoints, account_id, endpoint_id)
            endpoint = edges.read_endpoint(row) if row else None
        if endpoint is None:
            raise NotFound
        return (await _seen(context, connection, live, account_id, [endpoint]))[0]


async def view(context: Context, endpoint: CloudEndpoint) -> EndpointView:
    """Return a cloud endpoint as it is shown."""
    async with context.database.read() as connection:
        live = await online.directory(context)
        return (await _seen(context, connection, live, endpoint.account_id, [endpoint]))[0]


async def _seen(
    context: Context,
    connection: AsyncConnection,
    live: LiveDirectory,
    account_id: str,
    found: Sequence[Either],
) -> list[EndpointView]:
    """Add to endpoints of one account what they refer to: four queries, however many there are."""
    names = service_names(context.settings)
    urls = {each.url: parse_endpoint_url(each.url) for each in found}
    above = {url.host: [url.host, *names_above(url.host, names)] for url in urls.values()}
    domains = await store.domains(connection, account_id, {name for each in above.values() for name in each})
    places = {(url.host, url.port) for url in urls.values() if url.scheme == "tcp"}
    addresses = await store.addresses(connection, account_id, places) if places else {}
    credentials = _credentials(live, found)
    owners = await store.owners(connection, account_id, set(credentials.values()))
    clouds = await store.at(connection, urls)
    mates = {address: _mates(live, clouds, address, account_id) for address in urls}
    seen: list[EndpointView] = []
    for each in found:
        url = urls[each.url]
        owner = owners.get(credentials.get(each.id, ""), "")
        if isinstance(each, CloudEndpoint | EdgeEndpoint):
            domain, address = each.domain_id or "", each.tcp_addr_id or ""
        elif url.scheme == "tcp":
            domain, address = "", addresses.get((url.host, url.port), "")
        else:
            domain, address = next((domains[name] for name in above[url.host] if name in domains), ""), ""
        pool = [other.id for other in mates[each.url] if other.id != each.id][:POOL_SHOWN]
        seen.append(EndpointView(each, url, domain, address, owner or account_id, pool))
    return seen


def _mates(live: LiveDirectory, clouds: Sequence[CloudEndpoint], url: str, account_id: str) -> list[Either]:
    """Return the account's endpoints that share a URL, as many as are shown and one of them.

    Others may have the same one: internal URLs are each account's own. A URL tells its binding.
    """
    all_of_them: Iterable[Either] = (*live.at(url), *(each for each in clouds if each.url == url))
    return list(islice((each for each in all_of_them if each.account_id == account_id), POOL_SHOWN + 1))


def _credentials(live: LiveDirectory, found: Sequence[Either]) -> dict[str, str]:
    """Return the authtokens with which the agents of endpoints came."""
    credentials: dict[str, str] = {}
    for each in found:
        session = live.sessions.find(each.session_id) if isinstance(each, LiveEndpoint) else None
        if session is not None:
            credentials[each.id] = session.credential_id
    return credentials
