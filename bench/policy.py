"""What the rules of a policy cost: 0, 1, 20 and 100 of them, as times of one request through the engine.

``python -m bench.policy`` prints microseconds and ratios. Nothing else runs: no socket, no edge. Each rule
looks at two variables and does not match, as most rules do; the last line has rules that all match and add a
header. ``compile`` is a whole document of as many rules, which happens when a policy is attached.
"""

import json
import time
from collections.abc import Callable
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


def best(act: Callable[[], object], times: int) -> float:
    """Return the microseconds of one call: the best mean of some rounds."""
    found: list[float] = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        for _ in range(times):
            act()
        found.append((time.thread_time() - begin) / times * 1e6)
    return min(found)


def measure() -> dict[str, float]:
    """Return microseconds by what was measured."""
    found: dict[str, float] = {}
    for count in COUNTS:
        policy = compile_policy(document(count, matching=False)) if count else None
        found[f"{count} rules, none matches"] = best(
            lambda policy=policy: one(policy), 20_000 if count == 0 else 4000 // count
        )
    for count in COUNTS[1:]:
        policy = compile_policy(document(count, matching=True))
        found[f"{count} rules, all match"] = best(lambda policy=policy: one(policy), 4000 // count)
    for count in COUNTS[1:]:
        text = document(count, matching=False)
        found[f"compile {count} rules"] = best(lambda text=text: compile_policy(text), max(1, 20 // count))
    return found


def main() -> None:
    """Print a table: microseconds, and times of one rule."""
    found = measure()
    base = found["1 rules, none matches"]
    for name, microseconds in found.items():
        print(f"{name:26} {microseconds:10.1f} µs  {microseconds / base:8.2f} x one rule")


if __name__ == "__main__":
    main()
