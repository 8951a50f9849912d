"""Codings: what is negotiated, that nothing is delayed, that others can read it, that bombs are stopped."""

import gzip
import os
import zlib
from collections.abc import Callable
from typing import Any, cast

import brotli as untyped
import pytest
from backports import zstd

from portway.codec.compression import CODINGS, DecodeError, decodable, decode, encoder, negotiate

brotli: Any = untyped
ABLE = ("gzip", "deflate", "br", "zstd")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("br;q=1.0, gzip;q=0.8", "br"),
        ("GZIP;Q=0.5, Br", "br"),
        ("*", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("x-gzip", "gzip"),
        ("compress", None),
        ("", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=nonsense", None),
        ("*;q=0", None),
        ("zstd ; q=0.9 , br ;q=0.8", "zstd"),
    ],
)
def test_the_best_that_both_know_is_chosen(accept: str, expected: str | None) -> None:
    assert negotiate(accept) == expected


def test_ties_go_by_the_order_of_the_policy() -> None:
    assert negotiate("gzip, br", ("br", "gzip")) == "br"
    assert negotiate("gzip, br", ("deflate",)) is None
    assert negotiate("gzip", ("compress",)) is None


def test_every_coding_has_a_name_that_may_be_configured() -> None:
    assert CODINGS == ("gzip", "deflate", "br", "compress", "zstd")


def inflater(name: str) -> Callable[[bytes], bytes]:
    if name == "br":
        return cast("Callable[[bytes], bytes]", brotli.Decompressor().process)
    if name == "zstd":
        return zstd.ZstdDecompressor().decompress
    return zlib.decompressobj(31 if name == "gzip" else 15).decompress


@pytest.mark.parametrize("name", ABLE)
def test_nothing_is_delayed(name: str) -> None:
    body, read = encoder(name), inflater(name)
    for n in range(50):
        piece = f"data: message {n}\n\n".encode()
        assert read(body.feed(piece)) == piece
    assert body.feed(b"") == b""
    assert read(body.end()) == b""


@pytest.mark.parametrize("name", ABLE)
def test_what_is_coded_is_decoded_to_the_same(name: str) -> None:
    pieces = [os.urandom(1000), b"a" * 100_000, b"", b"x"]
    body = encoder(name)
    coded = b"".join(map(body.feed, pieces)) + body.end()
    assert len(coded) < 60_000
    assert decode(coded, [name], 200_000) == b"".join(pieces)
    empty = encoder(name)
    assert decode(empty.end(), [name], 10) == b""


@pytest.mark.parametrize("name", ABLE)
def test_a_body_that_decodes_to_too_much_is_stopped(name: str) -> None:
    body = encoder(name)
    bomb = body.feed(b"\0" * 5_000_000) + body.end()
    assert len(bomb) < 50_000
    with pytest.raises(DecodeError, match="more than 100000 bytes"):
        decode(bomb, [name], 100_000)


@pytest.mark.parametrize("name", ABLE)
def test_what_is_cut_or_malformed_is_refused(name: str) -> None:
    body = encoder(name)
    coded = body.feed(b"hello, world") + body.end()
    for bad in (coded[:-3], b"no such coding"):
        with pytest.raises(DecodeError):
            decode(bad, [name], 1000)


def test_codings_are_undone_from_the_last() -> None:
    assert decode(gzip.compress(brotli.compress(b"x")), ["br", "x-gzip"], 10) == b"x"
    assert decode(gzip.compress(b"a") + gzip.compress(b"b"), ["gzip"], 10) == b"ab"
    raw = zlib.compressobj(wbits=-15)
    assert decode(raw.compress(b"raw") + raw.flush(), ["deflate"], 10) == b"raw"
    assert decodable(["gzip", "identity", "br"])
    assert not decodable(["compress"])
