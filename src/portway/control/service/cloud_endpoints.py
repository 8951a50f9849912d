"""Cloud endpoints: made, changed and deleted here, answered by the data plane without an agent.

Whether a URL is free is a question to two tables: the store's, of cloud endpoints, and the directory of
what agents have online. The second may change while we ask; the data plane, which sees both, has the last
word then and serves whoever came first.
"""

from collections.abc import Sequence
from typing import Final, cast

import msgspec
from msgspec.structs import replace

from portway.control.service import plans, policies, texts
from portway.control.service.context import Context
from portway.control.service.reserved_domains import service_names
from portway.control.service.settings import Settings
from portway.control.store import changes, edges, nouns
from portway.control.store import cloud_endpoints as store
from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import edge_endpoints
from portway.control.store.tables import cloud_endpoints
from portway.errors import Error, NotFound
from portway.model.cloud_endpoint import CloudEndpoint, parse_binding, parse_url
from portway.model.domain import names_above
from portway.model.edge import place_of
from portway.model.ids import new_id
from portway.model.url import Binding, Url

_TEXTS: Final = (18012, 18013)
_GATE: Final = plans.Gate("cloud_endpoints", "cloud endpoints", cloud_endpoints, 18010, 18010, 18010)
_SAME_DOOR: Final = {"https": "tls", "tls": "https"}
"""Schemes whose endpoints share a listener and are told apart by name alone: a name has one of them."""


class Wish(msgspec.Struct, frozen=True):
    """What may be said of a cloud endpoint; None: not said. ``type`` is for create, and "cloud" or ""."""

    url: str | None = None
    type: str = ""
    bindings: Sequence[str] | None = None
    traffic_policy: str | None = None
    description: str | None = None
    metadata: str | None = None
    pooling_enabled: bool | None = None


def public_ports(settings: Settings) -> dict[str, int]:
    """Return the port that visitors use for each scheme."""
    return {"http": settings.http_port, "https": settings.https_port, "tls": settings.https_port}


async def create(context: Context, account_id: str, wish: Wish) -> CloudEndpoint:
    """Make a cloud endpoint. Raises Error 248, 9029, 15005–15010, 18001–18023 or its policy's."""
    if wish.type not in {"", "cloud"}:
        raise Error(f"Endpoints of type {wish.type!r} are made by agents; this makes cloud ones.", 248)
    if not wish.url:
        raise Error("The field 'url' is missing.", 18015)
    policy = wish.traffic_policy or ""
    _check(wish, policy)
    binding = parse_binding(wish.bindings or ())
    url, bound = parse_url(wish.url, binding, public_ports(context.settings))
    await policies.check(context, account_id, url, policy)
    async with context.database.write() as connection:
        await plans.check_room(context, connection, account_id, _GATE)
        now = context.now()
        made = CloudEndpoint(
            id=new_id("ep", context.random, now),
            account_id=account_id,
            url=str(url),
            binding=bound,
            pooling_enabled=bool(wish.pooling_enabled),
            traffic_policy=policy,
            description=wish.description or "",
            metadata=wish.metadata or "",
            created_at=now,
            updated_at=now,
        )
        made = await _placed(context, connection, made, url)
        await nouns.add(connection, cloud_endpoints, store.values(made))
        await changes.note(connection, changes.CLOUD_ENDPOINT, account_id, made.id, now)
    return made


async def update(context: Context, account_id: str, endpoint_id: str, wish: Wish) -> CloudEndpoint:
    """Change a cloud endpoint; it stays online meanwhile.

    Raises NotFound; Error 248 for an agent's, 18004 when nothing is given, and what ``create`` raises.
    """
    if wish == Wish():
        raise Error("Nothing to change is given.", 18004)
    _check(wish, wish.traffic_policy)
    async with context.database.read() as connection:
        known = await _find(context, connection, account_id, endpoint_id)
    url, binding = _moved(context.settings, known, wish)
    if wish.traffic_policy is not None or binding != known.binding:
        await policies.check(context, account_id, url, wish.traffic_policy or known.traffic_policy)
    async with context.database.write() as connection:
        before = await _find(context, connection, account_id, endpoint_id)
        url, binding = _moved(context.settings, before, wish)
        now = context.now()
        changed = replace(
            before,
            **texts.given(
                description=wish.description, metadata=wish.metadata, traffic_policy=wish.traffic_policy
            ),
            url=str(url),
            binding=binding,
            pooling_enabled=(
                before.pooling_enabled if wish.pooling_enabled is None else wish.pooling_enabled
            ),
            updated_at=now,
        )
        if _place(changed) != _place(before):
            changed = await _placed(context, connection, changed, url)
        await nouns.change(connection, cloud_endpoints, account_id, endpoint_id, store.values(changed))
        await changes.note(connection, changes.CLOUD_ENDPOINT, account_id, endpoint_id, now)
    return changed


