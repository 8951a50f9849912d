"""The REST API as one ASGI application. How to add a noun:

1. Its use cases, in ``control/service/<noun>.py``: plain async functions that take a Context and an
   account id, and raise Error (with the code of the cause) or NotFound. Every query has the account in
   its WHERE, so a foreign identifier is answered exactly as an absent one. What nouns share is in
   ``control/service/noun.py``.
2. ``control/api/routes/<noun>.py``, after the model of ``routes/credentials.py``::

       router = APIRouter(prefix="/<noun>", tags=["<noun>"])

   with an Answer (every documented field, null, "" or [] when unset), a Given for create, one for
   update, and routes named create, list, get, update, delete: they make the operation ids. A route
   function reads the request, does one use case, shows what came of it. List, get and delete are declared
   (``common.py``). ``Who`` is the caller, ``Ctx`` the use cases' context, ``Listing`` a page of a list,
   ``path_id("cr")`` an identifier in the path.
   Rules that a schema cannot say with the right code belong into the use case, not into the schema.
3. Its router in :data:`ROUTES`.

All else is done before a route runs, by the gate, from what the routes say: keys, versions,
unknown parameters, bodies, CORS, envelopes, operation ids. Create answers 201 (``status_code=201``),
delete 204, an action 204 through ``done(request)``.
"""

import asyncio
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from portway.control.api import openapi
from portway.control.api.auth import Doorkeeper
from portway.control.api.contract import Contract
from portway.control.api.errors import INTERNAL, NOT_FOUND, Refusal, envelope, from_validation, status_of
from portway.control.api.gate import DOCUMENT, OPERATION, Gate
from portway.control.api.routes import (
    api_keys,
    app_sessions,
    app_users,
    backends,
    certificate_authorities,
    credentials,
    edge_modules,
    edge_routes,
    edges,
    endpoints,
    event_destinations,
    event_subscriptions,
    ip_policies,
    ip_policy_rules,
    ip_restrictions,
    reserved_addrs,
    reserved_domains,
    root,
    ssh_credentials,
    tls_certificates,
    tunnel_sessions,
    tunnels,
    vault_secrets,
    vaults,
)
from portway.control.service.context import Context
from portway.errors import Error

ROUTES: Final[Sequence[APIRouter]] = (
    root.router,
    credentials.router,
    api_keys.router,
    ssh_credentials.router,
    reserved_addrs.router,
    reserved_domains.router,
    tls_certificates.router,
    certificate_authorities.router,
    event_destinations.router,
    event_subscriptions.router,
    event_subscriptions.sources_router,
    ip_policies.router,
    ip_policy_rules.router,
    ip_restrictions.router,
    endpoints.router,
    tunnel_sessions.router,
    tunnels.router,
    vaults.router,
    vault_secrets.router,
    app_users.router,
    app_sessions.router,
    *edges.ROUTERS,
    edge_routes.router,
    edge_modules.router,
    *backends.ROUTERS,
)
"""One router a noun."""


def make_app(context: Context, *, doorkeeper: Doorkeeper | None = None) -> Gate:
    """Make the API over a store: an ASGI application, behind its gate."""
    return Gate(make_routes(context), _contract(), context, doorkeeper or Doorkeeper(context))


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document. The first call takes a second or two; only who asks for it pays."""
    return openapi.document(make_routes())


@cache
def _written() -> bytes:
    return json.dumps(document()).encode()


@cache
def _contract() -> Contract:
    return Contract(route for router in ROUTES for route in router.routes)


def make_routes(context: Context | None = None) -> FastAPI:
    """Make the application inside the gate; without a context it only knows its OpenAPI document."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    app.state.document_lock = asyncio.Lock()
    app.state.nouns = tuple(
        router.prefix.strip("/") for router in ROUTES if router.prefix and "{" not in router.prefix
    )
    for router in ROUTES:
        # Not include_router: that makes every route a second time, in every application.
        app.router.routes.extend(router.routes)
    app.add_route(DOCUMENT, _document, include_in_schema=False)
    app.add_exception_handler(Error, _refused)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _lost)
    app.add_exception_handler(Exception, _failed)
    return app


async def _document(request: Request) -> Response:
    """Answer with the document; it is made in a thread, once, while agents and other callers are served."""
    async with request.app.state.document_lock:
        return _json(200, await asyncio.to_thread(_written))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Error)
    status = status_of(error)
    return _answer(request, status, error)


async def _unfit(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _answer(request, 400, from_validation(error.errors()))


async def _lost(request: Request, error: Exception) -> Response:
    """Answer what the gate should not have let through: a path or verb that is not in the document."""
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, Error(NOT_FOUND))


async def _failed(request: Request, _error: Exception) -> Response:
    """Answer a fault; the gate sees the exception too, and logs it."""
    return _answer(request, 500, Error(INTERNAL))


def _answer(request: Request, status: int, error: Error) -> Response:
    response = _json(status, envelope(status, error.message, error.code, request.scope[OPERATION]))
    if isinstance(error, Refusal):
        response.headers.update(error.headers)
    return response


def _json(status: int, content: bytes) -> Response:
    return Response(content, status, media_type="application/json")
