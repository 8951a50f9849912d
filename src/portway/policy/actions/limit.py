"""``rate-limit`` and ``circuit-breaker``: how much may pass.

What they count outlives requests and new versions of the policy: it lies in ``Run.state`` under a key that
says what is counted, so that a changed limit begins anew and an unchanged one goes on.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.policy.actions import Action, ActionType
from portway.policy.breaker import BUCKETS, Breaker, Entry, Rule, State
from portway.policy.limiter import SLOT, Limiter
from portway.policy.phase import HTTP, Phase
from portway.policy.verdict import Respond, Verdict, refusal

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.expression import Expression
    from portway.policy.fields import Fields

LARGEST: Final = 2_000_000_000
"""Of capacities and volumes."""
NAME: Final = 1023
KEYS: Final = 10
KEY_SHOWN: Final = 256
"""Characters of a bucket's key; of a longer one its digest is the key."""
OPEN: Final = 3202


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``capacity`` requests of one bucket in any ``rate`` seconds."""

    state_key: str
    capacity: int
    rate: float
    keys: "tuple[Expression, ...]"
    enforce: bool

    def run(self, run: "Run") -> Verdict | None:
        """Count the request, or refuse it."""
        bucket = _bucket([run.evaluate(each) for each in self.keys])
        limiter = run.state.get(self.state_key)
        if not isinstance(limiter, Limiter):
            limiter = run.state[self.state_key] = Limiter(self.capacity, self.rate)
        admission = limiter.admit(bucket, run.monotonic)
        run.publish(
            "rate_limit",
            {
                "bucket_key": bucket,
                "limited": not admission.admitted,
                "error": {"code": "", "message": ""},
            },
        )
        if admission.admitted or not self.enforce:
            return None
        fields = (
            (b"retry-after", b"%d" % admission.retry_after),
            (b"content-type", b"text/plain; charset=utf-8"),
        )
        return Respond(429, fields, b"Too Many Requests\n")


def _bucket(values: list[object]) -> str:
    """Write the values of a bucket's key as one text, the same for the same values."""
    text = json.dumps(values, default=str, sort_keys=True, separators=(",", ":"))
    if len(text) <= KEY_SHOWN:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_rate_limit(config: "Fields", compiler: "Compiler") -> Action:
    name = config.string("name", least=1, most=NAME)
    config.choice("algorithm", ("sliding_window",))
    capacity = config.integer("capacity", low=1, high=LARGEST)
    rate = config.duration("rate", low=60, high=86_400)
    if rate % SLOT:
        config.problem(2204, f"rate is a multiple of {SLOT:.0f}s", config.find("rate"))
    keys = tuple(config.expressions("bucket_key", least=1, most=KEYS))
    what = [compiler.path, name, capacity, rate, *(key.source for key in keys)]
    digest = hashlib.sha256(json.dumps(what).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return RateLimit(f"rate-limit {digest}", capacity, rate, keys, config.boolean("enforce", default=True))


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Ask the upstream no more while too many of its answers are errors."""

    state_key: str
    rule: Rule
    enforce: bool

    def run(self, run: "Run") -> Verdict | None:
        """Let the request in and hear of its answer, or refuse it."""
        if not self.enforce:
            run.decisions["circuit_breaker.decision"] = "allow"
            return None
        breaker = run.state.get(self.state_key)
        if not isinstance(breaker, Breaker):
            breaker = run.state[self.state_key] = Breaker(self.rule)
        entry = breaker.enter(run.monotonic)
        probe = breaker.state is not State.CLOSED
        decision = ("allow_while_open" if probe else "allow") if entry.allowed else "block"
        run.decisions["circuit_breaker.decision"] = decision
        if entry.allowed:
            run.outcomes.append(Outcome(breaker, entry))
            return None
        fields = ((b"retry-after", b"%d" % max(1, round(entry.retry_after))),)
        return refusal(503, OPEN, "The service behind this endpoint fails too often just now.", fields)


@dataclass(slots=True)
class Outcome:
    """Who waits for the status of an answer."""

    breaker: Breaker
    entry: Entry

    def __call__(self, status: int, monotonic: float) -> None:
        """Hear the status of the upstream's answer; 0: none came."""
        self.breaker.record(self.entry, monotonic, failed=status >= 500 or status == 0)


def _parse_breaker(config: "Fields", compiler: "Compiler") -> Action:
    rule = Rule(
        config.number("error_threshold", 0.5, "error_threshold_percentage", low=0.0, high=1.0),
        config.integer("volume_threshold", 10, low=1, high=LARGEST),
        config.duration("window_duration", 10.0, "rolling_window", low=1, high=120),
        config.duration("tripped_duration", 10.0, low=1, high=120),
    )
    if config.integer("num_buckets", BUCKETS, low=1, high=LARGEST) != BUCKETS:
        config.problem(2219, f"num_buckets is {BUCKETS} and cannot be set", config.find("num_buckets"))
    key = f"circuit-breaker {compiler.path} {tuple(rule)}"
    return CircuitBreaker(key, rule, config.boolean("enforce", default=True))


def _is_enforced(action: Action) -> bool:
    return isinstance(action, RateLimit | CircuitBreaker) and action.enforce


TYPES: Final = [
    ActionType(
        "rate-limit",
        _parse_rate_limit,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        result="rate_limit",
        guards=_is_enforced,
    ),
    ActionType(
        "circuit-breaker",
        _parse_breaker,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        guards=_is_enforced,
    ),
]
