"""What goes out: random schedules of bodies, windows, stalls and resets, with h2 as the peer."""

import random

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from tests.codec.test_http2 import Owner

from portway.codec.http2 import Fields, Http2
from portway.edge.http2_flow import CLOGGED, Flow, Http2Link

OK: Fields = [(b":status", b"200")]


class Counted(Flow):
    """A flow that counts what it is told."""

    drains = 0
    ends = 0

    def drained(self) -> None:
        self.drains += 1

    def ended(self) -> None:
        self.ends += 1


class Forward(Owner):
    """Tells the link of windows."""

    link: Http2Link

    def on_window(self, stream: int) -> None:
        self.link.on_window(stream)


class Wire:
    """A server's link, and a client of the library at its other end. Bytes come over in random pieces."""

    def __init__(self, choose: random.Random, streams: int) -> None:
        self.choose = choose
        self.on_its_way = bytearray()
        owner = Forward()
        self.core = Http2(
            owner, client=False, streams=100, stream_window=65_536, connection_window=0, head_bytes=1 << 16
        )
        self.link = owner.link = Http2Link(self.core, self._write)
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.client = h2.connection.H2Connection(config)
        window = choose.choice([0, 1, 1000, 65_535, 200_000])
        self.client.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.client.initiate_connection()
        for number in range(streams):
            self.client.send_headers(
                2 * number + 1,
                [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")],
                end_stream=True,
            )
        self.core.feed(self.client.data_to_send())
        self.came = {2 * number + 1: bytearray() for number in range(streams)}
        self.ended: set[int] = set()
        self.owed = dict.fromkeys(self.came, 0)

    def _write(self, data: bytes) -> None:
        self.on_its_way += data

    def carry(self) -> None:
        """Bring some bytes over, and answers back."""
        n = self.choose.randint(0, len(self.on_its_way))
        piece, self.on_its_way = bytes(self.on_its_way[:n]), self.on_its_way[n:]
        for event in self.client.receive_data(piece):
            if isinstance(event, h2.events.DataReceived):
                self.came[event.stream_id] += event.data
                self.owed[event.stream_id] += event.flow_controlled_length
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
        self.link.stuck = len(self.on_its_way) > 100_000

    def grant(self, stream: int) -> None:
        """Give credit: what was taken, or more of it."""
        if stream not in self.ended:
            self.client.increment_flow_control_window(self.choose.randint(1, 100_000), stream)
        self.client.increment_flow_control_window(self.choose.randint(1, 100_000))
        self.core.feed(self.client.data_to_send())


@pytest.mark.parametrize("seed", range(30))
async def test_bytes_come_whole_and_in_order_under_any_schedule(seed: int) -> None:
    choose = random.Random(seed)
    wire = Wire(choose, choose.randint(1, 5))
    flows = {stream: Counted(wire.link, stream) for stream in wire.came}
    bodies = {stream: choose.randbytes(choose.choice([0, 1, 10_000, 300_000])) for stream in flows}
    given = dict.fromkeys(flows, -1)
    reset: set[int] = set()
    for _ in range(20_000):
        stream = choose.choice(list(flows))
        flow = flows[stream]
        if stream in reset:
            pass
        elif given[stream] < 0:
            flow.start(OK)
            given[stream] = 0
        elif given[stream] < len(bodies[stream]) and not flow.clogged:
            piece = bodies[stream][given[stream] : given[stream] + choose.randint(1, 40_000)]
            flow.put(piece)
            given[stream] += len(piece)
        elif given[stream] == len(bodies[stream]) and not flow.finished:
            flow.finish([])
            given[stream] += 1
        assert flow.waiting <= CLOGGED + 40_000  # never more than who fills it puts on top
        if seed % 5 == 0 and len(flows) > 1 and choose.random() < 0.001 and stream not in wire.ended:
            wire.link.cut(flow)
            wire.core.reset(stream, 2)
            reset.add(stream)
        wire.carry()
        if choose.random() < 0.3:
            wire.grant(stream)
        wire.link.flush()
        if wire.ended | reset == set(flows):
            break
    else:
        raise AssertionError(f"stalled: {wire.link!r}, {len(wire.ended)} of {len(flows)} ended")
    while wire.on_its_way:
        wire.carry()
    for stream, flow in flows.items():
        if stream in reset:
            assert bodies[stream].startswith(bytes(wire.came[stream]))
        else:
            assert wire.came[stream] == bodies[stream]
            assert flow.ends == 1


async def test_streams_take_turns() -> None:
    """A small answer does not wait for a big one."""
    wire = Wire(random.Random(0), 2)
    for _ in range(100):
        wire.client.increment_flow_control_window(1 << 20)
        wire.client.increment_flow_control_window(1 << 20, 1)
        wire.client.increment_flow_control_window(1 << 20, 3)
    wire.core.feed(wire.client.data_to_send())
    big, small = Counted(wire.link, 1), Counted(wire.link, 3)
    for flow, body in ((big, bytes(10_000_000)), (small, b"small")):
        flow.start(OK)
        flow.put(body)
        flow.finish([])
    wire.link.stuck = False
    order: list[int] = []
    big.ended = lambda: order.append(1)  # type: ignore[method-assign]
    small.ended = lambda: order.append(3)  # type: ignore[method-assign]
    wire.link.flush()
    assert order == [3, 1]


async def test_nothing_is_sent_while_the_way_out_is_stuck() -> None:
    wire = Wire(random.Random(0), 1)
    flow = Counted(wire.link, 1)
    wire.link.flush()
    wire.link.stuck = True
    flow.start(OK)
    flow.finish([])
    before = len(wire.on_its_way)
    wire.link.flush()
    assert len(wire.on_its_way) == before
    wire.link.resume()
    assert flow.ends == 1
