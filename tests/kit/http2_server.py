"""An upstream that speaks HTTP/2 with the library h2 at the far end of an agent's stream."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.kit.certs import Certs
from tests.kit.http2_client import Answer as Call
from tests.kit.http_edge import AgentStream, Stand, stand


class Http2Server:
    """The upstream of one stream; ``calls`` are the requests that came, by stream."""

    def __init__(self, agent: AgentStream, *, upgrades: bool = False, **settings: int) -> None:
        self.agent = agent
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_inbound_headers=False
        )
        self.conn = h2.connection.H2Connection(config)
        values = {h2.settings.SettingCodes[name]: value for name, value in settings.items()}
        if upgrades:
            values[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.conn.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.conn.initiate_connection()
        self.calls: dict[int, Call] = {}
        self.reading = True
        self._read = 0
        self.flush()

    def flush(self) -> None:
        """Send what the library has to say."""
        data = self.conn.data_to_send()
        if data:
            self.agent.say(data)

    def look(self) -> None:
        """Read what has come since."""
        data = self.agent.data[self._read :]
        self._read += len(data)
        for event in self.conn.receive_data(data):
            self._note(event)
        self.flush()

    def _note(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", 0) or 0
        call = self.calls.setdefault(stream, Call()) if stream else Call()
        if isinstance(event, h2.events.RequestReceived):
            call.fields = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.TrailersReceived):
            call.trailers = dict(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.DataReceived):
            call.body += event.data
            if self.reading and event.flow_controlled_length:
                self.conn.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamEnded):
            call.ended = True
        elif isinstance(event, h2.events.StreamReset):
            call.reset = int(event.error_code or 0)

    async def call(self, number: int = 0) -> int:
        """Wait for the request of that number; return its stream."""

        def came() -> bool:
            self.look()
            return len([call for call in self.calls.values() if call.fields]) > number

        await self.agent.sink.bell.until(came)
        return list(self.calls)[number]

    async def until(self, stream: int, what: str, value: object) -> Call:
        """Wait until an attribute of a call is this."""
        call = self.calls[stream]

        def came() -> bool:
            self.look()
            return getattr(call, what) == value

        await self.agent.sink.bell.until(came)
        return call

    def answer(
        self, stream: int, body: bytes = b"hello", *fields: tuple[str, str], status: int = 200
    ) -> None:
        """Answer with a body of stated length."""
        head = [(":status", str(status)), ("content-length", str(len(body))), *fields]
        self.conn.send_headers(stream, head)
        self.conn.send_data(stream, body, end_stream=True)
        self.flush()


@asynccontextmanager
async def stand2(certs: Certs | None = None) -> AsyncGenerator[Stand]:
    """Open an edge whose agent has an upstream of HTTP/2."""
    async with stand(certs=certs) as made:
        made.endpoint.pool.remove(made.agent)
        made.agent.forwards_proto = "http2"
        made.endpoint.pool.add(made.agent)
        yield made


async def server(made: Stand, number: int = 0, **settings: int) -> Http2Server:
    """Play the upstream of a stream."""
    return Http2Server(await made.agent.stream(number), **settings)  # type: ignore[arg-type]
