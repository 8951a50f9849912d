"""The application as a whole."""

import json
from pathlib import Path

import pytest
from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from tests.kit.api import running_api

from portway.control.api.app import ROUTES, document, make_routes
from portway.control.store import keys
from portway.errors import StoreUnavailable


def test_the_document_is_made_once_and_says_what_the_routes_are() -> None:
    assert document() is document()
    prefixes = {router.prefix for router in ROUTES if router.prefix}
    assert prefixes <= set(document()["paths"])
    json.dumps(document())


def test_no_page_of_fastapi_is_served() -> None:
    paths = {getattr(route, "path", "") for route in make_routes().routes}
    assert not paths & {"/docs", "/redoc", "/docs/oauth2-redirect"}


async def test_what_the_gate_lets_through_by_mistake_is_refused_in_our_envelope(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        request = Request({"type": "http", "headers": [], "portway.operation": "op_1", "app": api.app})
    lost = make_routes().exception_handlers[HTTPException]
    answer = await lost(request, HTTPException(405, headers={"allow": "GET"}))  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
    assert isinstance(answer, Response)
    assert answer.status_code == 405
    assert json.loads(bytes(answer.body))["details"] == {"operation_id": "op_1"}


@pytest.mark.row("C7")
async def test_a_store_that_cannot_be_used_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(keys, "owned", full)
    async with running_api(tmp_path) as api:
        answer = await api.get("/credentials/cr_x")
    assert answer.status == 503
    assert answer["details"]["operation_id"] == answer.headers["ngrok-operation-id"]
