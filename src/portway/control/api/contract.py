"""Which operations there are, read from the routes themselves: what the gate holds requests to.

It is what the OpenAPI document says too (tests/control/api/test_contract.py compares them), but the document
takes seconds to make, and no request but the one for it needs its schemas. So a query parameter that is not
documented is refused, as is a body where none is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, get_origin

import msgspec
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from portway.control.api.openapi import operation_id

VERBS: Final = ("get", "post", "patch", "put", "delete")


class Operation(msgspec.Struct, frozen=True):
    """One verb of one path. ``query`` tells for each parameter whether it may be repeated."""

    name: str
    query: Mapping[str, bool]
    takes_body: bool


Verbs = Mapping[str, Operation]
"""The operations of one path, by verb in capitals."""


class Contract:
    """All operations of an application."""

    def __init__(self, routes: Iterable[object]) -> None:
        """Read the routes of an application; what is no route of the API is passed over."""
        self._plain: dict[str, Verbs] = {}
        self._templates: list[tuple[re.Pattern[str], Verbs]] = []
        for path, verbs in _paths(routes).items():
            ordered = {verb.upper(): verbs[verb.upper()] for verb in VERBS if verb.upper() in verbs}
            if "{" in path:
                pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
                self._templates.append((re.compile(pattern), ordered))
            else:
                self._plain[path] = ordered

    def find(self, path: str) -> Verbs | None:
        """Return the operations of a path, None if there is no such path."""
        if path in self._plain:
            return self._plain[path]
        return next((verbs for pattern, verbs in self._templates if pattern.fullmatch(path)), None)


def _paths(routes: Iterable[object]) -> dict[str, dict[str, Operation]]:
    paths: dict[str, dict[str, Operation]] = {}
    for route in routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            verbs = paths.setdefault(route.path_format, {})
            verbs.update(dict.fromkeys(route.methods or (), _operation(route)))
    return paths


def _operation(route: APIRoute) -> Operation:
    query = dict(_query(route.dependant))
    return Operation(operation_id(route), query, route.body_field is not None)


def _query(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the parameters of a route, then those of what it depends on."""
    for field in dependant.query_params:
        yield field.alias, get_origin(field.field_info.annotation) is list
    for each in dependant.dependencies:
        yield from _query(each)
