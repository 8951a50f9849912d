"""Which operations there are, read from the generated OpenAPI document: what the gate holds requests to.

So the document cannot promise anything else than what is done: a query parameter that it does not
list is refused, as is a body where it has none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

VERBS: Final = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of one path. ``query`` tells for each parameter whether it may be repeated."""

    name: str
    query: Mapping[str, bool]
    takes_body: bool


Verbs = Mapping[str, Operation]
"""The operations of one path, by verb in capitals."""


class Contract:
    """All operations of a document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read an OpenAPI document."""
        self._plain: dict[str, Verbs] = {}
        self._templates: list[tuple[re.Pattern[str], Verbs]] = []
        for path, item in document["paths"].items():
            verbs = {verb.upper(): _operation(item[verb]) for verb in VERBS if verb in item}
            if "{" in path:
                pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
                self._templates.append((re.compile(pattern), verbs))
            else:
                self._plain[path] = verbs

    def find(self, path: str) -> Verbs | None:
        """Return the operations of a path, None if there is no such path."""
        if path in self._plain:
            return self._plain[path]
        return next((verbs for pattern, verbs in self._templates if pattern.fullmatch(path)), None)


def _operation(item: Mapping[str, Any]) -> Operation:
    query = {
        each["name"]: each["schema"].get("type") == "array"
        for each in item.get("parameters", ())
        if each["in"] == "query"
    }
    return Operation(item["operationId"], query, "requestBody" in item)