async def delete(context: Context, account_id: str, endpoint_id: str) -> None:
    """Take a cloud endpoint away. Raises NotFound; Error 248 for an agent's."""
    async with context.database.write() as connection:
        await _find(context, connection, account_id, endpoint_id)
        await nouns.remove(connection, cloud_endpoints, account_id, endpoint_id)
        await changes.note(connection, changes.CLOUD_ENDPOINT, account_id, endpoint_id, context.now())


async def _find(
    context: Context, connection: AsyncConnection, account_id: str, endpoint_id: str
) -> CloudEndpoint:
    row = await nouns.find(connection, cloud_endpoints, account_id, endpoint_id)
    if row is not None:
        return store.read(row)
    if await nouns.find(connection, edge_endpoints, account_id, endpoint_id) is not None:
        raise Error("This endpoint is an edge's address: change the edge.", 248)
    if context.live.endpoints.get(account_id, endpoint_id) is not None:
        raise Error("This endpoint is its agent's: only the agent can change or end it.", 248)
    raise NotFound


def _place(endpoint: CloudEndpoint) -> tuple[str, str, bool]:
    """Return what decides whether an endpoint may be where it is."""
    return endpoint.url, endpoint.binding, endpoint.pooling_enabled


def _moved(settings: Settings, before: CloudEndpoint, wish: Wish) -> tuple[Url, Binding]:
    """Return where an endpoint shall be. Raises Error 18005 when its scheme would change."""
    asked = parse_binding(wish.bindings or ())
    binding = asked or (None if wish.url else cast("Binding", before.binding))
    url, bound = parse_url(wish.url or before.url, binding, public_ports(settings))
    scheme = before.url.partition(":")[0]
    if url.scheme != scheme:
        raise Error(f"The scheme of an endpoint cannot change; this one is {scheme}://.", 18005)
    return url, bound


def _check(wish: Wish, policy: str | None) -> None:
    """Check texts. Raises Error 18011, 18012 or 18013."""
    texts.check(wish.description, wish.metadata, _TEXTS)
    if policy is not None and not policy.strip():
        raise Error("A cloud endpoint needs a traffic policy: it has no agent to answer for it.", 18011)


# Where an endpoint may be.


async def _placed(
    context: Context, connection: AsyncConnection, endpoint: CloudEndpoint, url: Url
) -> CloudEndpoint:
    """Return the endpoint with what is reserved for it. Raises Error 18006 to 18020."""
    domain_id = tcp_addr_id = None
    if endpoint.binding == "public":
        if url.scheme == "tcp":
            found = await store.addresses(connection, endpoint.account_id, [(url.host, url.port)])
            tcp_addr_id = found.get((url.host, url.port))
        else:
            domain_id = await domain_of(context, connection, endpoint.account_id, url)
        if domain_id is None and tcp_addr_id is None:
            what = "TCP address" if url.scheme == "tcp" else "domain"
            raise Error(f"No {what} that this account has reserved matches {endpoint.url}.", 18006)
    await _check_free(context, connection, endpoint, url)
    return replace(endpoint, domain_id=domain_id, tcp_addr_id=tcp_addr_id)


async def domain_of(context: Context, connection: AsyncConnection, account_id: str, url: Url) -> str | None:
    """Return the nearest reserved name that covers a URL. A wildcard must be reserved as it stands."""
    names = [url.host]
    if not url.is_wildcard:
        names += names_above(url.host, service_names(context.settings))
    found = await store.domains(connection, account_id, names)
    return next((found[name] for name in names if name in found), None)


async def _check_free(
    context: Context, connection: AsyncConnection, endpoint: CloudEndpoint, url: Url
) -> None:
    """Refuse a URL that is in use, unless all who use it and this one share it. Raises Error 6027…18020."""
    same_door = endpoint.binding == "public" and url.scheme in _SAME_DOOR
    twin = str(Url(_SAME_DOOR[url.scheme], url.host, url.port)) if same_door else ""
    urls = {endpoint.url, twin} - {""}
    if endpoint.binding == "public" and await edges.at(connection, [place_of(url)]):
        raise Error(f"{endpoint.url} is an address of an edge.", 6027)
    clouds = [each for each in await store.at(connection, urls) if each.id != endpoint.id]
    agents = [each for address in urls for each in context.live.at(address)]
    others = [
        (each.url == endpoint.url and each.pooling_enabled, isinstance(each, CloudEndpoint))
        for each in (*clouds, *agents)
        if each.binding == endpoint.binding
        and (endpoint.binding == "public" or each.account_id == endpoint.account_id)
    ]
    if not others:
        return
    if endpoint.pooling_enabled and all(poolable for poolable, _ in others):
        most = (await plans.plan_of(context, connection, endpoint.account_id)).pool_size
        if most is not None and len(others) >= most:
            raise Error(f"The plan of this account allows pools of {most} endpoints.", 18020)
        return
    if endpoint.pooling_enabled:
        raise Error(f"The endpoint that is at {endpoint.url} already does not allow pooling.", 18016)
    if any(is_cloud and not poolable for poolable, is_cloud in others):
        raise Error(f"There is a cloud endpoint at {endpoint.url} already.", 18009)
    raise Error(f"{endpoint.url} is in use already; to share it, allow pooling on every endpoint.", 18017)
