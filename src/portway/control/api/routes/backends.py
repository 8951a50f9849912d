"""/backends/…: who serves the visitors of edges, five kinds."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.modules import takes
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Ref, Timestamp, timestamp
from portway.control.service import backends
from portway.control.service.context import Context
from portway.control.store.rows import Page
from portway.model.edge import BACKEND_PREFIXES, Backend

NO_FILTER: Final = None


class _BackendAnswer(Answer):
    """A backend."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str


class TunnelGroupAnswer(_BackendAnswer):
    """Labelled tunnels that have all of its labels; ``tunnels`` are those that are online."""

    labels: dict[str, str]
    tunnels: list[Ref]


class WeightedAnswer(_BackendAnswer):
    """Other backends, drawn by weight."""

    backends: dict[str, int]


class FailoverAnswer(_BackendAnswer):
    """Other backends, the first of which that can serve does."""

    backends: list[str]


class HttpResponseAnswer(_BackendAnswer):
    """An answer that is always the same."""

    body: str
    headers: dict[str, str]
    status_code: int


class StaticTls(Answer):
    """Whether the address is spoken to over TLS."""

    enabled: bool


class StaticAnswer(_BackendAnswer):
    """An address that the service dials itself."""

    address: str
    tls: StaticTls


class _BackendGiven(Given):
    """What may be said of a backend. In an update an empty own field leaves it as it is."""

    description: Description = None
    metadata: Metadata = None


class TunnelGroupGiven(_BackendGiven):
    """What may be said of a tunnel group."""

    labels: dict[str, str] | None = Field(None, description="Labels, all of which a tunnel must have.")


class WeightedGiven(_BackendGiven):
    """What may be said of a weighted backend."""

    backends: dict[str, int] | None = Field(None, description="Backends with weights from 0 to 10000.")


class FailoverGiven(_BackendGiven):
    """What may be said of a failover backend."""

    backends: list[str] | None = Field(None, description="Backends, the preferred first.")


class HttpResponseGiven(_BackendGiven):
    """What may be said of an HTTP response."""

    body: str | None = Field(None, description="The body.")
    headers: dict[str, str] | None = Field(None, description="Headers, by name.")
    status_code: int | None = Field(None, description="200 to 599; 200 if it is not given.")


class StaticTlsGiven(Given):
    """Whether the address is spoken to over TLS."""

    enabled: bool | None = None


class StaticGiven(_BackendGiven):
    """What may be said of a static backend."""

    address: str | None = Field(None, description="host:port")
    tls: StaticTlsGiven | None = None


class BackendList(Answer):
    """A page of backends."""

    uri: str
    next_page_uri: str | None


class TunnelGroupList(BackendList):
    """A page of tunnel groups."""

    backends: list[TunnelGroupAnswer]


class WeightedList(BackendList):
    """A page of weighted backends."""

    backends: list[WeightedAnswer]


class FailoverList(BackendList):
    """A page of failover backends."""

    backends: list[FailoverAnswer]


class HttpResponseList(BackendList):
    """A page of HTTP responses."""

    backends: list[HttpResponseAnswer]


class StaticList(BackendList):
    """A page of static backends."""

    backends: list[StaticAnswer]


_KINDS: Final[Mapping[str, tuple[type[_BackendAnswer], type[_BackendGiven], type[BackendList]]]] = {
    "failover": (FailoverAnswer, FailoverGiven, FailoverList),
    "http_response": (HttpResponseAnswer, HttpResponseGiven, HttpResponseList),
    "static": (StaticAnswer, StaticGiven, StaticList),
    "tunnel_group": (TunnelGroupAnswer, TunnelGroupGiven, TunnelGroupList),
    "weighted": (WeightedAnswer, WeightedGiven, WeightedList),
}


class _Row:
    """A backend with the tunnels that serve it."""

    def __init__(self, backend: Backend, tunnels: Sequence[str]) -> None:
        self.backend = backend
        self.tunnels = tunnels
        self.id = backend.id


def _router(kind: str) -> APIRouter:
    """Make the routes of one kind of backend."""
    router = APIRouter(prefix=f"/backends/{kind}", tags=[f"backends_{kind}"])
    answer, given_model, list_model = _KINDS[kind]
    backend_id = Depends(path_id(BACKEND_PREFIXES[kind]))

    @router.post("", name="create", status_code=201, response_model=answer)
    @takes(given_model)
    async def create(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        given: _BackendGiven,
    ) -> BaseModel:
        """Make a backend."""
        made = await backends.create(
            context,
            who.account_id,
            kind,
            _spec(given),
            description=given.description or "",
            metadata=given.metadata or "",
        )
        return _shown(context, await _row(context, made))

    @router.patch("/{id}", name="update", response_model=answer)
    @takes(given_model)
    async def update(  # pyright: ignore[reportUnusedFunction]
        who: Who,
        context: Ctx,
        given: _BackendGiven,
        id: str = backend_id,  # noqa: A002
    ) -> BaseModel:
        """Change a backend; the next visitor is served by what it is then."""
        said = {name: value for name, value in _spec(given).items() if value not in ("", 0, [], {})}
        changed = await backends.update(
            context,
            who.account_id,
            kind,
            id,
            said,
            description=given.description,
            metadata=given.metadata,
        )
        return _shown(context, await _row(context, changed))

    async def page(context: Context, account_id: str, page: Page) -> list[_Row]:
        return [await _row(context, each) for each in await backends.listed(context, account_id, kind, page)]

    async def one(context: Context, account_id: str, backend_id: str) -> _Row:
        return await _row(context, await backends.get(context, account_id, kind, backend_id))

    common = Common[_Row](router, BACKEND_PREFIXES[kind], answer, _shown)
    common.list(list_model, "backends", NO_FILTER, page, "List the backends of the account.")
    common.get(one, "Return one backend.")
    common.delete(
        lambda context, account_id, id_: backends.delete(context, account_id, kind, id_),
        "Delete a backend that nothing names.",
    )
    return router


async def _row(context: Context, backend: Backend) -> _Row:
    return _Row(backend, await backends.tunnels_of(context, backend))


def _spec(given: BaseModel) -> dict[str, Any]:
    """Return a kind's own fields."""
    return given.model_dump(exclude_none=True, exclude={"description", "metadata"})


def _shown(context: Context, row: _Row) -> Answer:
    each, api_url = row.backend, context.settings.api_url
    told: dict[str, Any] = dict(each.spec)
    if each.kind == "tunnel_group":
        told["tunnels"] = [Ref(id=tunnel, uri=f"{api_url}/tunnels/{tunnel}") for tunnel in row.tunnels]
    elif each.kind == "static":
        told["tls"] = StaticTls(**cast("dict[str, bool]", told["tls"]))
    return _KINDS[each.kind][0](
        id=each.id,
        uri=f"{api_url}/backends/{each.kind}/{each.id}",
        created_at=timestamp(each.created_at),
        description=each.description,
        metadata=each.metadata,
        **told,
    )


ROUTERS: Final[Sequence[APIRouter]] = tuple(_router(kind) for kind in _KINDS)
"""One for each kind."""
