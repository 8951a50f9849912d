"""Checksums against published values and against an implementation bit by bit."""

import pytest

from portway.policy.functions.checksums import crc64_iso, xxhash64


@pytest.mark.row("P-30")
@pytest.mark.parametrize(
    ("data", "wanted"),
    [(b"", 0), (b"hello", 0x3C3EEEE2D8100000), (b"123456789", 0xB90956C775A41001)],
)
def test_crc64(data: bytes, wanted: int) -> None:
    assert crc64_iso(data) == wanted


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"hello", 0x26C7827D889F6DA3),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_xxhash64(data: bytes, wanted: int) -> None:
    assert xxhash64(data) == wanted
