"""Policy documents: the one reader of YAML and JSON, within the limits of policies and with their code."""

from typing import Final

from portway.codec.document import Bounds, Node
from portway.codec.document import parse as parse_any
from portway.errors import DocumentError
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.problem import PolicyError, Problem

UNPARSEABLE: Final = 2236


def parse(text: str, limits: PolicyLimits = DEFAULT_LIMITS) -> Node:
    """Read a document; its root is a map. Raises PolicyError 2236 with one problem."""
    try:
        root = parse_any(text, Bounds(limits.document, limits.depth, limits.nodes))
    except DocumentError as error:
        raise _failed(error.message, error.line, error.column) from error
    if root.kind != "map":
        raise _failed(
            "a policy is a map whose keys are phases, such as on_http_request", root.line, root.column
        )
    return root


def _failed(message: str, line: int, column: int) -> PolicyError:
    return PolicyError([Problem(UNPARSEABLE, message, "", line, column)])
