"""rate-limit and circuit-breaker: what is accepted, what is refused with which code, and what they do."""

from typing import Any

import pytest
from tests.kit.policies import action
from tests.kit.policy import NOW, begin, codes, facts, policy

from portway.policy.verdict import CONTINUE, Respond

NO_ERROR = {"code": "", "message": ""}
RATE = "name: n\nalgorithm: sliding_window\ncapacity: 1\nrate: 60s\nbucket_key: [conn.client_ip]"

GOOD = [
    ("circuit-breaker", "error_threshold: 0", ""),
    (
        "circuit-breaker",
        "error_threshold_percentage: 0.5\nrolling_window: 1m\nnum_buckets: 10\nenforce: false",
        "",
    ),
    (
        "rate-limit",
        (
            "name: n\nalgorithm: sliding_window\ncapacity: 2000000000\nrate: 24h\n"
            "bucket_key: [conn.client_ip, '1']"
        ),
        "",
    ),
]

BAD = [
    ("circuit-breaker", "error_threshold: 1.1", "on_http_request", 2215),
    ("circuit-breaker", "error_threshold: 1\nvolume_threshold: 0", "on_http_request", 2215),
    ("circuit-breaker", "error_threshold: 1\nwindow_duration: 500ms", "on_http_request", 2237),
    ("circuit-breaker", "error_threshold: 1\ntripped_duration: 3m", "on_http_request", 2225),
    ("circuit-breaker", "error_threshold: 1\nnum_buckets: 11", "on_http_request", 2219),
    ("rate-limit", RATE.replace("60s", "59s"), "on_http_request", 2237),
    ("rate-limit", RATE.replace("60s", "25h"), "on_http_request", 2225),
    ("rate-limit", RATE.replace("60s", "65s"), "on_http_request", 2204),
    ("rate-limit", RATE.replace("capacity: 1", "capacity: 0"), "on_http_request", 2215),
    ("rate-limit", RATE.replace("sliding_window", "leaky"), "on_http_request", 2222),
    ("rate-limit", RATE.replace("[conn.client_ip]", "[]"), "on_http_request", 2223),
    (
        "rate-limit",
        RATE.replace("[conn.client_ip]", str(["'1'"] * 11)),
        "on_http_request",
        2218,
    ),
    ("rate-limit", RATE.replace("[conn.client_ip]", "['${conn.client_ip}']"), "on_http_request", 2200),
    ("rate-limit", RATE.replace("name: n", "name: %s" % ("n" * 1024)), "on_http_request", 2221),
]


@pytest.mark.parametrize(("kind", "config", "phase"), GOOD, ids=lambda value: str(value)[:40])
def test_what_is_documented_is_accepted(kind: str, config: str, phase: str) -> None:
    assert codes(action(kind, config, phase or "on_http_request")) == []


@pytest.mark.parametrize(("kind", "config", "phase", "code"), BAD, ids=lambda value: str(value)[:40])
def test_every_mistake_has_its_code(kind: str, config: str, phase: str, code: int) -> None:
    assert codes(action(kind, config, phase))[:1] == [code]


def test_buckets_are_tuples_of_values_and_long_ones_are_digests() -> None:
    keys = "['req.method', \"req.headers['k']\"]"
    compiled = policy(action("rate-limit", RATE.replace("[conn.client_ip]", keys)))
    state: dict[str, object] = {}

    def ask(*values: bytes) -> tuple[object, Any]:
        made = begin(compiled, known=facts(fields=[(b"K", value) for value in values]), state=state)
        return made.step(), made.facts.results["rate_limit"]

    assert ask(b"a") == (CONTINUE, {"bucket_key": '["GET",["a"]]', "limited": False, "error": NO_ERROR})
    assert ask(b"b")[0] == ask()[0] == ask(b"a", b"b")[0] == CONTINUE
    refused, results = ask(b"a")
    assert isinstance(refused, Respond)
    assert (refused.status, refused.code, dict(refused.headers)[b"retry-after"]) == (429, 0, b"60")
    assert results["limited"] is True
    assert str(ask(b"x" * 10_000)[1]["bucket_key"]).startswith("sha256:")
    assert compiled.state_keys == set(state)


def test_two_limits_count_apart() -> None:
    rule = "\n".join(action("rate-limit", RATE).splitlines()[1:])
    compiled = policy(f"on_http_request:\n{rule}\n{rule}\n")
    assert len(compiled.state_keys) == 2


def test_the_breaker_hears_of_answers() -> None:
    config = "error_threshold: 0.5\nvolume_threshold: 2"
    compiled = policy(action("circuit-breaker", config))
    state: dict[str, object] = {}
    for status in (200, 0):
        made = begin(compiled, state=state)
        assert made.step() == CONTINUE
        [hear] = made.outcomes
        hear(status, NOW)
    refused = begin(compiled, state=state).step()
    assert isinstance(refused, Respond)
    assert (refused.status, refused.code) == (503, 3202)
    relaxed = begin(policy(action("circuit-breaker", f"{config}\nenforce: false")), state=state)
    assert relaxed.step() == CONTINUE
    assert relaxed.outcomes == []
