"""A compiled policy at work: phases → rules → a verdict.

::

    run = policy.begin(Phase.HTTP_REQUEST, facts, ...)      (Policy.has(phase) says whether that is worth it)
    run.skip()                                              if that is worth knowing: no rule matches
    verdict = run.step()                                    until the phase ends, or something is asked for
    verdict = run.resume(result)                            after Fetch, or after a Forward that failed

Rules run in the order of the document, and the expressions of a rule when it is reached: they see what
earlier rules changed. A rule whose expressions are all true runs its actions in order. What an action
publishes takes the place of what one of its type published before.

No exception leaves ``step`` and ``resume``. An error in an expression makes the rule not match, unless the
rule guards something: then the visitor is refused (docs/spec/policy.md, Errors). An action that fails ends
the phase with an error page, on TCP by closing. What is our own mistake is told as 2300. Each is recorded
as a :class:`Diagnostic`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from portway.model.event import Diagnostic
from portway.policy.actions import ActionFailed, Resumable
from portway.policy.expression import Absent, Chance, EvaluationError, Expression
from portway.policy.facts import Facts, Request, Response
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.phase import Phase
from portway.policy.values import value_of
from portway.policy.verdict import (
    CONTINUE,
    INTERNAL,
    UNAPPLIED,
    Close,
    Continue,
    Failed,
    Fetch,
    Forward,
    Respond,
    Verdict,
    refusal,
)

if TYPE_CHECKING:
    from portway.policy.actions import Action, ActionType
    from portway.policy.geo import GeoLookup
    from portway.policy.interpolation import Template

Secrets = Callable[[str, str], str | None]
"""Vault and name → the secret; None if there is none."""

EXPRESSION_FAILED: Final = 2254
INTERPOLATION_FAILED: Final = 2238
TOO_LONG: Final = 2253
UNWATCHED: Final = 16
"""Conditions of a few microseconds each that are answered between two looks at the clock."""
OUT_OF_MEMORY: Final = 2249

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
UNTOLD: Final = frozenset((INTERPOLATION_FAILED, TOO_LONG, 3900))
"""Failures whose reason quotes expressions and values: for the log, not for visitors."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a rule."""

    type: "ActionType"
    action: "Action"
    path: str
    line: int
    column: int
    ends: bool
    """Nothing after it can run."""
    guard: bool
    """It refuses or may refuse."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a phase."""

    name: str
    path: str
    line: int
    column: int
    conditions: tuple[Expression, ...]
    steps: tuple[Step, ...]

    @property
    def always_ends(self) -> bool:
        """Whatever comes, it goes no further."""
        return not self.conditions and any(step.ends for step in self.steps)

    @property
    def guards(self) -> bool:
        """An error in its expressions refuses the visitor."""
        return any(step.guard for step in self.steps)

    def __str__(self) -> str:
        """Return what people know it by."""
        return f"{self.path} ({self.name})" if self.name else self.path


class Policy:
    """A compiled policy. It holds nothing of any request and may be used for many at once."""

    def __init__(
        self,
        phases: Mapping[Phase, tuple[Rule, ...]],
        limits: PolicyLimits = DEFAULT_LIMITS,
        names: Iterable[str] = (),
    ) -> None:
        """Take the rules of each phase, and the variables that they ask for."""
        self._phases = {phase: rules for phase, rules in phases.items() if rules}
        self.limits = limits
        self.names = frozenset(names)
        """Variables that some expression asks for: what no policy names need not be known."""

    def __repr__(self) -> str:
        """Show how many rules there are."""
        shown = ", ".join(f"{phase}: {len(rules)}" for phase, rules in self._phases.items())
        return f"<Policy {shown or 'without rules'}>"

    def has(self, phase: Phase) -> bool:
        """Say whether a phase has rules: without, there is nothing to begin."""
        return phase in self._phases

    def rules(self, phase: Phase) -> tuple[Rule, ...]:
        """Return the rules of a phase."""
        return self._phases.get(phase, ())

    @property
    def state_keys(self) -> frozenset[str]:
        """Under what its actions keep what they count: the rest of a state is an earlier policy's."""
        actions = (step.action for rules in self._phases.values() for rule in rules for step in rule.steps)
        return frozenset(str(each) for each in (getattr(a, "state_key", "") for a in actions) if each)

    def begin(
        self,
        phase: Phase,
        facts: Facts,
        state: MutableMapping[str, object],
        *,
        now: float,
        monotonic: float,
        random: Chance,
        elapsed: Callable[[], float] | None = None,
        geo: "GeoLookup | None" = None,
        secrets: "Secrets | None" = None,
        trace: bool = False,
    ) -> "Run":
        """Begin a phase. ``state`` is kept by the edge, one for each endpoint.

        ``now`` is seconds since 1970, ``monotonic`` those of a clock that never goes back. ``elapsed``
        returns the seconds that have passed since; without it the limit of time does not hold.
        """
        return Run(
            self, phase, facts, state, now, monotonic, random, elapsed, geo, secrets=secrets, trace=trace
        )


