"""Requests that a peer gives up, and more of them than can be answered at a time."""

import asyncio

import pytest
from tests.kit.certs import Certs
from tests.kit.clock import on_fake_clock
from tests.kit.sessions import Played, frame, typed

from portway.session import ErrorCode, Role, Session, StreamType
from portway.session.session import REQUESTS
from portway.wire.frames import FLAG_SYN, FrameType
from portway.wire.messages import Auth


def opened(stream: int, kind: int = StreamType.BIND) -> bytes:
    """A request, whole."""
    return frame(FrameType.DATA, FLAG_SYN, stream, typed(kind, b"{}"))


def reset(stream: int) -> bytes:
    """The peer does not want it any more."""
    return frame(FrameType.RST, 0, stream, ErrorCode.STREAM_CANCELLED.to_bytes(4, "big"))


async def admitted(certs: Certs) -> Played:
    """A service whose agent has authenticated."""
    played = Played(certs, Role.SERVICE)
    await played.secure()
    played.session.admit(Auth())
    return played


@on_fake_clock
async def test_a_bind_that_nobody_waits_for_is_not_begun_and_an_unbind_is(certs: Certs) -> None:
    played = await admitted(certs)
    for stream, kind in ((3, StreamType.BIND), (5, StreamType.UNBIND), (7, StreamType.BIND)):
        played.peer.send(opened(stream, kind) + (reset(stream) if stream < 7 else b""))
    await played.until(lambda: bool(played.peer.data(7)))
    assert [kind for kind, _ in played.owner.requests] == [StreamType.UNBIND, StreamType.BIND]
    assert not played.session.closed
    await played.close()


@on_fake_clock
async def test_so_many_requests_are_answered_at_a_time(certs: Certs) -> None:
    go_on = asyncio.Event()

    async def late(session: Session, kind: int, body: bytes) -> bytes:
        await go_on.wait()
        return b"{}"

    played = await admitted(certs)
    played.owner.answer = late
    last = 3 + 2 * REQUESTS
    played.peer.send(b"".join(opened(stream) for stream in range(3, last + 2, 2)))
    await played.until(lambda: bool(played.peer.of(last)))
    assert played.peer.of(last)[-1] == (FrameType.RST, 0, ErrorCode.ACCEPT_QUEUE_FULL.to_bytes(4, "big"))
    assert len(played.owner.requests) == REQUESTS
    go_on.set()
    await played.until(lambda: all(played.peer.data(stream) for stream in range(3, last, 2)))
    played.peer.send(opened(last + 2))
    await played.until(lambda: bool(played.peer.data(last + 2)))
    await played.close()


@pytest.mark.parametrize("answered", [0, 50])
@on_fake_clock
async def test_who_gives_requests_up_on_and_on_is_sent_away(
    certs: Certs, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    """What is answered counts against what is given up: an agent that gives up now and then stays."""
    monkeypatch.setattr("portway.session.session.ABANDONED", 1000)
    played = await admitted(certs)
    stream, given_up = 3, 0
    while not played.session.closed:
        batch = range(stream, stream + 200, 2)
        asked = range(batch.stop, batch.stop + 2 * answered, 2)
        last = asked.stop
        played.peer.send(
            b"".join(opened(each) + reset(each) for each in batch),
            b"".join(map(opened, asked)) + opened(last, kind=99),
        )
        stream, given_up = last + 2, given_up + len(batch)
        await played.until(
            lambda wanted=(*asked, last): played.session.closed or all(map(played.peer.of, wanted))
        )
    # Each hundred adds a hundred, less those that were answered.
    assert given_up == (1100 if not answered else 2000)
    await played.until(lambda: played.peer.ended)
    kind, _, number, body = played.peer.frames[-1]
    assert (kind, number) == (FrameType.GOAWAY, 0)
    assert int.from_bytes(body[4:8], "big") == ErrorCode.ENHANCE_YOUR_CALM
    await played.close()
