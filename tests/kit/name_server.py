"""A name server of a test: knows what it is told, over UDP on loopback."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class _Answering(asyncio.DatagramProtocol):
    def __init__(self, names: Mapping[str, list[str]], asked: list[str]) -> None:
        self._names = names
        self._asked = asked
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
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
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(names: Mapping[str, list[str]]) -> AsyncGenerator[tuple[int, list[str]]]:
    """Run one for the time of the context; gives its port and the names that it is asked."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answering(names, asked), local_addr=("127.0.0.1", 0)
    )
    try:
        yield int(transport.get_extra_info("sockname")[1]), asked
    finally:
        transport.close()
