"""Header compression, held to the library hpack: what either writes the other reads."""

import random

import pytest
from hpack import Decoder, Encoder, HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.codec.http2_hpack import STATIC, Fields, Reader, Writer, packed, unpacked
from portway.errors import RemoteProtocolError

MOST = 10_000
FIELD = st.tuples(
    st.sampled_from(
        [b":status", b"content-type", b"content-length", b"etag", b"set-cookie", b"x", b"y" * 150]
    ),
    st.sampled_from([b"200", b"text/plain", b"13", b"", b"a" * 40, b"\xff\0" * 60]),
)
STEP = st.tuples(st.sampled_from([0, 40, 80, 4096, 4096, 4096]), st.lists(FIELD, min_size=1, max_size=4))


def refused(block: bytes, most: int = MOST) -> int:
    """Return the code with which a block is refused."""
    with pytest.raises(RemoteProtocolError) as caught:
        Reader(most).read(block)
    return caught.value.code


def test_tables_are_those_of_the_rfc() -> None:
    assert STATIC == HeaderTable.STATIC_TABLE
    judge = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
    for symbol in range(256):
        text = bytes((symbol, 0x61, symbol))
        assert packed(text) == judge.encode(text)
        assert unpacked(packed(text)) == text


@given(st.binary(max_size=60))
def test_any_bytes_are_the_same_text_or_none(data: bytes) -> None:
    try:
        text = decode_huffman(data)
    except HPACKError:
        with pytest.raises(RemoteProtocolError):
            unpacked(data)
    else:
        assert unpacked(data) == text


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=2, max_size=12))
def test_heads_are_read_as_they_were_written(steps: list[tuple[int, Fields]]) -> None:
    """Both tables hold the same all along, whatever sizes their readers bear."""
    ours, theirs, reader, decoder = Writer(), Encoder(), Reader(1 << 20), Decoder(1 << 20)
    for size, fields in steps:
        ours.resize(size)
        decoder.max_allowed_table_size = size
        for _ in range(2):
            assert [tuple(each) for each in decoder.decode(ours.write(fields), raw=True)] == fields
        theirs.header_table_size = size
        for huffman in (True, False):
            assert reader.read(theirs.encode(fields, huffman)) == fields


@pytest.mark.parametrize("seed", range(5))
def test_blocks_with_mistakes_are_read_as_the_library_reads_them(seed: int) -> None:
    """Or refused by both; a table that both have filled is there."""
    choose = random.Random(seed)
    taken = 0
    for _ in range(150):
        encoder, decoder, reader = Encoder(), Decoder(MOST), Reader(MOST)
        fields: Fields = [
            (choose.choice([b"x", b"cookie", b":path"]), choose.randbytes(choose.randrange(20)))
            for _ in range(4)
        ]
        first = encoder.encode(fields)
        assert reader.read(first) == [tuple(each) for each in decoder.decode(first, raw=True)]
        block = bytearray(encoder.encode(fields[:2]) + encoder.encode([(b"new", b"1"), *fields]))
        for _ in range(choose.randint(1, 3)):
            block[choose.randrange(len(block))] = choose.choice(
                [0, 0x20, 0x3F, 0x7F, 0xFF, choose.getrandbits(8)]
            )
        try:
            expected = [tuple(each) for each in decoder.decode(bytes(block), raw=True)]
        except HPACKError:
            with pytest.raises(RemoteProtocolError):
                reader.read(bytes(block))
        else:
            assert reader.read(bytes(block)) == expected
            taken += 1
    assert taken > 5  # so both ways were gone


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # entry 0
        b"\xbe",  # an entry of an empty table
        b"\xff\xff\xff\xff\xff\xff\x00",  # a number without end
        b"\x7f",  # a name's number is cut
        b"\x00",
        b"\x00\x05abc",
        b"\x00\x01a",
        b"\x00\x01a\x7f\xff",
        b"\x00\x01a\x81\x00",  # a text that is padded with zeros
        b"\x00\x01a\x82\x1f\xff",  # and one with a byte of padding
        b"\x00\x01a\x84\xff\xff\xff\xff",  # the end within a text
        b"\x82\x20",  # a size behind a field
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
    ],
)
def test_malformed_blocks(block: bytes) -> None:
    assert refused(block) == 9


def test_a_block_that_grows_when_it_is_read() -> None:
    writer = Writer()
    block = writer.write([(b"x-bomb", b"y" * 3000)] * 100)
    assert len(block) < 3000
    assert refused(block) == 11
    assert len(Reader(310_000).read(block)) == 100


def test_a_field_above_the_table_empties_it() -> None:
    reader, encoder = Reader(1 << 20), Encoder()
    assert reader.read(encoder.encode([(b"a", b"1"), (b"b", b"x" * 5000)])) == [
        (b"a", b"1"),
        (b"b", b"x" * 5000),
    ]
    with pytest.raises(RemoteProtocolError):
        reader.read(b"\xbe")


def test_what_repeats_is_written_short_and_secrets_never_enter_the_table() -> None:
    writer = Writer()
    fields: Fields = [(b":status", b"200"), (b"server", b"x"), (b"content-length", b"13")]
    first = writer.write(fields)
    assert writer.write(fields) == b"\x88\xbe" + first[-5:]
    secret: Fields = [(b"set-cookie", b"a=1"), (b"authorization", b"Basic x")]
    written = writer.write(secret)
    assert writer.write(secret) == written
    decoded = list(Decoder().decode(written, raw=True))
    assert [tuple(each) for each in decoded] == secret
    assert not any(each.indexable for each in decoded)


def test_a_table_that_shrank_meanwhile_is_told_of() -> None:
    writer, decoder = Writer(), Decoder()
    assert decoder.decode(writer.write([(b"a", b"1")]), raw=True)
    writer.resize(0)
    writer.resize(9999)
    block = writer.write([(b"a", b"1")])
    assert block.startswith(b"\x20\x3f\xe1\x1f\x40")  # down to 0, up to 4096, and spelled anew
    assert [tuple(each) for each in decoder.decode(block, raw=True)] == [(b"a", b"1")]
