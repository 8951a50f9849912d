"""A PROXY header is taken off the front, and nothing else."""

import pytest
from tests.kit.tape import Tape

from portway.agent.preface import Preface
from portway.codec.proxy_protocol import encode_v1, encode_v2

V1 = encode_v1("1.2.3.4:5", "6.7.8.9:10")
V2 = encode_v2("1.2.3.4:5", "6.7.8.9:10")


@pytest.mark.row("G-133")
@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_header_begins_and_the_rest_follows(header: bytes, step: int) -> None:
    tape, begun = Tape(), list[bytes]()
    preface = Preface(tape, tape, begun.append)
    whole = header + b"the rest"
    for at in range(0, len(whole), step):
        preface.on_data(memoryview(whole)[at : at + step])
    preface.on_end()
    assert begun == [header]
    assert bytes(tape.delivered) == b"the rest"
    assert tape.calls == [f"consume {len(header)}", "on_end"]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1", b"PROXY nonsense\r\n"])
def test_without_a_header_everything_is_passed_on(data: bytes) -> None:
    tape, begun = Tape(), list[bytes]()
    preface = Preface(tape, tape, begun.append)
    preface.on_data(memoryview(data))
    preface.on_data(memoryview(b" more"))
    assert begun == [b""]
    assert bytes(tape.delivered) == data + b" more"
    assert tape.calls == []


def test_an_unfinished_header_goes_as_it_is() -> None:
    tape, begun = Tape(), list[bytes]()
    preface = Preface(tape, tape, begun.append)
    preface.on_data(memoryview(V1[:5]))
    preface.on_end()
    assert begun == [b""]
    assert bytes(tape.delivered) == V1[:5]


def test_resets_and_room_pass_through() -> None:
    tape = Tape()
    preface = Preface(tape, tape, lambda _: None)
    preface.on_room()
    preface.on_reset(14)
    assert tape.calls == ["on_room", "on_reset 14"]
