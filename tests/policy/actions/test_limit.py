"""rate-limit and circuit-breaker: what they do."""

from typing import Any

from tests.kit.policies import action
from tests.kit.policy import NOW, begin, facts, policy

from portway.policy.verdict import CONTINUE, Respond

NO_ERROR = {"code": "", "message": ""}
RATE = "name: n\nalgorithm: sliding_window\ncapacity: 1\nrate: 60s\nbucket_key: [conn.client_ip]"


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
