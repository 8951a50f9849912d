"""Content codings: compressing bodies as they stream, and choosing what a visitor takes (RFC 9110 §8.4).

An :class:`Encoder` gives out everything that it was fed at once: each piece ends in a flush, so an event
stream or an answer that is written slowly is delayed by nothing. That costs a few bytes a piece. What an
encoder holds is bounded by its window, however long the body is. ``decode`` is the reverse for a whole body,
bounded in what it gives: a small body can decode to a huge one.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, cast

import brotli as untyped_brotli
from backports import zstd
from isal import isal_zlib as untyped_zlib

# Neither says what its types are.
brotli: Any = untyped_brotli
isal_zlib: Any = untyped_zlib

CODINGS: Final = ("gzip", "deflate", "br", "compress", "zstd")
"""Codings by name, in the order of preference when nobody says another. ``compress`` is known by name only:
no client asks for it, so it is never chosen."""

BROTLI_QUALITY: Final = 4
BROTLI_WINDOW: Final = 18
"""Bits: 256 KiB a body instead of 4 MiB, for a few percent of size."""
ZSTD_LEVEL: Final = 3
ZSTD_WINDOW: Final = 19
"""Bits, likewise. Browsers take up to 23 (RFC 9659)."""
MEMORY_LEVEL: Final = 8
_ITEM: Final = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+|\*)(?:[ \t]*;[ \t]*[qQ]=([01](?:\.[0-9]{0,3})?))?", re.ASCII
).fullmatch
_ALIASES: Final = {"x-gzip": "gzip", "x-compress": "compress"}


class Encoder(Protocol):
    """One body on its way through a coding."""

    def feed(self, data: bytes) -> bytes:
        """Return the coded form of all that was fed so far and not given out yet."""
        ...

    def end(self) -> bytes:
        """Return what ends the coded body."""
        ...


def negotiate(accept: str, codings: Sequence[str] = CODINGS) -> str | None:
    """Choose a coding by the value of Accept-Encoding: the highest q, then the order given.

    None: the body is better left as it is.
    """
    weights: dict[str, float] = {}
    for item in accept.split(","):
        found = _ITEM(item.strip(" \t").lower())
        if found is not None:
            name = found[1]
            weights[_ALIASES.get(name, name)] = min(float(found[2]), 1.0) if found[2] else 1.0
    anything = weights.get("*", 0.0)
    able = [(weights.get(name, anything), name) for name in codings if name in _ENCODERS]
    best = max((weight for weight, _ in able), default=0.0)
    if best <= 0 or weights.get("identity", 0.0) > best:
        return None
    return next(name for weight, name in able if weight == best)


def encoder(name: str) -> Encoder:
    """Make an encoder for a coding that ``negotiate`` has chosen."""
    return _ENCODERS[name]()


class _Zlib:
    """gzip (RFC 1952), or deflate in its only sane reading, the zlib format (RFC 1950)."""

    __slots__ = ("_body",)

    def __init__(self, bits: int) -> None:
        level = isal_zlib.ISAL_DEFAULT_COMPRESSION
        self._body: Any = isal_zlib.compressobj(level, isal_zlib.DEFLATED, bits, MEMORY_LEVEL)

    def feed(self, data: bytes) -> bytes:
        return self._body.compress(data) + self._body.flush(isal_zlib.Z_SYNC_FLUSH) if data else b""

    def end(self) -> bytes:
        return self._body.flush()


class _Brotli:
    """br (RFC 7932)."""

    __slots__ = ("_body",)

    def __init__(self) -> None:
        self._body: Any = brotli.Compressor(quality=BROTLI_QUALITY, lgwin=BROTLI_WINDOW)

    def feed(self, data: bytes) -> bytes:
        return self._body.process(data) + self._body.flush() if data else b""

    def end(self) -> bytes:
        return self._body.finish()


class _Zstd:
    """zstd (RFC 8878)."""

    __slots__ = ("_body",)

    def __init__(self) -> None:
        parameter = zstd.CompressionParameter
        options = {parameter.compression_level: ZSTD_LEVEL, parameter.window_log: ZSTD_WINDOW}
        self._body = zstd.ZstdCompressor(options=cast("dict[int, int]", options))

    def feed(self, data: bytes) -> bytes:
        return self._body.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK) if data else b""

    def end(self) -> bytes:
        return self._body.flush()


_ENCODERS: Final = {
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "br": _Brotli,
    "zstd": _Zstd,
}


class DecodeError(Exception):
    """A body is not what its Content-Encoding says, or decodes to more than was allowed."""


def decodable(codings: Iterable[str]) -> bool:
    """Tell whether bodies of these codings can be decoded here."""
    return all(_ALIASES.get(name, name) in _DECODERS for name in codings)


def decode(data: bytes, codings: Sequence[str], most: int) -> bytes:
    """Undo the codings of a whole body, in the order in which they were applied.

    Raises DecodeError when it is malformed, cut short or would be longer than ``most`` bytes.
    """
    for name in reversed(codings):
        data = _DECODERS[_ALIASES.get(name, name)](data, most)
    return data


class _Decoder(Protocol):
    """What zlib and zstd offer for one member of a body."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _decoded(
    data: bytes,
    most: int,
    new: Callable[[], _Decoder],
    wrong: type[Exception],
    rest: Callable[[bytes], bytes],
) -> bytes:
    """Decode one member behind the other; ``rest`` says what of the bytes behind one is the next."""
    out: list[bytes] = []
    room = most
    while data:
        body = new()
        try:
            piece = body.decompress(data, room + 1)
        except wrong as error:
            raise DecodeError(str(error)) from error
        room -= len(piece)
        if room < 0:
            raise DecodeError(f"The body decodes to more than {most} bytes.")
        if not body.eof:
            raise DecodeError("The coded body is cut short.")
        out.append(piece)
        data = rest(body.unused_data)
    return b"".join(out)


def _inflate(data: bytes, most: int, bits: int) -> bytes:
    def rest(unused: bytes) -> bytes:
        return unused.lstrip(b"\0") if bits > zlib.MAX_WBITS else b""  # gzip may have several members

    return _decoded(data, most, lambda: zlib.decompressobj(bits), zlib.error, rest)


def _deflate(data: bytes, most: int) -> bytes:
    wrapped = data[:1] and data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
    return _inflate(data, most, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)  # some servers send it bare


def _unbrotli(data: bytes, most: int) -> bytes:
    body: Any = brotli.Decompressor()
    try:
        out: bytes = body.process(data, output_buffer_limit=most + 1)
        while len(out) <= most and not body.is_finished() and not body.can_accept_more_data():
            out += body.process(b"", output_buffer_limit=most + 1 - len(out))
    except brotli.error as error:
        raise DecodeError(str(error)) from error
    if len(out) > most:
        raise DecodeError(f"The body decodes to more than {most} bytes.")
    if not body.is_finished():
        raise DecodeError("The coded body is cut short.")
    return out


def _unzstd(data: bytes, most: int) -> bytes:
    def new() -> _Decoder:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 27})

    return _decoded(data, most, new, zstd.ZstdError, bytes)


def _gunzip(data: bytes, most: int) -> bytes:
    return _inflate(data, most, 31)


def _same(data: bytes, _most: int) -> bytes:
    return data


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gunzip,
    "deflate": _deflate,
    "br": _unbrotli,
    "zstd": _unzstd,
    "identity": _same,
}
