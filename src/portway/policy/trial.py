"""A policy tried on an imagined request: which rules match, why the others do not, what would happen.

Phases run in their order: the connection, the request, the response of an upstream that is imagined too, and
a message of it. Nothing is asked of any network: handshakes succeed, a request that is forwarded ends there
(or nobody is there), and one that waits for somebody's answer ends at that. Everything that happens to be
counted (``rate-limit``) is counted from nothing, over as many requests as are tried.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from portway.codec.event_stream import Message
from portway.policy.actions.tls import WHAT as HANDSHAKE
from portway.policy.engine import Diagnostic, Policy, Run
from portway.policy.expression import Chance
from portway.policy.facts import Facts, Response, Tls
from portway.policy.phase import Phase
from portway.policy.verdict import Close, Continue, Failed, Fetch, Forward, Respond, Verdict

if TYPE_CHECKING:
    from portway.policy.engine import Secrets
    from portway.policy.geo import GeoLookup

ORDER: Final = (
    Phase.TCP_CONNECT, Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE, Phase.EVENT_STREAM_MESSAGE,
)  # fmt: skip
OFFLINE: Final = 3200
_WAITED: Final = {
    "http": "an answer to its request", "keys": "the keys of an issuer", "identity": "a sign-in",
    "inspect": "an inspection", "body": "a body",
}  # fmt: skip
CIPHERS: Final = {
    "1.2": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "1.3": "TLS_AES_128_GCM_SHA256",
}
"""What an imagined handshake agrees on."""

ERROR: Final = "error"
NOT_REACHED: Final = "not reached"


@dataclass(frozen=True, slots=True)
class Imagined:
    """What is made up of the world around the policy."""

    offline: bool = False
    """No internal endpoint is there."""
    event: bytes | None = None
    """The data of a message, if the upstream answers with an event stream."""
    body: bytes = b""
    """Of the request."""


NOTHING: Final = Imagined()
"""Internal endpoints are there, and nothing is sent."""


@dataclass(slots=True)
class RuleTrial:
    """What came of one rule."""

    path: str
    name: str
    guards: bool = False
    """An error in its expressions refuses the visitor; elsewhere it is no match."""
    result: str = NOT_REACHED
    detail: str = ""
    """The expression that was not true, or the error."""
    actions: list[str] = field(default_factory=list[str])
    """The actions that ran, in order."""


@dataclass(slots=True)
class PhaseTrial:
    """What came of one phase."""

    phase: Phase
    rules: list[RuleTrial]
    verdict: Verdict
    problems: list[Diagnostic]
    logs: list[dict[str, object]]
    vars: dict[str, object]


@dataclass(slots=True)
class Trial:
    """What came of a whole request, in the end of the last one that was tried."""

    phases: list[PhaseTrial]
    facts: Facts

    @property
    def verdict(self) -> Verdict:
        """The verdict that ended it, or CONTINUE."""
        decided = [each.verdict for each in self.phases if not isinstance(each.verdict, Continue)]
        return decided[-1] if decided else Continue()

    @property
    def answer(self) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
        """What the visitor gets: status, fields and body; None if it is no answer of HTTP."""
        verdict, response = self.verdict, self.facts.response
        if isinstance(verdict, Close | Fetch) or self.facts.request is None:
            return None
        if isinstance(verdict, Respond):
            early = self.phases[-1].verdict is verdict
            if early or response is None:
                return verdict.status, list(verdict.headers), verdict.body
            return response.status, response.fields, verdict.body
        return None if response is None else (response.status, response.fields, b"")


def attempt(
    policy: Policy,
    facts: Callable[[], Facts],
    response: Callable[[], Response],
    *,
    now: float,
    times: int = 1,
    random: Chance,
    geo: "GeoLookup | None" = None,
    secrets: "Secrets | None" = None,
    imagined: Imagined = NOTHING,
) -> Trial:
    """Try a policy on ``times`` equal requests; return what came of the last."""
    state: dict[str, object] = {}

    def begin(phase: Phase, known: Facts) -> Run:
        return policy.begin(
            phase, known, state, now=now, monotonic=now, random=random, geo=geo, secrets=secrets, trace=True
        )

    for _ in range(max(1, times) - 1):
        _once(policy, facts(), response, begin, imagined)
    return _once(policy, facts(), response, begin, imagined)


def _once(
    policy: Policy,
    facts: Facts,
    response: Callable[[], Response],
    begin: Callable[[Phase, Facts], Run],
    imagined: Imagined,
) -> Trial:
    phases: list[PhaseTrial] = []
    phases_now = ORDER if facts.request is not None else ORDER[:1]
    for phase in phases_now:
        if phase is Phase.HTTP_REQUEST and facts.endpoint.protocol == "https":
            _shake_hands(facts)
        if phase is Phase.HTTP_RESPONSE and facts.response is None:
            facts.response = response()
        if phase is Phase.EVENT_STREAM_MESSAGE and not _has_message(facts, imagined):
            break
        if not policy.has(phase):
            continue
        run = begin(phase, facts)
        phases.append(_phase(policy, phase, run, _settled(run, run.step(), imagined)))
        decided = phases[-1].verdict
        if isinstance(decided, Respond) and not decided.final and phase is Phase.HTTP_REQUEST:
            facts.response = Response(decided.status, list(decided.headers))
        elif not isinstance(decided, Continue | Forward):
            break
    return Trial(phases, facts)


def _settled(run: Run, verdict: Verdict, imagined: Imagined) -> Verdict:
    """Return what a phase comes to when everything that can be imagined has been."""
    result: object
    while True:
        if isinstance(verdict, Fetch) and verdict.what == HANDSHAKE:
            _shake_hands(run.facts, str(verdict.arguments["max_version"]))
            result = None
        elif isinstance(verdict, Fetch) and verdict.what == "body" and run.phase is Phase.HTTP_REQUEST:
            result = imagined.body
        elif isinstance(verdict, Forward) and imagined.offline:
            result = Failed(OFFLINE, f"The endpoint {verdict.url} is not online.", 404)
        else:
            return verdict
        run.diagnostics.pop()  # that the action ran, which is told again when it is resumed
        verdict = run.resume(result)


def _shake_hands(facts: Facts, version: str = "1.3") -> None:
    """Imagine that the TLS handshake has succeeded, unless it has before."""
    tls = facts.connection.tls or Tls(facts.endpoint.host)
    if not tls.version:
        facts.connection.tls = replace(tls, version=version, cipher_suite=CIPHERS[version])


def _has_message(facts: Facts, imagined: Imagined) -> bool:
    """Imagine a message of the event stream, if the answer is one."""
    response = facts.response
    kinds = [] if response is None else response.get(b"content-type")
    if imagined.event is None or not any(b"text/event-stream" in kind for kind in kinds):
        return False
    facts.event = Message([], imagined.event)
    return True


def _phase(policy: Policy, phase: Phase, run: Run, verdict: Verdict) -> PhaseTrial:
    rules = [RuleTrial(rule.path, rule.name, rule.guards) for rule in policy.rules(phase)]
    by_name = {str(rule): trial for rule, trial in zip(policy.rules(phase), rules, strict=True)}
    problems: list[Diagnostic] = []
    for each in run.diagnostics:
        trial = by_name.get(each.rule)
        if each.code:
            problems.append(each)
        if trial is None:
            continue
        match each.what:
            case "matched" | "no match":
                trial.result, trial.detail = each.what, each.detail
            case "expression error":
                trial.result, trial.detail = ERROR, each.detail
            case "action":
                trial.actions.append(each.detail)
            case "failed":
                trial.detail = each.detail
            case _:
                pass
    return PhaseTrial(phase, rules, verdict, problems, run.logs, run.vars)


def told(verdict: Verdict) -> str:
    """Return what a verdict means, as a sentence without its subject."""
    match verdict:
        case Continue():
            return "goes on"
        case Respond():
            code = f" (ERR_NGROK_{verdict.code})" if verdict.code else ""
            body = f" with {len(verdict.body)} bytes" if verdict.body else ""
            return f"is answered {verdict.status}{code}{body}"
        case Close():
            return "is closed" + (f" (ERR_NGROK_{verdict.code})" if verdict.code else "")
        case Forward():
            return f"is forwarded to {verdict.url}"
        case Fetch():
            return f"waits for {_WAITED.get(verdict.what, verdict.what)}, and nobody is asked here"


def as_json(trial: Trial) -> dict[str, object]:
    """Return a trial as plain values for a program."""
    request = trial.facts.request
    return {
        "outcome": told(trial.verdict),
        "verdict": _verdict(trial.verdict),
        "answer": _answer(trial),
        "phases": [_phase_json(each) for each in trial.phases],
        "request": None
        if request is None
        else {"method": request.method, "url": request.url, "headers": _headers(request.fields)},
        "event": event_of(trial),
        "results": dict(trial.facts.results),
    }


def event_of(trial: Trial) -> str | None:
    """Return the data of the message that was imagined, as the rules have left it; None if there was none."""
    message = trial.facts.event
    data = message.data if isinstance(message, Message) else None
    return None if data is None else data.decode("utf-8", "replace")


def _answer(trial: Trial) -> dict[str, object] | None:
    if trial.answer is None:
        return None
    status, fields, body = trial.answer
    return {"status": status, "headers": _headers(fields), "body": body.decode("utf-8", "replace")}


def _phase_json(phase: PhaseTrial) -> dict[str, object]:
    return {
        "phase": str(phase.phase),
        "verdict": _verdict(phase.verdict),
        "rules": [
            {
                "rule": rule.path,
                "name": rule.name,
                "result": rule.result,
                "detail": rule.detail,
                "actions": rule.actions,
            }
            for rule in phase.rules
        ],
        "problems": [
            {"rule": each.rule, "code": f"ERR_NGROK_{each.code}", "detail": each.detail}
            for each in phase.problems
        ],
        "logs": phase.logs,
        "vars": phase.vars,
    }


def _verdict(verdict: Verdict) -> dict[str, object]:
    match verdict:
        case Respond():
            return {
                "kind": "respond",
                "status": verdict.status,
                "code": f"ERR_NGROK_{verdict.code}" if verdict.code else "",
                "message": verdict.message,
                "headers": _headers(verdict.headers),
                "body": verdict.body.decode("utf-8", "replace"),
            }
        case Close():
            return {"kind": "close", "code": f"ERR_NGROK_{verdict.code}" if verdict.code else ""}
        case Forward():
            return {"kind": "forward", "url": verdict.url}
        case Fetch():
            return {"kind": "fetch", "what": verdict.what}
        case Continue():
            return {"kind": "continue"}


def _headers(fields: "Sequence[tuple[bytes, bytes]]") -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("utf-8", "replace")] for name, value in fields]
