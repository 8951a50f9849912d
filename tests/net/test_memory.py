"""The Pipe in memory, and with it the conformance suite itself."""

from collections.abc import Callable

import pytest
import pytest_asyncio
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder

from portway.errors import LocalProtocolError
from portway.net.memory import memory_pair


class TestMemoryPipe(PipeContract):
    """The contract, over a pair in memory."""

    bound = 262_144 + 1

    @pytest_asyncio.fixture
    async def ends(self) -> Ends:
        """Join two ends."""
        bell = Bell()
        one, two = memory_pair()
        a, b = End(one, Recorder(bell)), End(two, Recorder(bell))
        one.attach(a.sink)
        two.attach(b.sink)
        return Ends(a, b, bell)


class TestScheduled:
    """Without a loop: deliveries run when the test says so."""

    @pytest.fixture
    def deeds(self) -> list[Callable[[], None]]:
        """What is to be run."""
        return []

    def test_nothing_is_delivered_within_a_call(self, deeds: list[Callable[[], None]]) -> None:
        """`filled` and `end` call no Sink."""
        one, two = memory_pair(schedule=deeds.append)
        sink = Recorder(Bell())
        sink.pipe = two
        two.attach(sink)
        view = one.lend()
        assert view is not None
        view[:3] = b"abc"
        assert one.filled(3)
        one.end()
        assert not sink.data
        while deeds:
            deeds.pop(0)()
        assert sink.data == b"abc"
        assert sink.ends == 1

    def test_credit_is_a_window(self, deeds: list[Callable[[], None]]) -> None:
        """A window of ten bytes takes ten; the next come with credit."""
        one, two = memory_pair(window=10, schedule=deeds.append)
        far, near = Recorder(Bell(), consuming=False), Recorder(Bell())
        far.pipe, near.pipe = two, one
        one.attach(near)
        two.attach(far)
        assert one.send(b"0123456789ab") == 10
        assert one.lend() is None
        while deeds:
            deeds.pop(0)()
        assert two.outstanding == 10
        assert near.rooms == 0
        two.consume(4)
        while deeds:
            deeds.pop(0)()
        assert near.rooms == 1
        view = one.lend()
        assert view is not None
        assert len(view) == 4

    def test_too_much_credit_is_a_bug(self, deeds: list[Callable[[], None]]) -> None:
        """Consuming what was not delivered fails at once."""
        _, two = memory_pair(schedule=deeds.append)
        with pytest.raises(LocalProtocolError, match="0 bytes are outstanding"):
            two.consume(1)

    def test_filled_needs_its_lend(self, deeds: list[Callable[[], None]]) -> None:
        """None, one that is too small, and one that was settled already."""
        one, _ = memory_pair(window=10, schedule=deeds.append)
        with pytest.raises(LocalProtocolError, match="without a lend"):
            one.filled(1)
        assert one.lend() is not None
        with pytest.raises(LocalProtocolError, match="without a lend"):
            one.filled(11)
        assert one.lend() is not None
        one.filled(5)
        with pytest.raises(LocalProtocolError, match="without a lend"):
            one.filled(1)

    def test_repr_shows_credit(self, deeds: list[Callable[[], None]]) -> None:
        """For logs."""
        one, _ = memory_pair(window=7, schedule=deeds.append)
        assert repr(one) == "<MemoryPipe open credit=7 outstanding=0>"
