"""Policies in tests: compile a document, run a phase of it, evaluate one expression."""

from collections.abc import MutableMapping
from random import Random
from textwrap import dedent

from msgspec.structs import replace

from portway.policy.actions.waf import CRS
from portway.policy.compiler import Target, World, compile_policy
from portway.policy.engine import Policy, Run
from portway.policy.expression import Expression, compile_expression
from portway.policy.facts import Connection, Endpoint, Facts, Request, Response
from portway.policy.geo import GeoLookup
from portway.policy.limits import DEFAULT_LIMITS
from portway.policy.phase import Phase
from portway.policy.problem import PolicyError
from portway.policy.verdict import Verdict

NOW = 1_720_829_416.0
"""2024-07-13T00:10:16Z."""

EXAMPLE_WORLD = World(extra={CRS: True})
"""What the examples of the documentation may ask of the account and the service."""


def facts(
    target: str = "/",
    *,
    method: str = "GET",
    host: str = "a.example",
    fields: "list[tuple[bytes, bytes]] | None" = None,
    client_ip: str = "192.0.2.1",
    response: Response | None = None,
) -> Facts:
    """Make the facts of one request from outside."""
    sent = [(b"host", host.encode()), *(fields or [])]
    request = Request(method, "https", host, target, fields=sent, received=NOW)
    endpoint = Endpoint("ep_1", f"https://{host}", "https", host, 443)
    return Facts(
        Connection(client_ip=client_ip, client_port=40_000, started=NOW), endpoint, request, response
    )


def policy(document: str, protocol: str = "https", world: World | None = None) -> Policy:
    """Compile a document."""
    return compile_policy(dedent(document), Target(protocol), world=world or World())


def codes(document: str, target: Target | None = None, world: World | None = None) -> list[int]:
    """Return the codes of what is wrong with a document, in its order."""
    try:
        compile_policy(dedent(document), target or Target(), world=world or World())
    except PolicyError as error:
        return [each.code for each in error.problems]
    return []


def begin(
    compiled: Policy,
    phase: Phase = Phase.HTTP_REQUEST,
    known: Facts | None = None,
    state: MutableMapping[str, object] | None = None,
    *,
    now: float = NOW,
    geo: GeoLookup | None = None,
) -> Run:
    """Begin a phase, traced."""
    return compiled.begin(
        phase,
        known or facts(),
        {} if state is None else state,
        now=now,
        monotonic=now,
        random=Random(1),
        geo=geo,
        trace=True,
    )


def verdict(document: str, known: Facts | None = None, phase: Phase = Phase.HTTP_REQUEST) -> Verdict:
    """Compile a document, run one phase, return what it decides."""
    return begin(policy(document), phase, known).step()


def expression(source: str, phase: Phase = Phase.HTTP_REQUEST, world: World | None = None) -> Expression:
    """Compile an expression."""
    return compile_expression(source, phase, replace(DEFAULT_LIMITS), world or World())


def value(
    source: str,
    known: Facts | None = None,
    phase: Phase = Phase.HTTP_REQUEST,
    *,
    variables: dict[str, object] | None = None,
    geo: GeoLookup | None = None,
) -> object:
    """Compile and evaluate an expression."""
    world = World(geo=geo, categories=geo is not None)
    run = begin(Policy({}), phase, known, geo=geo)
    run.vars = variables or {}
    return expression(source, phase, world).evaluate(run)
