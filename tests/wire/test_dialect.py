"""Reading of JSON under keys of any spelling."""

import msgspec
import pytest

from portway.errors import MessageError
from portway.wire.dialect import MAX_DEPTH, decode, encode, read


class Inner(msgspec.Struct, frozen=True, rename={"name": "Name"}):
    """A nested message."""

    name: str = ""


class Outer(msgspec.Struct, frozen=True, rename="pascal"):
    """A message with each kind of field."""

    required: str
    one: Inner | None = None
    many: tuple[Inner, ...] | None = None
    free: dict[str, object] = {}


def test_objects_in_lists_and_options_are_folded() -> None:
    body = b'{"ONE":{"name":"a"},"many":[{"NAME":"b"},{"x":1}],"Required":"r"}'
    assert decode(Outer, body) == Outer("r", Inner("a"), (Inner("b"), Inner()))


def test_free_maps_are_left_alone() -> None:
    assert decode(Outer, b'{"FREE":{"Name":null,"name":1}}').free == {"Name": None, "name": 1}


def test_an_absent_required_field_is_its_zero_value() -> None:
    assert decode(Outer, b"{}").required == ""


def test_of_two_spellings_the_last_counts() -> None:
    assert decode(Inner, b'{"Name":"a","NAME":"b"}').name == "b"


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1])
def test_depth_is_counted_in_lists_and_objects(levels: int) -> None:
    body = b'{"x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    if levels > MAX_DEPTH:
        with pytest.raises(MessageError, match="deeper than 16"):
            decode(Inner, body)
    else:
        assert decode(Inner, body) == Inner()


def test_read_takes_decoded_values_and_names_the_path() -> None:
    with pytest.raises(MessageError, match=r"^Outer.Many\[0\].Name: expected str, got bool$"):
        read(Outer, {"many": [{"name": True}]})


def test_encode_writes_one_line() -> None:
    assert encode(Outer("r")) == b'{"Required":"r","One":null,"Many":null,"Free":{}}'
