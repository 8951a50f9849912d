"""Tunnels: what agents have online, under the name and with the fields of older clients.

A tunnel is the same thing as an agent's endpoint, and their identifiers share their 27 characters. Those with
labels serve edges: they are no endpoints, and are seen here alone.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import cast

from portway.control.service import online
from portway.control.service.context import Context
from portway.control.store import backends
from portway.control.store.rows import Page
from portway.errors import NotFound
from portway.model.ids import sibling_id
from portway.model.live import LiveEndpoint

Served = Mapping[str, Sequence[str]]
"""Backends by the identifier of the endpoint that a tunnel is."""


async def listed(context: Context, account_id: str, page: Page) -> list[LiveEndpoint]:
    """Return a page of what an account has online, newest first, and one beyond it if there are more.

    ``page.before_id`` is the endpoint's identifier.
    """
    live = await online.directory(context)
    return list(islice(live.endpoints.older(account_id, page.before_id), page.limit + 1))


async def get(context: Context, account_id: str, tunnel_id: str) -> LiveEndpoint:
    """Return one tunnel of an account. Raises NotFound."""
    endpoint_id = sibling_id("ep", tunnel_id)
    endpoint = (await online.directory(context)).endpoints.get(account_id, endpoint_id)
    if endpoint is None:
        raise NotFound
    return endpoint


async def backends_of(context: Context, account_id: str, tunnels: Sequence[LiveEndpoint]) -> Served:
    """Return for each labelled tunnel of an account which tunnel groups it serves."""
    if not any(each.labels for each in tunnels):
        return {}
    async with context.database.read() as connection:
        groups = await backends.groups(connection, account_id)
    labels = {group.id: cast("dict[str, str]", group.spec["labels"]) for group in groups}
    return {
        each.id: [
            group
            for group, wanted in labels.items()
            if wanted and wanted.items() <= dict(each.labels).items()
        ]
        for each in tunnels
    }
