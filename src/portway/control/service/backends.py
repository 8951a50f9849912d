"""Backends of edges: who serves their visitors.

A backend that others name cannot be deleted. Which kinds may name which makes circles impossible: a weighted
one names no weighted one, and a failover names neither.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from msgspec.structs import replace

from portway.control.service import online, texts
from portway.control.service.context import Context
from portway.control.store import backends as store
from portway.control.store import changes, nouns, rows
from portway.control.store.core import AsyncConnection
from portway.control.store.edge_tables import backends
from portway.control.store.rows import Page
from portway.errors import Error, NotFound
from portway.model.backend_checks import check_spec
from portway.model.edge import BACKEND_PREFIXES, Backend
from portway.model.ids import new_id, sibling_id

_TEXTS: Final = (6503, 6504)
_FORBIDDEN: Final = {"weighted": ({"weighted"}, 6524), "failover": ({"weighted", "failover"}, 6525)}
"""Kinds that a kind may not name, and the code."""

Spec = Mapping[str, Any]


async def create(
    context: Context, account_id: str, kind: str, spec: Spec, *, description: str = "", metadata: str = ""
) -> Backend:
    """Make a backend. Raises Error 6501–6531."""
    async with context.database.write() as connection:
        return await add(
            context, connection, account_id, kind, spec, description=description, metadata=metadata
        )


async def add(
    context: Context,
    connection: AsyncConnection,
    account_id: str,
    kind: str,
    spec: Spec,
    *,
    description: str = "",
    metadata: str = "",
) -> Backend:
    """Make a backend in a transaction that writes. Raises as ``create`` does."""
    texts.check(description, metadata, _TEXTS)
    now = context.now()
    made = Backend(
        id=new_id(BACKEND_PREFIXES[kind], context.random, now),
        account_id=account_id,
        kind=kind,
        description=description,
        metadata=metadata,
        created_at=now,
        spec=await _checked(connection, account_id, kind, spec),
    )
    await nouns.add(connection, backends, store.values(made))
    await changes.note(connection, changes.BACKEND, account_id, made.id, now)
    return made


async def get(context: Context, account_id: str, kind: str, backend_id: str) -> Backend:
    """Return a backend of an account. Raises NotFound."""
    async with context.database.read() as connection:
        return await find(connection, account_id, kind, backend_id)


async def listed(context: Context, account_id: str, kind: str, page: Page) -> list[Backend]:
    """Return a page of an account's backends of a kind, newest first, and one beyond it if there are more."""
    async with context.database.read() as connection:
        found = await rows.page(connection, backends, account_id, page, backends.c.kind == kind)
    return [store.read(row) for row in found]


async def update(
    context: Context,
    account_id: str,
    kind: str,
    backend_id: str,
    spec: Spec,
    *,
    description: str | None = None,
    metadata: str | None = None,
) -> Backend:
    """Change a backend; what ``spec`` does not name stays. Raises Error as create does, NotFound."""
    texts.check(description, metadata, _TEXTS)
    async with context.database.write() as connection:
        before = await find(connection, account_id, kind, backend_id)
        changed = replace(
            before,
            **texts.given(description=description, metadata=metadata),
            spec=await _checked(connection, account_id, kind, {**before.spec, **spec}),
        )
        if changed.spec != before.spec:
            await _check_users(connection, changed)
        await nouns.change(connection, backends, account_id, backend_id, store.values(changed))
        await changes.note(connection, changes.BACKEND, account_id, backend_id, context.now())
    return changed


async def delete(context: Context, account_id: str, kind: str, backend_id: str) -> Backend:
    """Delete a backend. Raises NotFound; Error 6502 while something names it."""
    async with context.database.write() as connection:
        found = await find(connection, account_id, kind, backend_id)
        if await store.is_used(connection, account_id, backend_id):
            raise Error("An edge, a route or another backend still uses this backend.", 6502)
        await nouns.remove(connection, backends, account_id, backend_id)
        await changes.note(connection, changes.BACKEND, account_id, backend_id, context.now())
    return found


async def tunnels_of(context: Context, backend: Backend) -> list[str]:
    """Return the identifiers of the tunnels that serve a tunnel group now."""
    labels = cast("dict[str, str]", backend.spec.get("labels") or {})
    if not labels:
        return []
    live = await online.directory(context)
    return [
        sibling_id("tn", each.id)
        for each in live.endpoints.older(backend.account_id)
        if each.labels and labels.items() <= dict(each.labels).items()
    ]


async def find(connection: AsyncConnection, account_id: str, kind: str, backend_id: str) -> Backend:
    """Return a backend of an account. Raises NotFound."""
    row = await nouns.find(connection, backends, account_id, backend_id)
    if row is None or row.kind != kind:
        raise NotFound
    return store.read(row)


async def check_used(
    connection: AsyncConnection, account_id: str, backend_id: str, *, http: bool = True
) -> None:
    """Make sure that an edge may name a backend. Raises Error 6501, 6526 or 6527."""
    if backend_id.partition("_")[0] not in BACKEND_PREFIXES.values():
        raise Error(f"{backend_id[:80]!r} is not the identifier of a backend.", 6526)
    kind = (await store.kinds(connection, account_id, [backend_id])).get(backend_id)
    if kind is None:
        raise Error(f"There is no backend {backend_id!r}.", 6501)
    if not http and await store.answers(connection, account_id, [backend_id]):
        raise Error("A backend that answers over HTTP serves https edges only.", 6527)


async def _check_users(connection: AsyncConnection, backend: Backend) -> None:
    """Make sure that no edge without HTTP comes to an answer over HTTP. Raises Error 6527."""
    children = cast("Mapping[str, object] | list[str]", backend.spec.get("backends") or ())
    if (
        children
        and await store.answers(connection, backend.account_id, list(children))
        and await store.serves_raw(connection, backend.account_id, backend.id)
    ):
        raise Error("A tcp or tls edge uses this backend: nothing behind it may answer over HTTP.", 6527)


async def _checked(connection: AsyncConnection, account_id: str, kind: str, spec: Spec) -> dict[str, Any]:
    """Return the fields of a backend as they are kept, checked."""
    made = check_spec(kind, spec)
    if kind in _FORBIDDEN:
        children = cast("Mapping[str, object] | list[str]", made["backends"])
        forbidden, code = _FORBIDDEN[kind]
        known = await store.kinds(connection, account_id, list(children))
        for child in children:
            if child.partition("_")[0] not in BACKEND_PREFIXES.values():
                raise Error(f"{child[:80]!r} is not the identifier of a backend.", 6526)
            if child not in known:
                raise Error(f"There is no backend {child!r}.", 6501)
            if known[child] in forbidden:
                raise Error(f"A {kind} backend may not name a {known[child]} one: {child!r}.", code)
    return made
