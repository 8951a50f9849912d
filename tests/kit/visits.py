"""HTTP visitors of an endpoint of the fake service, as the service would bring them."""

import asyncio
from typing import Self

from portway import Endpoint
from portway.codec.chunked import ChunkScanner
from portway.codec.http1 import Kind, find_head, parse_response
from tests.kit.fake_service import FakeService
from tests.kit.readers import open_reader_writer

PATIENCE = 20.0


class Answer:
    """What an application answered."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Keep the three parts; names in lower case."""
        self.status = status
        self.headers = headers
        self.body = body


class Visit:
    """One visitor's connection, with reader and writer."""

    def __init__(self, service: FakeService, endpoint: Endpoint) -> None:
        """Come to an endpoint."""
        self.reader, self.writer, sink = open_reader_writer()
        self.stream = service.last.visit(endpoint.id, sink, proto=endpoint.protocol)
        sink.join(self.stream)

    async def ask(self, text: str, body: bytes = b"", *, method: str = "GET") -> Answer:
        """Send a head of these lines (request line first, Host is added) and a body; read the answer."""
        line, *fields = text.split("\n")
        head = "\r\n".join((line, "Host: public.example", *fields, "", ""))
        self.writer.write(head.encode() + body)
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> Answer:
        """Read the next answer that is not interim."""
        async with asyncio.timeout(PATIENCE):
            while True:
                head = await self.reader.readuntil(b"\r\n\r\n")
                assert find_head(head) == len(head)
                response = parse_response(head, method.encode())
                if response.status >= 200 or response.status == 101:
                    break
            headers = {name.decode().lower(): value.decode() for name, value in response.headers}
            return Answer(
                response.status, headers, await self._body(response.framing.kind, response.framing.length)
            )

    async def _body(self, kind: Kind, length: int) -> bytes:
        if kind is Kind.LENGTH:
            return await self.reader.readexactly(length)
        if kind is Kind.CLOSE:
            return await self.reader.read()
        pieces: list[bytes] = []
        scanner = ChunkScanner(502)
        while kind is Kind.CHUNKED and not scanner.done:
            line = await self.reader.readuntil(b"\r\n")
            size = int(line, 16)
            scanner.scan(line + await self.reader.readexactly(size + 2), pieces)
        return b"".join(pieces)

    async def ended(self) -> bool:
        """Say whether the application ends the connection without a further byte."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read() == b""

    async def close(self) -> None:
        """Leave."""
        self.writer.transport.abort()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""
        await self.close()
