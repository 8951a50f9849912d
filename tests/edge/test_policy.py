"""Policies of an edge: compiled, placed, and what they count kept."""

from collections.abc import Callable

import pytest

from portway.edge import policy
from portway.edge.binding import read_wish
from portway.edge.policy import Policies
from portway.edge.ports import EdgeConfig
from portway.edge.registry import Registry
from portway.errors import Error
from portway.model.url import parse_endpoint_url
from portway.net.turns import Turns
from portway.policy.compiler import World
from portway.policy.limits import PolicyLimits
from portway.policy.phase import Phase
from portway.wire.messages import Bind

URL = parse_endpoint_url("https://app.example", "https")
LIMIT = """
on_http_request:
  - actions:
      - type: rate-limit
        config: {name: %s, algorithm: sliding_window, capacity: 1, rate: 60s, bucket_key: [conn.client_ip]}
"""


def policies() -> Policies:
    return Policies(Registry(), lambda: 0.0, lambda: 0.0, lambda _account: World())


async def test_what_says_nothing_is_no_policy() -> None:
    for text in ("", " \n", "{}", "null"):
        assert await policies().compile(text, URL, "ac_1") is None


async def test_large_documents_do_not_hold_up_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    run = Turns.run

    async def watched(self: Turns, key: str, work: Callable[[], object]) -> object:
        used.append(key)
        return await run(self, key, work)

    found = policies()
    assert await found.compile(LIMIT % "warm", URL, "ac_1") is not None
    monkeypatch.setattr(Turns, "run", watched)
    assert await found.compile(LIMIT % "small", URL, "ac_1") is not None
    assert not used
    assert await found.compile(LIMIT % "large" + "#" * policy.AT_ONCE, URL, "ac_1") is not None
    assert used == ["ac_1"]
    with pytest.raises(Error):
        await found.compile("a: b" + "#" * policy.AT_ONCE, URL, "ac_1")


async def test_options_beside_a_long_text_are_read_where_it_is_compiled() -> None:
    bind = Bind(proto="https", opts={"Compression": {}, "TrafficPolicy": LIMIT % "n" + "#" * policy.AT_ONCE})
    wish = read_wish(bind, EdgeConfig())
    assert callable(wish.policy.source)
    made = await policies().compile(wish.policy.source, URL, "ac_1", size=wish.policy.size)
    assert made is not None
    assert made.has(Phase.HTTP_REQUEST)
    assert made.has(Phase.HTTP_RESPONSE)
    bind.opts["Compression"] = None
    bind.opts["Auth"] = "u:short"
    with pytest.raises(Error, match="360"):
        read_wish(bind, EdgeConfig())
    assert await policies().compile(lambda: "", URL, "ac_1") is None


async def test_the_operators_limits_hold() -> None:
    found = policies()
    found.limits = PolicyLimits(rules=0)
    with pytest.raises(Error, match="2264"):
        await found.compile(LIMIT % "n", URL, "ac_1")


async def test_counts_are_kept_by_account_and_url_and_forgotten_when_nothing_counts_them() -> None:
    found = policies()
    first = await found.compile(LIMIT % "a", URL, "ac_1")
    assert first is not None
    placed = found.place(first, URL, "ac_1", "a")
    [key] = first.state_keys
    placed.state[key] = kept = object()
    assert found.place(first, URL, "ac_1", "a").state[key] is kept
    assert found.place(first, URL, "ac_2", "a").state == {}
    other = await found.compile(LIMIT % "b", URL, "ac_1")
    assert other is not None
    assert found.place(other, URL, "ac_1", "b").state == {}


async def test_endpoints_without_number_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "STATES", 2)
    found = policies()
    made = await found.compile(LIMIT % "a", URL, "ac_0")
    assert made is not None
    states = [found.place(made, URL, f"ac_{n}", "a").state for n in range(3)]
    states[2]["x"] = 1
    assert found.place(made, URL, "ac_0", "a").state is not states[0]
    assert found.place(made, URL, "ac_2", "a").state is states[2]
