"""Events as messages of syslog."""

import re

import pytest
from tests.kit.receivers import Carried, item

from portway.control.events.syslog import PORTS, Syslog

HEAD = rb"<134>1 2027-01-15T08:00:00\.000000Z here portway - http_request_complete\.v0 - "


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
async def test_messages_of_a_stream_are_counted(protocol: str) -> None:
    wire = Carried()
    sender = Syslog({"host": "logs.example.com", "protocol": protocol}, wire, "here")
    await sender.send([item(1), item(2)])
    ((host, port, way, messages),) = wire.sent
    assert (host, port, way) == ("logs.example.com", PORTS[protocol], protocol)
    for number, message in enumerate(messages, 1):
        length, _, rest = message.partition(b" ")
        assert int(length) == len(rest)
        assert re.fullmatch(HEAD + re.escape(item(number).body), rest)


async def test_a_datagram_has_one_message_and_no_count() -> None:
    wire = Carried()
    sender = Syslog({"host": "h", "protocol": "udp", "port": 5140}, wire, "here")
    assert (sender.batch_size, sender.batch_seconds) == (1, 0)
    await sender.send([item(1)])
    ((_, port, _, (message,)),) = wire.sent
    assert port == 5140
    assert re.match(HEAD, message)


def test_every_part_of_the_head_fits_its_rules() -> None:
    """RFC 5424 §6.2: printable ASCII without spaces, MSGID of at most 32, "-" for nothing."""
    sender = Syslog({"host": "h", "facility": 0, "app_name": "mine"}, Carried(), "h\u00e9 r\ne")
    long = item(1, seq=1)
    assert sender.message(long).split(b" - ")[:2] == [
        b"<6>1 2027-01-15T08:00:00.000000Z hre mine",
        b"domain_created.v0",
    ]
    assert Syslog({"host": "h"}, Carried(), "\u00e9").message(long).split(b" ")[2] == b"-"
