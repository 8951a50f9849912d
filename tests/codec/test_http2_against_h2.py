"""Connections of HTTP/2, held to the library h2: it hears what we say, and we hear what it says."""

import random

import h2.config
import h2.connection
import h2.events
import pytest
from tests.codec.test_http2 import REQUEST, Owner

from portway.codec.http2 import Fields, Http2

Headed = h2.events.RequestReceived | h2.events.ResponseReceived | h2.events.TrailersReceived


def fields_of(event: "Headed") -> Fields:
    """Return the fields of a head, which were not decoded."""
    return [(name, value) for name, value in event.headers or []]  # type: ignore[misc]


class Peer:
    """A connection of h2, and what it was told, in the words of ``Owner``."""

    def __init__(self, *, client: bool) -> None:
        config = h2.config.H2Configuration(client_side=client, header_encoding=None)
        self.conn = h2.connection.H2Connection(config)
        self.conn.initiate_connection()
        self.told: list[tuple[object, ...]] = []

    def feed(self, data: bytes) -> None:
        for event in self.conn.receive_data(data):
            stream = getattr(event, "stream_id", None) or 0
            if isinstance(event, h2.events.RequestReceived | h2.events.ResponseReceived):
                self.told.append(("head", stream, fields_of(event)))
            elif isinstance(event, h2.events.DataReceived):
                self.told.append(("data", stream, event.data))
                self.conn.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, h2.events.TrailersReceived):
                self.told.append(("trailers", stream, fields_of(event)))
            elif isinstance(event, h2.events.StreamEnded):
                self.told.append(("end", stream))
            elif isinstance(event, h2.events.StreamReset):
                self.told.append(("reset", stream, int(event.error_code or 0)))


class Log(Owner):
    """Writes down the same, and gives credit back at once."""

    core: Http2

    def on_head(self, stream: int, fields: Fields, *, ended: bool) -> None:
        self.told.append(("head", stream, fields))
        if ended:
            self.told.append(("end", stream))

    def on_payload(self, stream: int, data: bytes, size: int) -> None:
        self.told.append(("data", stream, data))
        self.core.consumed(stream, size)

    def on_finished(self, stream: int, trailers: Fields) -> None:
        if trailers:
            self.told.append(("trailers", stream, trailers))
        self.told.append(("end", stream))

    def on_stream_reset(self, stream: int, code: int, *, by_peer: bool) -> None:
        self.told.append(("reset", stream, code))

    def on_idle_frame(self) -> None:
        pass


def merged(told: list[tuple[object, ...]], stream: int) -> list[tuple[object, ...]]:
    """Return what was told of a stream, its body in one piece."""
    found: list[tuple[object, ...]] = []
    for kind, number, *more in told:
        if number == stream:
            if kind == "data" and found and found[-1][0] == "data":
                found[-1] = ("data", found[-1][1] + more[0])  # type: ignore[operator]
            else:
                found.append((kind, *more))
    return [each for each in found if each != ("data", b"")]


class Match:
    """One of ours and one of the library's, which say random things that are legal."""

    def __init__(self, choose: random.Random, *, client: bool) -> None:
        self.choose = choose
        self.client = client
        self.log, self.peer = Log(), Peer(client=not client)
        self.log.core = self.ours = Http2(
            self.log,
            client=client,
            streams=100,
            stream_window=70_000,
            connection_window=0,
            head_bytes=1 << 16,
        )
        self.said: dict[bool, list[tuple[object, ...]]] = {True: [], False: []}  # by us, by the library
        self.pipes = {True: bytearray(), False: bytearray()}
        self.open: set[tuple[bool, int]] = set()  # who may say something more of which stream
        self.answered: set[int] = set()
        self.opened = 0

    def bring(self) -> bool:
        """Bring some bytes over, both ways; say whether some are on their way."""
        self.pipes[True] += self.ours.output()
        self.pipes[False] += self.peer.conn.data_to_send()
        for us, feed in ((True, self.peer.feed), (False, self.ours.feed)):
            size = self.choose.randint(0, len(self.pipes[us]))
            piece, self.pipes[us] = bytes(self.pipes[us][:size]), self.pipes[us][size:]
            feed(piece)
        return any(self.pipes.values())

    def say(self) -> None:
        """Open a stream, answer one, or say more of one."""
        if self.opened < 12 and self.choose.random() < 0.1:
            stream, self.opened = 2 * self.opened + 1, self.opened + 1
            end = self.choose.random() < 0.3
            value = b"v" * self.choose.randrange(200)
            self.head(
                self.client, stream, [*REQUEST, (b"x-%d" % self.choose.randrange(3), value)], "head", end
            )
        elif self.opened:
            us, stream = self.choose.random() < 0.5, 2 * self.choose.randrange(self.opened) + 1
            if (us, stream) in self.open:
                self.more(us, stream)
            elif self.may_answer(us, stream):
                self.answered.add(stream)
                fields = [(b":status", b"200"), (b"server", b"s%d" % self.choose.randrange(3))]
                self.head(us, stream, fields, "head", False)

    def may_answer(self, us: bool, stream: int) -> bool:
        heard = self.log.told if us else self.peer.told
        asked = us != self.client and any(each[:2] == ("head", stream) for each in heard)
        return asked and stream not in self.answered

    def more(self, us: bool, stream: int) -> None:
        """Send trailers, or a piece of a body as long as the windows allow."""
        if self.choose.random() < 0.05:
            self.head(us, stream, [(b"t", b"%d" % self.choose.randrange(3))], "trailers", True)
            return
        window = self.ours.room(stream) if us else self.peer.conn.local_flow_control_window(stream)
        data = bytes(min(self.choose.choice([0, 1, 1000, 16_000]), max(0, window - 6)))
        end = self.choose.random() < 0.1
        if us:
            self.ours.payload(stream, data, end=end)
        else:
            padding = self.choose.choice([None, 0, 5]) if window >= 6 else None
            self.peer.conn.send_data(stream, data, end_stream=end, pad_length=padding)
        self.note(us, stream, ("data", stream, data), end)

    def head(self, us: bool, stream: int, fields: Fields, kind: str, end: bool) -> None:
        if us:
            self.ours.head(stream, fields, end=end)
        else:
            self.peer.conn.send_headers(stream, fields, end_stream=end)
        self.open.add((us, stream))
        self.note(us, stream, (kind, stream, fields), end)

    def note(self, us: bool, stream: int, what: tuple[object, ...], end: bool) -> None:
        self.said[us].append(what)
        if end:
            self.said[us].append(("end", stream))
            self.open.remove((us, stream))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("client", [True, False])
def test_the_library_hears_what_is_said_and_is_heard(seed: int, *, client: bool) -> None:
    """Random calls of both sides, carried in random pieces; each stream is the same at both ends."""
    match = Match(random.Random(seed), client=client)
    for _ in range(400):
        match.bring()
        match.say()
    while match.bring():
        pass
    match.bring()
    assert match.opened > 5
    for stream in range(1, 2 * match.opened, 2):
        assert merged(match.log.told, stream) == merged(match.said[False], stream)
        assert merged(match.peer.told, stream) == merged(match.said[True], stream)
