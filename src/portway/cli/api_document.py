"""The control API's OpenAPI document, read as a list of commands. Pure: text in, values out.

The document is the one that the service itself publishes; a copy lies beside this module
(``openapi.json``, written by ``make reference``), so that the program needs no service to know what it
can ask for. A path's first part is the resource, method and tail are the verb::

    GET    /reserved_addrs                      reserved-addrs list
    POST   /reserved_addrs                      reserved-addrs create
    GET    /reserved_addrs/{id}                 reserved-addrs get ID
    PATCH  /reserved_addrs/{id}                 reserved-addrs update ID
    DELETE /reserved_addrs/{id}                 reserved-addrs delete ID
    DELETE /reserved_domains/{id}/certificate   reserved-domains delete-certificate ID
    POST   /tunnel_sessions/{id}/stop           tunnel-sessions stop ID

Below ``/app``, ``/edges`` and ``/backends`` several resources share a first part, and the sources of an event
subscription are a resource below another; there the operation says who it is::

    GET    /edges/tcp                           edges-tcp list
    GET    /event_subscriptions/{id}/sources    event-sources list ID
    PUT    /edges/tcp/{id}/backend              edge-modules tcp-edge-backend-replace ID
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

VERBS: Final = {"get": "get", "post": "create", "patch": "update", "put": "replace", "delete": "delete"}
"""HTTP method → verb, where the path says nothing else."""

SHARED: Final = frozenset(("app", "backends", "edges"))
"""First parts of paths that several resources have."""

BELOW: Final = frozenset(("event-sources",))
"""Resources that stand below an identifier of another."""

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Field:
    """One value that a command takes.

    ``kind`` is text, integer, number, boolean, list (of texts), object (JSON) or objects (a list of them).
    A dot in ``name`` leads into an object.
    """

    name: str
    kind: str
    required: bool = False
    help: str = ""

    @property
    def flag(self) -> str:
        """The flag's name: dashes for underscores."""
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. ``place`` names the parts of the path that are arguments, in their order."""

    resource: str
    verb: str
    method: str
    path: str
    place: tuple[str, ...]
    query: tuple[Field, ...]
    body: tuple[Field, ...]
    has_body: bool
    summary: str

    @property
    def paged(self) -> bool:
        """It lists, page by page."""
        return any(field.name == "before_id" for field in self.query)


def read(text: str | bytes) -> list[Operation]:
    """Return every operation of a document, in its order. Raises ValueError when it is none."""
    document = _object(json.loads(text))
    found: list[Operation] = []
    for path, methods in _object(document["paths"]).items():
        for method, said in _object(methods).items():
            if method in VERBS:
                found.append(_operation(document, path, method, _object(said)))
    return found


def _operation(document: Json, path: str, method: str, said: Json) -> Operation:
    parts = [part for part in path.split("/") if part]
    tail = [part for part in parts[1:] if not part.startswith("{")]
    query = tuple(_parameters(document, said))
    body, has_body = _body(document, said)
    resource, verb = parts[0].replace("_", "-") if parts else "root", _verb(method, parts, tail)
    own = str((_list(said.get("tags")) or [resource])[0]).replace("_", "-")
    if resource in SHARED or own in BELOW:
        resource = own
        verb = str(said["operationId"]).removeprefix(f"{resource}-")
    return Operation(
        resource=resource,
        verb=verb,
        method=method.upper(),
        path=path,
        place=tuple(part[1:-1] for part in parts if part.startswith("{")),
        query=query,
        body=body,
        has_body=has_body,
        summary=str(said.get("summary") or said.get("description") or "").partition("\n")[0].strip(),
    )


def _verb(method: str, parts: list[str], tail: list[str]) -> str:
    """Name what an operation does."""
    if not tail:
        return "list" if method == "get" and len(parts) == 1 else VERBS[method]
    what = "-".join(tail).replace("_", "-")
    return what if method == "post" else f"{VERBS[method]}-{what}"


def _parameters(document: Json, said: Json) -> Iterator[Field]:
    for each in _list(said.get("parameters")):
        parameter = _object(each)
        if parameter.get("in") != "query":
            continue
        schema = _resolved(document, _object(parameter.get("schema") or {}))
        yield Field(
            str(parameter["name"]),
            _kind(document, schema),
            bool(parameter.get("required")),
            str(parameter.get("description") or schema.get("description") or ""),
        )


def _body(document: Json, said: Json) -> tuple[tuple[Field, ...], bool]:
    request = _object(said.get("requestBody") or {})
    content = _object(_object(request.get("content") or {}).get("application/json") or {})
    if "schema" not in content:
        return (), False
    schema = _resolved(document, _object(content["schema"]))
    return tuple(_fields(document, schema, "")), True


def _fields(document: Json, schema: Json, prefix: str) -> Iterator[Field]:
    required = set(_list(schema.get("required")))
    for name, each in _object(schema.get("properties") or {}).items():
        outer = _object(each)
        inner = _resolved(document, outer)
        kind = _kind(document, outer)
        if kind == "object" and inner.get("properties"):
            yield from _fields(document, inner, f"{prefix}{name}.")
        else:
            text = str(outer.get("description") or inner.get("description") or "")
            yield Field(f"{prefix}{name}", kind, name in required and not prefix, text)


def _kind(document: Json, schema: Json) -> str:
    seen = _resolved(document, schema)
    kind = seen.get("type")
    if kind == "string" or kind is None:
        return "text"
    if kind != "array":
        return str(kind)
    items = _resolved(document, _object(seen.get("items") or {}))
    return "objects" if items.get("type") == "object" else "list"


def _resolved(document: Json, schema: Json) -> Json:
    """Follow references, and see through "this or null"."""
    while True:
        if "$ref" in schema:
            place: Json = document
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                place = _object(place[part])
            schema = place
            continue
        choices = [_object(each) for each in _list(schema.get("anyOf") or schema.get("oneOf"))]
        real = [each for each in choices if each.get("type") != "null"]
        if "type" in schema or not real:
            return schema
        schema = real[0]


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise ValueError("not an OpenAPI document: an object is missing")  # noqa: TRY004 - a fault of the text
    return cast("Json", value)


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
