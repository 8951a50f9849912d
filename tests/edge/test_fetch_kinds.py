"""Tests of the table of kinds of fetch."""

from portway.edge.fetch_kinds import fetch_kinds
from portway.edge.registry import Registry
from portway.model.guard import Guard
from portway.net.web_client import WebClient


def test_what_actions_ask_for_is_there() -> None:
    client = WebClient(Guard())
    kinds = fetch_kinds(client, client, Registry(), lambda: 0.0)
    assert {"http", "keys", "sns certificate"} <= set(kinds)