class Filters:
    """What bodies go through, in order; objects with ``feed(bytes) -> bytes`` and ``end() -> bytes``."""

    __slots__ = ("request", "response")

    def __init__(self) -> None:
        """Have none."""
        self.request: list[object] = []
        self.response: list[object] = []


class Run:
    """The rules of one phase for one request or connection."""

    __slots__ = (
        "_elapsed", "_rule", "_rules", "_secrets", "_since", "_step", "_trace", "_unwatched", "_waiting",
        "converts", "decisions", "diagnostics", "facts", "filters", "geo", "kept", "logs", "monotonic", "now",
        "outcomes", "phase", "policy", "random", "state", "vars",
    )  # fmt: skip

    def __init__(
        self,
        policy: Policy,
        phase: Phase,
        facts: Facts,
        state: MutableMapping[str, object],
        now: float,
        monotonic: float,
        random: Chance,
        elapsed: Callable[[], float] | None,
        geo: "GeoLookup | None",
        *,
        secrets: "Secrets | None" = None,
        trace: bool = False,
    ) -> None:
        """See :meth:`Policy.begin`."""
        self.policy = policy
        self.phase = phase
        self.facts = facts
        self.state = state
        """What outlives the request: actions keep what they count here, under the path that they stand at."""
        self.now = now
        self.monotonic = monotonic
        self.random = random
        self.geo = geo
        self.vars: dict[str, object] = {}
        self.filters = Filters()
        self.converts = False
        """The request opens a WebSocket that the edge shall end, for an upstream that speaks TCP."""
        self.logs: list[dict[str, object]] = []
        """What ``log`` said, for ``traffic_policy.logs`` of the event."""
        self.diagnostics: list[Diagnostic] = []
        self.decisions: dict[str, object] = {}
        """More for the event, by the name of its field (docs/spec/policy.md, Events)."""
        self.kept: object = None
        """What the action that waits for a Fetch wants to find again when it is resumed."""
        self.outcomes: list[Callable[[int, float], None]] = []
        """Who wants to hear the status of the upstream's answer, 0 for none, and the monotonic time of it."""
        self._elapsed = elapsed
        self._secrets = secrets
        self._since = 0.0
        self._unwatched = 0  # quick conditions since the last look at the clock
        self._trace = trace
        self._rules = policy.rules(phase)
        self._rule = 0
        self._step = 0
        self._waiting: Step | None = None

    # -- for the edge

    def skip(self) -> bool:
        """Pass the rules that surely do not match, by quick conditions alone; True when none is left.

        Nothing has come of the run by then: it may be forgotten, or go on with ``step``. Raises nothing.
        """
        self._begin()
        try:
            for number, rule in enumerate(self._rules, 1):
                known = None
                for condition in rule.conditions:
                    known = None if condition.quick is None else condition.quick(self)
                    if known is not True:
                        break
                if known is not False or (number % UNWATCHED == 0 and self._out_of_time()):
                    return False
                self._rule = number
        except Exception:  # noqa: BLE001 - the containment point: step meets it again, and tells of it
            return False
        return True

    def step(self) -> Verdict:
        """Run until the phase ends or something is asked of the edge. Raises nothing."""
        if not self._rule:  # else time is counted since skip
            self._begin()
        try:
            return self._go()
        except Exception as error:  # noqa: BLE001 - the containment point: a visitor gets 2300, never our exception
            return self._broken(error)

    def resume(self, result: object) -> Verdict:
        """Go on after Fetch, or after a Forward that failed. Raises nothing."""
        self._begin()
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return self._broken(RuntimeError("nothing was asked for"))
        try:
            verdict = self._attempt(waiting, lambda: self._continued(waiting, result))
            return verdict if verdict is not None else self._go()
        except Exception as error:  # noqa: BLE001 - the containment point, as in step
            return self._broken(error)

    # -- for actions

    @property
    def request(self) -> Request:
        """The request. Only in the phases of HTTP."""
        request = self.facts.request
        assert request is not None, "no request in this phase"
        return request

    @property
    def response(self) -> Response:
        """The response. Only from on_http_response on."""
        response = self.facts.response
        assert response is not None, "no response in this phase"
        return response

    @property
    def message(self) -> Request | Response:
        """What actions on header fields change in this phase."""
        return self.request if self.phase is Phase.HTTP_REQUEST else self.response

    def publish(self, name: str, values: Mapping[str, object]) -> None:
        """Set the result variables below ``actions.ngrok.name``, in the place of earlier ones."""
        self.facts.results[name] = dict(values)

    def text(self, template: "Template") -> str:
        """Return the text of a template. Raises ActionFailed 2238."""
        try:
            return template.text(self)
        except EvaluationError as error:
            raise ActionFailed(INTERPOLATION_FAILED, f"A value could not be computed: {error}") from error

    def typed(self, template: "Template") -> object:
        """Return the value of a single ``${…}``, else the text. Raises ActionFailed 2238."""
        try:
            return template.value(self)
        except EvaluationError as error:
            raise ActionFailed(INTERPOLATION_FAILED, f"A value could not be computed: {error}") from error

    def evaluate(self, expression: Expression) -> object:
        """Return the value of an expression in a configuration. Raises ActionFailed 2253."""
        try:
            return expression.answer(self)
        except EvaluationError as error:
            raise ActionFailed(TOO_LONG, f"An expression failed: {error}") from error

    def header_value(self, template: "Template") -> bytes:
        """Return a template's text as the value of a field: line breaks and the like are spaces."""
        return _CONTROLS.sub(" ", self.text(template)).strip().encode()

    def set_var(self, name: str, value: object) -> None:
        """Set a variable of this phase. Raises ActionFailed 2249 when all of them become too large."""
        from portway.policy.written import weigh

        self.vars[name] = value
        if weigh(self.vars) > self.policy.limits.vars_memory:
            del self.vars[name]
            raise ActionFailed(OUT_OF_MEMORY, "The variables of the policy take too much memory.")

    def note(self, what: str, detail: str, code: int = 0) -> None:
        """Record what happened, with the rule that it happened in."""
        rule = str(self._rules[self._rule]) if self._rule < len(self._rules) else ""
        self.diagnostics.append(Diagnostic(rule, what, detail, code))

    # -- for expressions

    def value(self, name: str) -> object:
        """Return what a variable is now. Raises Absent."""
        if name == "vars":
            return self.vars
        if name == "time.now":
            return _rfc3339(self.now)
        return value_of(name, self)

    def secret(self, vault: str, name: str) -> str | None:
        """Return a secret of the account's vaults, as it is now; None if there is none."""
        return self._secrets(vault, name) if self._secrets is not None else None

    # -- inside

    def _go(self) -> Verdict:
        while self._rule < len(self._rules):
            rule = self._rules[self._rule]
            if self._step == 0:
                verdict = self._enter(rule)
                if verdict is False:
                    self._rule += 1
                    continue
                if verdict is not True:
                    return verdict
            while self._step < len(rule.steps):
                if self._out_of_time():
                    return self._refuse(TOO_LONG, "the policy took too long")
                step = rule.steps[self._step]
                self._step += 1
                verdict = self._attempt(step, lambda step=step: step.action.run(self))
                if verdict is not None:
                    return verdict
            self._rule += 1
            self._step = 0
        return CONTINUE

    def _enter(self, rule: Rule) -> Verdict | bool:
        """Say whether a rule applies, or refuse."""
        for condition in rule.conditions:
            known = None if condition.quick is None else condition.quick(self)
            self._unwatched += 1
            if known is None or self._unwatched >= UNWATCHED:
                self._unwatched = 0
                if self._out_of_time():
                    return self._refuse(TOO_LONG, "the policy took too long")
            try:
                if not (condition.evaluate(self) is True if known is None else known):
                    self._told("no match", condition.source)
                    return False
            except EvaluationError as error:
                self.note("expression error", f"{condition.source}: {error}", EXPRESSION_FAILED)
                if rule.guards:
                    return self._refuse(EXPRESSION_FAILED, "an expression of a rule that guards failed")
                return False
        self._told("matched", "")
        return True

    def _attempt(self, step: Step, act: "Callable[[], Verdict | None]") -> Verdict | None:
        try:
            verdict = act()
        except ActionFailed as error:
            self.note("failed", f"{step.type.name}: {error.message}", error.code)
            message = UNAPPLIED if error.code in UNTOLD else error.message
            return self._answer(error.code, message, error.status)
        if isinstance(verdict, Fetch | Forward):
            self._waiting = step
        else:
            self.kept = None
        self._told("action", step.type.name)
        return None if isinstance(verdict, Continue) else verdict

    def _continued(self, step: Step, result: object) -> Verdict | None:
        action = step.action
        if hasattr(action, "resume"):
            return cast("Resumable", action).resume(self, result)
        if isinstance(result, Failed):
            raise ActionFailed(result.code, result.message, result.status)
        return None

    def _begin(self) -> None:
        """Count time from here: what the edge was asked for is not the rules' time."""
        if self._elapsed is not None:
            self._since = self._elapsed()

    def _out_of_time(self) -> bool:
        limit = self.policy.limits.run
        return self._elapsed is not None and limit > 0 and self._elapsed() - self._since > limit

    def _refuse(self, code: int, why: str) -> Verdict:
        self.note("refused", why, code)
        return self._answer(code, UNAPPLIED, 500)

    def _answer(self, code: int, message: str, status: int) -> Verdict:
        if self.phase is Phase.TCP_CONNECT or self.phase is Phase.EVENT_STREAM_MESSAGE:
            return Close(code)
        return refusal(status, code, message)

    def _broken(self, error: Exception) -> Verdict:
        self.note("failed", f"{type(error).__name__}: {error}", INTERNAL)
        return self._answer(INTERNAL, UNAPPLIED, 500)

    def _told(self, what: str, detail: str) -> None:
        if self._trace:
            self.note(what, detail)


def _rfc3339(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["Absent", "Diagnostic", "Filters", "Policy", "Respond", "Rule", "Run", "Step"]
