"""Credit accounts and their invariants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.pair import Side, agent, data, service, wndinc

from portway.errors import LocalProtocolError
from portway.wire import OFFICIAL_GO, OFFICIAL_RUST, PORTWAY, STRICT, Profile
from portway.wire.frames import INITIAL_WINDOW, MAX_CREDIT, NEAR_WINDOW, OWN_WINDOW, RAISED_WINDOW
from portway.wire.window import GRANT_STEP, SESSION_GRANTS, SMALL_STEP, Account


def test_credit_is_cut_to_the_cap() -> None:
    account = Account()
    account.credit = 0
    account.gain(1000, INITIAL_WINDOW)
    assert account.credit == 1000
    account.gain(MAX_CREDIT, INITIAL_WINDOW)
    assert account.credit == INITIAL_WINDOW


def test_more_than_was_delivered_cannot_be_consumed() -> None:
    account = Account()
    account.grant -= 10
    assert not account.digest(10)
    with pytest.raises(LocalProtocolError):
        account.digest(1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400_000)), max_size=60), st.booleans())
def test_the_peer_never_has_more_than_the_window(steps: list[tuple[bool, int]], raises: bool) -> None:
    account = Account()
    on_the_way = 0
    for receive, n in steps:
        if receive:
            taken = min(n, account.grant)
            account.grant -= taken
            on_the_way += taken
        else:
            gone = min(n, on_the_way)
            on_the_way -= gone
            if account.digest(gone):
                extra = RAISED_WINDOW - account.window if raises else 0
                assert account.give_back(extra) >= GRANT_STEP
        assert account.consumed < GRANT_STEP
        assert account.grant + account.consumed + on_the_way == account.window
        assert account.window in (INITIAL_WINDOW, RAISED_WINDOW)


# -- on the machine


def receive(side: Side, stream: int, n: int) -> list[int]:
    """Feed n bytes in frames of 64 KiB; return the increments of the WNDINCs that went out."""
    for start in range(0, n, 65_536):
        side.feed(data(stream, bytes(min(65_536, n - start))))
    return [frame.value for frame in side.frames() if frame.type == 2]


@pytest.mark.row("S6")
def test_credit_returns_in_steps_of_what_was_consumed() -> None:
    side = service(STRICT)
    stream, _ = side.open(eager=False)
    side.flush_all()
    assert receive(side, 2, 200_000) == []
    stream.consume(SMALL_STEP - 1)
    assert side.frames() == []
    stream.consume(1)
    assert [(frame.type, frame.value) for frame in side.frames()] == [(2, SMALL_STEP)]
    stream.consume(SMALL_STEP + 9)
    assert [(frame.type, frame.value) for frame in side.frames()] == [(2, SMALL_STEP + 9)]
    stream.consume(200_000 - 6 * SMALL_STEP)
    assert side.frames() == []
    assert stream.grant == INITIAL_WINDOW - 200_000 + 2 * SMALL_STEP + 9


def test_unflushed_grants_of_a_stream_are_one_frame() -> None:
    side = service(STRICT)
    stream, _ = side.open(eager=False)
    other, _ = side.open(eager=False)
    side.flush_all()
    receive(side, 2, INITIAL_WINDOW)
    receive(side, 4, INITIAL_WINDOW)
    stream.consume(GRANT_STEP)
    other.consume(GRANT_STEP)
    stream.consume(GRANT_STEP)
    frames = side.frames()
    assert [(frame.stream, frame.value) for frame in frames] == [(2, 2 * GRANT_STEP), (4, GRANT_STEP)]
    receive(side, 2, GRANT_STEP)
    stream.consume(GRANT_STEP)
    assert [frame.value for frame in side.frames()] == [GRANT_STEP]


@pytest.mark.parametrize(("profile", "raised"), [(PORTWAY, OWN_WINDOW), (OFFICIAL_GO, RAISED_WINDOW)])
def test_the_first_grant_raises_the_window_once(profile: Profile, raised: int) -> None:
    side = service(profile)
    stream, _ = side.open()
    side.flush_all()
    assert receive(side, 2, GRANT_STEP) == [GRANT_STEP + raised - INITIAL_WINDOW]
    assert stream.window == raised
    assert receive(side, 2, GRANT_STEP) == [GRANT_STEP]
    assert side.connection.raised == raised - INITIAL_WINDOW
    side.feed(data(2, b"", fin=True))
    assert side.connection.raised == 0


@pytest.mark.parametrize(("profile", "near"), [(PORTWAY, NEAR_WINDOW), (OFFICIAL_GO, RAISED_WINDOW)])
def test_toward_a_near_peer_of_ours_windows_are_raised_by_less(profile: Profile, near: int) -> None:
    side = service(profile)
    side.connection.near = True
    stream, _ = side.open()
    side.flush_all()
    assert receive(side, 2, GRANT_STEP) == [GRANT_STEP + near - INITIAL_WINDOW]
    assert stream.window == near


def test_what_was_raised_by_less_is_raised_on_when_the_peer_proves_far() -> None:
    side = service(PORTWAY)
    side.connection.near = True
    stream, _ = side.open()
    side.flush_all()
    receive(side, 2, GRANT_STEP)
    side.connection.near = False
    assert receive(side, 2, GRANT_STEP) == [GRANT_STEP + OWN_WINDOW - NEAR_WINDOW]
    assert stream.window == OWN_WINDOW
    side.connection.near = True
    assert receive(side, 2, GRANT_STEP) == [GRANT_STEP]
    assert side.connection.raised == OWN_WINDOW - INITIAL_WINDOW


def test_no_window_is_raised_toward_peers_that_ignore_it() -> None:
    side = service(OFFICIAL_RUST)
    side.open()
    side.flush_all()
    assert receive(side, 2, GRANT_STEP) == [GRANT_STEP]


def test_raising_stops_where_the_session_has_given_enough() -> None:
    side = agent(PORTWAY)
    for n in range(128):
        side.feed(data(2 + 2 * n, b"\0\0\0\x03" + (2).to_bytes(8, "little") + b"{}", syn=True))
    windows: list[int] = []
    for n in range(128):
        assert len(receive(side, 2 + 2 * n, GRANT_STEP)) == 1
        windows = [stream.window for stream in side.connection.slots.streams.values()]
        assert sum(windows) <= SESSION_GRANTS
    assert windows.count(OWN_WINDOW) == (SESSION_GRANTS - 128 * INITIAL_WINDOW) // (
        OWN_WINDOW - INITIAL_WINDOW
    )


@pytest.mark.row("S5", "A8")
def test_no_more_is_sent_than_was_granted_whatever_the_peer_says() -> None:
    side = service(OFFICIAL_GO)
    stream, _ = side.open()
    side.feed(wndinc(2, 16 << 20))
    sent = 0
    while taken := stream.send(bytes(100_000)):
        sent += taken
        sent_frames = side.frames()
        assert max(len(frame.body) for frame in sent_frames) <= OFFICIAL_GO.frame_limit
    assert sent == INITIAL_WINDOW

    side = service(PORTWAY)
    stream, _ = side.open()
    side.feed(wndinc(2, MAX_CREDIT), wndinc(2, MAX_CREDIT))
    assert stream.credit == MAX_CREDIT


@pytest.mark.row("S5")
def test_the_opening_costs_credit_too() -> None:
    side = service(STRICT)
    stream, _ = side.open(b"{}" + b" " * 998, b"x" * 500)
    assert stream.credit == INITIAL_WINDOW - 4 - 8 - 1500


@pytest.mark.row("A7", "S6")
def test_a_byte_too_many_resets_that_stream_alone() -> None:
    side = service(PORTWAY)
    one, ear = side.open(eager=False)
    two, _ = side.open()
    side.flush_all()
    side.feed(data(2, bytes(200_000)), data(2, bytes(62_144)))
    assert not ear.resets
    side.feed(data(2, b"!"), data(4, b"fine"))
    assert ear.resets == [3]
    assert [(frame.type, frame.stream, frame.value) for frame in side.frames()] == [(0, 2, 3)]
    assert one.state.name == "ABORTED"
    assert two.state.name == "OPEN"
    assert len(ear.received) == INITIAL_WINDOW


@pytest.mark.row("A7")
def test_a_frame_longer_than_the_window_is_too_long() -> None:
    side = agent(PORTWAY)
    _, ear = side.call(1)
    _, other = side.call(1)
    side.flush_all()
    side.feed(data(3, bytes(INITIAL_WINDOW + 1)), data(5, b"fine"))
    assert ear.resets == [8]
    assert ear.received == b""
    assert other.received == b"fine"
    assert [(frame.type, frame.value) for frame in side.frames()] == [(0, 8)]
