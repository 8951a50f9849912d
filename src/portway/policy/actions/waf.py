"""``owasp-crs-request``, ``owasp-crs-response``: refuse what the OWASP Core Rule Set takes for an attack.

The edge inspects, in a thread; the action decides. What it needs, the engine and the rules, is the
operator's to bring: without them a policy that asks for it is refused (2201).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.policy.actions import Action, ActionType
from portway.policy.phase import HTTP, Phase
from portway.policy.verdict import Failed, Fetch, Verdict, refusal

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields

CRS: Final = "crs"
"""Name in ``World.extra``: whether there are rules and an engine for them."""
WHAT: Final = "inspect"
"""The kind of fetch: ``answer``, ``body`` (bytes or None) and ``excluded`` → :class:`Inspected`."""
BODY: Final = 4096
"""Bytes of a body that are inspected."""
INBOUND: Final = 5
"""Score from which on a request is refused."""
OUTBOUND: Final = 4
"""Score from which on a response is refused."""
LOWEST: Final = 900_000
HIGHEST: Final = 999_999
EXCLUDED: Final = 500
"""Rules that one action may leave out."""
NOT_PROVIDED: Final = 2201
REQUEST, MALFUNCTION, RESPONSE = 3700, 3701, 3702


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matched."""

    id: int
    message: str
    severity: str
    """CRITICAL, ERROR, WARNING or NOTICE."""
    data: str


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an inspection found."""

    score: int
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class _Crs:
    answer: bool
    go_on: bool
    process_body: bool
    excluded: tuple[int, ...]

    def run(self, run: "Run") -> Verdict | None:
        if self.process_body:
            return Fetch("body", {"limit": BODY})
        return self._inspect(None)

    def resume(self, run: "Run", result: object) -> Verdict | None:
        if isinstance(result, Inspected):
            return self._decide(run, result)
        if isinstance(result, bytes):
            return self._inspect(result)
        why = result.message if isinstance(result, Failed) else "The inspection brought nothing."
        return self._broken(run, why)

    def _inspect(self, body: bytes | None) -> Verdict:
        return Fetch(WHAT, {"answer": self.answer, "body": body, "excluded": self.excluded})

    def _decide(self, run: "Run", found: Inspected) -> Verdict | None:
        threshold = OUTBOUND if self.answer else INBOUND
        denied = found.score >= threshold
        code = RESPONSE if self.answer else REQUEST
        said = f"The {'response' if self.answer else 'request'} was blocked by a rule of the firewall."
        self._tell(run, "deny" if denied else "allow", found, code if denied else 0, said if denied else "")
        if not denied:
            return None
        rules = ", ".join(str(each.id) for each in found.matches)
        run.note("failed", f"{self._name}: score {found.score} of {threshold}, rules {rules}", code)
        return None if self.go_on else refusal(403, code, said)

    def _broken(self, run: "Run", why: str) -> Verdict | None:
        self._tell(run, "allow" if self.go_on else "deny", Inspected(0, ()), MALFUNCTION, why)
        run.note("failed", f"{self._name}: {why}", MALFUNCTION)
        return None if self.go_on else refusal(500, MALFUNCTION, "The firewall does not work.")

    def _tell(self, run: "Run", decision: str, found: Inspected, code: int, message: str) -> None:
        matched = [
            {"id": each.id, "message": each.message, "severity": each.severity, "data": each.data}
            for each in found.matches
        ]
        values = {
            "decision": decision,
            "anomaly_score": found.score,
            "anomaly_score_threshold": OUTBOUND if self.answer else INBOUND,
            "matched_rules": matched,
            "error": {"code": f"ERR_NGROK_{code}" if code else "", "message": message},
        }
        run.publish(self._name.replace("-", "_"), values)

    @property
    def _name(self) -> str:
        return "owasp-crs-response" if self.answer else "owasp-crs-request"


def _parse(config: "Fields", compiler: "Compiler") -> Action:
    answer = compiler.phase is Phase.HTTP_RESPONSE
    if not compiler.world.extra.get(CRS):
        name = "owasp-crs-response" if answer else "owasp-crs-request"
        said = (
            f"{name} is not provided by this service: its operator has named no OWASP Core Rule Set"
            " (portway serve --crs)"
        )
        config.problem(NOT_PROVIDED, said)
    go_on = config.choice("on_error", ("halt", "continue"), "halt") == "continue"
    process_body = config.boolean("process_body", default=False)
    excluded: set[int] = set()
    for node in config.items("exclude_rule_ids", most=EXCLUDED):
        number = int(node.text) if node.kind == "scalar" and node.text.isdecimal() else 0
        if LOWEST <= number <= HIGHEST:
            excluded.add(number)
        else:
            config.problem(2215, f"the id of a rule is between {LOWEST} and {HIGHEST}", node)
    return _Crs(answer, go_on, process_body, tuple(sorted(excluded)))


def _is_enforced(action: Action) -> bool:
    return not isinstance(action, _Crs) or not action.go_on


TYPES: Final = [
    ActionType(
        "owasp-crs-request",
        _parse,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        result="owasp_crs_request",
        guards=_is_enforced,
    ),
    ActionType(
        "owasp-crs-response",
        _parse,
        frozenset((Phase.HTTP_RESPONSE,)),
        HTTP,
        result="owasp_crs_response",
        guards=_is_enforced,
    ),
]
