"""Filters in a body's way: in order, whole or as it streams, and never raising."""

from collections.abc import Callable

from portway.edge.policy_filters import Chain, Gathering
from portway.policy.actions import ActionFailed


class Upper:
    """Gives pieces on at once, and an end."""

    def feed(self, data: bytes) -> bytes:
        """Change a piece."""
        return data.upper()

    def end(self) -> bytes:
        """End."""
        return b"."


class Held:
    """Gives everything at the end."""

    whole = True

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        """Change with this."""
        self._change = change
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Keep a piece."""
        self._held += data
        return b""

    def end(self) -> bytes:
        """Give it."""
        return self._change(self._held)


def nothing(_error: ActionFailed) -> None:
    raise AssertionError


def test_each_filter_gets_what_the_one_before_gives_its_end_too() -> None:
    chain = Chain([Upper(), Held(lambda data: data[::-1])], nothing)
    assert chain.gathers
    assert chain.feed(b"ab") == chain.feed(b"c") == b""
    assert chain.end() == b".CBA"
    plain = Chain([Upper()], nothing)
    assert not plain.gathers
    assert (plain.feed(b"a"), plain.end()) == (b"A", b".")


def test_a_gathering_hands_over_the_whole() -> None:
    got: list[bytes] = []
    gathering = Gathering(Chain([Upper()], nothing), got.append)
    assert gathering.feed(b"a") == gathering.feed(b"b") == gathering.end() == b""
    assert got == [b"AB."]


def test_what_fails_is_told_once_and_gives_nothing_more() -> None:
    told: list[int] = []

    def fail(_data: bytes) -> bytes:
        raise ActionFailed(3904, "no")

    def crash(_data: bytes) -> bytes:
        raise RuntimeError

    for change, code in ((fail, 3904), (crash, 2300)):
        chain = Chain([Held(change)], lambda error: told.append(error.code))
        assert chain.feed(b"a") == chain.end() == chain.end() == b""
        assert told.pop() == code
        assert not told
