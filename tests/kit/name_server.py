"""A name server of a test: knows what it is told, over UDP and TCP on loopback."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.kit.traffic import server


class _Answering(asyncio.DatagramProtocol):
    def __init__(self, zone: "_Zone", *, short: bool) -> None:
        self._zone = zone
        self._short = short
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        answer = self._zone.answer(data)
        if self._short:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
        for wire in (b"garbage", answer.to_wire()):
            self._transport.sendto(wire, addr)


class _Zone:
    def __init__(self, names: Mapping[str, list[str]], asked: list[str]) -> None:
        self._names = names
        self._asked = asked

    def answer(self, data: bytes) -> dns.message.Message:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self._asked.append(name)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name not in self._names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        wanted = [
            each
            for each in self._names.get(name, [])
            if (":" in each) == (question.rdtype == dns.rdatatype.AAAA)
        ]
        if wanted:
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", question.rdtype, wanted))
        return answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2))
        wire = self.answer(await reader.readexactly(length)).to_wire()
        writer.write(len(wire).to_bytes(2) + wire)
        writer.close()


@asynccontextmanager
async def name_server(
    names: Mapping[str, list[str]], *, short: bool = False
) -> AsyncGenerator[tuple[int, list[str]]]:
    """Run one for the time of the context; gives its port and the names that it is asked.

    ``short``: by UDP it says no more than that the answer is too long for that.
    """
    asked: list[str] = []
    zone = _Zone(names, asked)
    async with server(zone.serve) as port:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Answering(zone, short=short), local_addr=("127.0.0.1", port)
        )
        try:
            yield port, asked
        finally:
            transport.close()
