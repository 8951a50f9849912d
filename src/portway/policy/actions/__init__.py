"""The action types: one table, one file a family.

An action type is data: where it may stand, what it does to the flow, and a function that reads its
configuration into an :class:`Action`. Reading records every mistake with the :class:`Fields` that it is
given and never raises; running returns a verdict that ends the phase, or None to go on.

A family's file defines its types with :class:`ActionType` and its name is listed in ``FAMILIES``::

    def _parse(config: Fields, compiler: Compiler) -> Action:
        return _Deny(config.integer("status_code", 403, low=400, high=599))


    TYPES = [ActionType("deny", phases=..., terminates=True, guards=True, parse=_parse)]
"""

import importlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

from portway.policy.phase import ALL_PROTOCOLS, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.verdict import Verdict


class Action(Protocol):
    """One configured action of a compiled policy. It keeps nothing of a request: see ``Run.state``."""

    def run(self, run: "Run") -> "Verdict | None":
        """Do it. None goes on with the next action; anything else ends the phase, except Fetch and Forward.

        Raises ActionFailed for what shall be answered with an error; any other exception is taken as a
        failure of ours, 2300, and never leaves the engine.
        """
        ...


class Resumable(Action, Protocol):
    """An action that answers Fetch, or Forward with something to do when it fails."""

    def resume(self, run: "Run", result: object) -> "Verdict | None":
        """Go on with what the edge brought: the result of a Fetch, or :class:`verdict.Failed`."""
        ...


class ActionFailed(Exception):
    """An action could not do its work: answered with an error page of this code, on TCP by closing."""

    def __init__(self, code: int, message: str, status: int = 500) -> None:
        """Take a code, a sentence that a visitor may read, and a status."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class ActionType:
    """What is true of all actions of one type."""

    name: str
    """The ``type`` of a document, such as ``rate-limit``."""
    parse: "Callable[[Fields, Compiler], Action]"
    phases: frozenset[Phase]
    protocols: frozenset[str] = ALL_PROTOCOLS
    result: str = ""
    """The variable below ``actions.ngrok`` that it publishes; "" for none."""
    terminates: "Callable[[Action], bool] | bool" = False
    """Nothing that follows it in its rule can run (2207), and traffic does not get past it (2235)."""
    guards: "Callable[[Action], bool] | bool" = False
    """It refuses or may refuse: an error in an expression of its rule refuses too."""

    def ends(self, action: Action) -> bool:
        """Say whether nothing comes after this action."""
        return self.terminates(action) if callable(self.terminates) else self.terminates

    def is_guard(self, action: Action) -> bool:
        """Say whether its rule fails closed."""
        return self.guards(action) if callable(self.guards) else self.guards


FAMILIES: Final = (
    "reply", "headers", "access", "limit", "rewrite", "notes", "forward", "bodies", "tls", "convert",
    "identity", "jwt", "webhook", "outgoing", "waf",
)  # fmt: skip
"""Modules of this package that have a list TYPES."""

ALIASES: Final = {"oidc": "openid-connect"}

NOT_BUILT: Final = ("ai-gateway", "saml")
"""Types that are known and refused: a policy that is not carried out whole is not carried out."""


@cache
def table() -> dict[str, ActionType]:
    """Return every type that can be used, by name. The families are imported at the first call."""
    found: dict[str, ActionType] = {}
    for family in FAMILIES:
        types: list[ActionType] = importlib.import_module(f"{__name__}.{family}").TYPES
        found.update({each.name: each for each in types})
    return found
