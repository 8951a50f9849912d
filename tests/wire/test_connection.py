"""The session machine, end to end over two real machines, and by hand-written frames."""

import pytest
from tests.kit.pair import Pair


def test_bytes_go_both_ways_and_both_halves_close() -> None:
    pair = Pair()
    stream, ear = pair.service.open(b'{"Id":"x"}', b"hello")
    pair.settle()
    [(there, other)] = pair.agent.arrived
    assert pair.agent.openings[0].body == b'{"Id":"x"}'
    assert other.received == b"hello"
    assert there.send(b"answer") == 6
    view = stream.lend()
    assert view is not None
    view[:4] = b"more"
    assert stream.filled(4)
    stream.end()
    pair.settle()
    assert other.received == b"hellomore"
    assert other.ended
    assert ear.received == b"answer"
    assert not ear.ended
    there.send(b"!")
    there.end()
    pair.settle()
    assert ear.received == b"answer!"
    assert ear.ended
    assert pair.agent.connection.streams == pair.service.connection.streams == 0
    assert pair.agent.pool.out == pair.service.pool.out == 0


def test_a_bulk_transfer_is_bounded_by_credit_and_completes() -> None:
    pair = Pair()
    stream, _ = pair.service.open()
    payload = bytes(range(256)) * 20_000
    sent = stream.send(payload)
    while True:
        pair.settle()
        if sent == len(payload):
            break
        more = stream.send(payload[sent:])
        assert more
        sent += more
    assert pair.agent.arrived[0][1].received == payload


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_frames_in_pieces(piece: int) -> None:
    pair = Pair()
    stream, ear = pair.agent.call(1, b'{"Id":""}')
    pair.settle(piece)
    [(there, _)] = pair.service.arrived
    assert pair.service.openings[0].body == b'{"Id":""}'
    there.send(b'{"Error":""}')
    there.end()
    pair.settle(piece)
    assert ear.received == b'{"Error":""}'
    assert ear.ended
    stream.end()
    pair.settle(piece)
    assert pair.service.connection.streams == 0


def test_abort_frees_the_slot_on_both_sides() -> None:
    pair = Pair()
    stream, ear = pair.service.open()
    pair.settle()
    stream.abort()
    pair.settle()
    assert pair.agent.arrived[0][1].resets == [6]
    assert ear.resets == []
    assert pair.service.connection.streams == 0
    assert pair.agent.connection.streams == 0
