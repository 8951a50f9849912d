"""Drives ngrok's official Python client of the API, unmodified, in a process and an environment of its own.

Reads one JSON command a line on standard input, writes one JSON answer a line; tests/kit/api_client.py
holds the other end. Nothing of portway is imported here.
"""

import importlib
import inspect
import json
import socket
import sys
from typing import Any, cast

ngrok: Any = importlib.import_module("ngrok")
services: Any = importlib.import_module("ngrok.services")

MAPS = frozenset(("labels", "headers", "backends"))
"""Arguments that are plain maps."""

LIMIT = 1000
"""Items that are read of a list."""


def resolve_localhost() -> None:
    """Resolve every name below .localhost to loopback, as RFC 6761 asks and glibc does not."""
    plain = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **more: Any) -> Any:
        return plain("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more)

    socket.getaddrinfo = lookup


def properties(value: Any) -> list[str]:
    """Return the names of an object's properties."""
    members = inspect.getmembers(cast("type[Any]", type(value)))
    return [name for name, each in members if isinstance(each, property)]


def clients(root: Any, path: str = "") -> dict[str, Any]:
    """Return every part of the client that has methods, by its path, such as "edges.https"."""
    found: dict[str, Any] = {}
    properties = [
        name for name, each in inspect.getmembers(cast("type[Any]", type(root))) if isinstance(each, property)
    ]
    names: list[str] = list(getattr(root, "_fields", properties))  # some parts are named tuples of others
    for name in names:
        part: Any = getattr(root, name)
        found[f"{path}{name}"] = part
        found |= clients(part, f"{path}{name}.")
    return found


def methods(root: Any) -> dict[str, Any]:
    """Return every method of the client, by its path, such as "edges.https.create"."""
    return {
        f"{path}.{name}": method
        for path, part in clients(root).items()
        for name, method in inspect.getmembers(part, inspect.ismethod)
        if not name.startswith("_")
    }


def read(value: Any) -> Any:
    """Return a value with all that can be read of it: every property of every object."""
    if isinstance(value, list):
        return [read(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: read(each) for name, each in cast("dict[str, Any]", value).items()}
    if hasattr(value, "_props"):
        names = [
            name
            for name, each in inspect.getmembers(cast("type[Any]", type(value)))
            if isinstance(each, property)
        ]
        return {name: read(getattr(value, name)) for name in names}
    return value


class Object:
    """Stands for any of the client's classes that are given to a method: all it takes of them is this."""

    def __init__(self, fields: dict[str, Any]) -> None:
        """Take the fields."""
        self._props = fields


def objects(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with an object for each that is given as fields."""
    return {name: each if name in MAPS else wrapped(each) for name, each in arguments.items()}


def wrapped(value: Any) -> Any:
    """Return an object in place of fields, also within a list."""
    if isinstance(value, list):
        return [wrapped(each) for each in cast("list[Any]", value)]
    return Object(cast("dict[str, Any]", value)) if isinstance(value, dict) else value


class Recorder:
    """Stands for the part of the client that speaks HTTP, and only notes what would be sent."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self.seen: tuple[str, str] = ("", "")

    def __getattr__(self, verb: str) -> Any:
        """Return a method of any verb that notes it and its path."""

        def note(path: str, *_: Any) -> dict[str, Any]:
            self.seen = (verb.upper(), path)
            return {}

        return note


class Driver:
    """One client."""

    def __init__(self) -> None:
        """Start without one."""
        self.client: Any = None

    def connect(self, key: str, url: str) -> Any:
        """Make the client."""
        self.client = ngrok.Client(key, base_url=url)
        return {}

    def call(self, method: str, arguments: dict[str, Any]) -> Any:
        """Call a method and read all that it returns."""
        return read(methods(self.client)[method](**objects(arguments)))

    def iterate(self, method: str, arguments: dict[str, Any]) -> Any:
        """Read a list by iterating over it, page after page."""
        items: list[Any] = []
        for item in methods(self.client)[method](**arguments):
            items.append(read(item))
            assert len(items) <= LIMIT, "the list does not end"
        return items

    def probe(self, method: str) -> Any:
        """Call a method with something for each argument that it needs."""
        call = methods(self.client)[method]
        needs = [
            each.name for each in inspect.signature(call).parameters.values() if each.default is each.empty
        ]
        try:
            return read(call(**dict.fromkeys(needs, "x")))
        except AttributeError:  # it wants objects
            return read(call(**{name: "x" if name.endswith("id") else Object({}) for name in needs}))

    def methods(self) -> Any:
        """Return every method of the client: verb and path of what it sends, "{id}" for an identifier."""
        found: dict[str, Any] = {}
        client = ngrok.Client("key")
        recorder = client.http_client = Recorder()
        for name, method in methods(client).items():
            arguments = {
                each.name: f"{{{each.name}}}"
                for each in inspect.signature(method).parameters.values()
                if each.default is each.empty
            }
            recorder.seen = ("", "")
            try:
                method(**arguments)
            except (TypeError, AttributeError, KeyError) as error:
                if not recorder.seen[1]:
                    found[name] = {"error": f"{type(error).__name__}: {error}"}
                    continue
            found[name] = {"verb": recorder.seen[0], "path": recorder.seen[1]}
        return found


def main() -> None:
    """Answer commands until standard input ends."""
    resolve_localhost()
    driver = Driver()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"value": getattr(driver, command.pop("do"))(**command)}
        except ngrok.Error as error:
            answer = {
                "error": type(error).__name__,
                "text": str(error),
                "code": error.error_code,
                "status": error.http_status_code,
                "operation": error.operation_id,
                "details": error.details,
            }
        except Exception as error:  # noqa: BLE001 - whatever the client raises is the answer
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
