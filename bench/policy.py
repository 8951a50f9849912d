"""What the rules of a policy cost in the engine: 0, 1, 20 and 100 of them, as times of one rule.

``python -m bench.policy`` prints microseconds and ratios; ``make bench`` has the same beside requests through
the whole service. Nothing else runs here: no socket, no edge. Each rule looks at two variables and does not
match, as most rules do; the others all match and add a header. ``compile`` is a whole document of as many
rules, which happens when a policy is attached.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from portway.policy.compiler import compile_policy
from portway.policy.engine import Policy
from portway.policy.facts import Connection, Endpoint, Facts, Request
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE

COUNTS: Final = (0, 1, 20, 100)
FIELDS: Final = [(f"x-field-{number}".encode(), b"a value of some length") for number in range(20)]
ROUNDS: Final = 5
"""The best of these counts: the rest is noise."""


def document(rules: int, *, matching: bool) -> str:
    """Write a policy of as many rules."""
    if matching:
        made = [
            {"actions": [{"type": "add-headers", "config": {"headers": {"x-edge": "${req.method}"}}}]}
        ] * rules
    else:
        made = [
            {
                "expressions": [
                    f"req.url.path.startsWith('/nowhere/{number}')",
                    f"req.headers['x-field-{number % 20}'][0] == 'b'",
                ],
                "actions": [{"type": "deny"}],
            }
            for number in range(rules)
        ]
    return json.dumps({"on_http_request": made})


def request() -> Facts:
    """Make the facts of one request."""
    head = Request("GET", "https", "a.example", "/path?q=1", fields=list(FIELDS))
    return Facts(
        Connection("192.0.2.1", 40_000), Endpoint("ep_1", "https://a.example", host="a.example"), head
    )


def one(policy: Policy | None) -> None:
    """Do what the edge does for one request."""
    if policy is None or not policy.has(Phase.HTTP_REQUEST):
        return
    run = policy.begin(Phase.HTTP_REQUEST, request(), {}, now=0.0, monotonic=0.0, random=_CHANCE)
    if run.step() != CONTINUE:
        raise AssertionError("the policy was to let everything through")


_CHANCE: Final = Random(1)


def best(act: Callable[[], object], times: int, rounds: int = ROUNDS) -> float:
    """Return the microseconds of one call: the best mean of some rounds."""
    found: list[float] = []
    for _ in range(rounds):
        begin = time.thread_time()
        for _ in range(times):
            act()
        found.append((time.thread_time() - begin) / times * 1e6)
    return min(found)


@dataclass(frozen=True, slots=True)
class Engine:
    """Microseconds for a policy of some rules."""

    none_matches: float
    all_match: float
    compile: float


def measure(scale: float = 1.0) -> dict[int, Engine]:
    """Return what policies cost, by how many rules they have."""
    found: dict[int, Engine] = {}
    for count in COUNTS:
        text = document(count, matching=False)
        passing, matching = (
            compile_policy(document(count, matching=each)) if count else None for each in (False, True)
        )
        times = max(1, int((4000 // count if count else 20_000) * scale))
        rounds = ROUNDS if scale >= 1 else 1
        found[count] = Engine(
            best(lambda policy=passing: one(policy), times, rounds),
            best(lambda policy=matching: one(policy), times, rounds),
            best(lambda text=text: compile_policy(text), max(1, int(20 // count * scale)), rounds)
            if count
            else 0.0,
        )
    return found


def main() -> None:
    """Print a table: microseconds, and times of one rule."""
    found = measure()
    for count, engine in found.items():
        shown = [
            f"{value:10.1f} µs {value / base:7.2f} x"
            for value, base in zip(
                (engine.none_matches, engine.all_match, engine.compile),
                (found[1].none_matches, found[1].all_match, found[1].compile),
                strict=True,
            )
        ]
        print(f"{count:4} rules", *shown)


if __name__ == "__main__":
    main()
