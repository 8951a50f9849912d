"""PEM as people upload it."""

import time

import pytest

from portway.control.certificates.pem import Block, blocks

ONE = "-----BEGIN THING-----\naGVs\nbG8=\n-----END THING-----\n"


def test_blocks_stand_between_anything() -> None:
    text = f"# a comment\r\n{ONE}subject=CN = x\n{ONE.replace('THING', 'OTHER THING')} the end"
    found = blocks(text)
    assert [each.label for each in found] == ["THING", "OTHER THING"]
    assert [each.der() for each in found] == [b"hello", b"hello"]
    assert found[0].text == ONE
    assert not found[0].headers


def test_lines_may_end_as_on_windows_and_be_indented() -> None:
    assert blocks(ONE.replace("\n", "\r\n   "))[0].der() == b"hello"


def test_no_block_is_no_error() -> None:
    assert blocks("") == blocks("hello") == []


def test_headers_are_noticed() -> None:
    (block,) = blocks(ONE.replace("aGVs", "Proc-Type: 4,ENCRYPTED\n\naGVs"))
    assert block.headers
    with pytest.raises(ValueError, match="base64"):
        block.der()


@pytest.mark.parametrize("text", [
    "-----BEGIN THING-----\naGVs", "-----BEGIN THING", "-----BEGIN " + "A" * 100 + "-----",
    "-----BEGIN A-----\naGVs\n-----END B-----\n", "-----BEGIN A-----\n" + ONE,
    ONE + "-----BEGIN THING-----\n-----",
])  # fmt: skip
def test_a_block_without_its_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no end|cut off"):
        blocks(text)


def test_a_hostile_text_costs_its_length() -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match="no end"):
        blocks("-----BEGIN A-----" * 100_000)
    assert len(blocks(ONE * 20_000)) == 20_000
    assert time.process_time() - start < 10


def test_nothing_of_the_content_is_shown() -> None:
    assert repr(Block("PRIVATE KEY", "c2VjcmV0", headers=False)) == "Block('PRIVATE KEY', 8 characters)"
