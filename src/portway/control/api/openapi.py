"""The OpenAPI document: what FastAPI makes of the routes, corrected where this API is not FastAPI's own.

Every operation takes the version header; every refusal is our envelope; there is no status 422.
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from portway.control.api.errors import TOO_MANY

VERSION_HEADER: Final = {
    "name": "Ngrok-Version",
    "in": "header",
    "required": True,
    "description": "Version of the API.",
    "schema": {"type": "string", "enum": ["2"]},
}

ENVELOPE: Final = {
    "type": "object",
    "title": "Error",
    "required": ["status_code", "msg", "details"],
    "properties": {
        "error_code": {"type": "string", "pattern": "^ERR_NGROK_[0-9]+$"},
        "status_code": {"type": "integer"},
        "msg": {"type": "string"},
        "details": {
            "type": "object",
            "required": ["operation_id"],
            "properties": {"operation_id": {"type": "string"}},
            "additionalProperties": {"type": "string"},
        },
    },
}

_DESCRIPTION: Final = (
    "The control plane of a portway service. Clients of ngrok's API work with it: paths, fields and codes"
    f" are the same. Refusals have a code; {TOO_MANY[1]}, for example, means too many requests."
)


def operation_id(route: APIRoute) -> str:
    """Name an operation after its noun and verb, such as ``credentials-create``."""
    noun = str(route.tags[0]) if route.tags else "root"
    return f"{noun}-{route.name}".replace("_", "-")


def document(app: FastAPI) -> dict[str, Any]:
    """Make the document."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            route.operation_id = operation_id(route)
    made = get_openapi(title="portway", version="2", description=_DESCRIPTION, routes=app.routes)
    for item in made["paths"].values():
        for operation in item.values():
            _correct(operation)
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Error"] = ENVELOPE
    return made


def _correct(operation: dict[str, Any]) -> None:
    operation.setdefault("parameters", []).append(VERSION_HEADER)
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "A refusal, or a fault of the service.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
