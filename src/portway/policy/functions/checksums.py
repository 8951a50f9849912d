"""CRC-64 (ISO 3309) and xxHash64, which the standard library lacks. Both take what an expression holds."""

from functools import cache
from typing import Final

_POLYNOMIAL: Final = 0xD800000000000000
_MASK: Final = (1 << 64) - 1
_P1: Final = 11400714785074694791
_P2: Final = 14029467366897019727
_P3: Final = 1609587929392839161
_P4: Final = 9650029242287828579
_P5: Final = 2870177450012600261


@cache
def _table() -> tuple[int, ...]:
    made: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        made.append(value)
    return tuple(made)


def crc64_iso(data: bytes) -> int:
    """Return the checksum with the ISO polynomial, bits reversed, start and end inverted."""
    table = _table()
    value = _MASK
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ _MASK


def _rotated(value: int, by: int) -> int:
    return ((value << by) | (value >> (64 - by))) & _MASK


def _round(value: int, lane: int) -> int:
    return _rotated((value + lane * _P2) & _MASK, 31) * _P1 & _MASK


def _merged(value: int, lane: int) -> int:
    return ((value ^ _round(0, lane)) * _P1 + _P4) & _MASK


def xxhash64(data: bytes, seed: int = 0) -> int:
    """Return the 64-bit hash."""
    length, at = len(data), 0
    if length >= 32:
        lanes = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed, (seed - _P1) & _MASK]
        while at + 32 <= length:
            for lane in range(4):
                word = int.from_bytes(data[at : at + 8], "little")
                lanes[lane] = _round(lanes[lane], word)
                at += 8
        value = sum(_rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            value = _merged(value, lane)
    else:
        value = (seed + _P5) & _MASK
    return _tail(data, at, (value + length) & _MASK)


def _tail(data: bytes, at: int, value: int) -> int:
    length = len(data)
    while at + 8 <= length:
        value ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        value = (_rotated(value, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= length:
        value ^= int.from_bytes(data[at : at + 4], "little") * _P1 & _MASK
        value = (_rotated(value, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        value = _rotated(value ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    value = (value ^ (value >> 33)) * _P2 & _MASK
    value = (value ^ (value >> 29)) * _P3 & _MASK
    return value ^ (value >> 32)
