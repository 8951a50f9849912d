"""Which route of an https edge serves a path."""

from typing import Any

import pytest

from portway.edge.edge_routes import Route, Routes

ENDPOINT: Any = None


def found(path: str, *routes: tuple[str, str]) -> str:
    made = [Route(f"{kind} {match}", kind, match, ENDPOINT) for kind, match in routes]
    route = Routes(made).find(path)
    return "" if route is None else route.id


@pytest.mark.row("ED-07")
def test_an_exact_match_wins_then_the_longest_prefix() -> None:
    routes = [("path_prefix", "/"), ("path_prefix", "/a"), ("exact_path", "/a/b"), ("path_prefix", "/a/b/c")]
    assert found("/", *routes) == "path_prefix /"
    assert found("/a/b", *routes) == "exact_path /a/b"
    assert found("/a/b/", *routes) == "path_prefix /a"
    assert found("/a/b/c/d", *routes) == "path_prefix /a/b/c"
    assert found("/b", ("path_prefix", "/a")) == ""
    assert repr(Routes(())) == "<Routes exact=0 prefixes=0>"
