"""Header compression of HTTP/2 (RFC 7541), both directions: blocks of bytes to fields and back.

Theory of operation. Both ends of a direction keep the same table of fields; a block names fields by their
place in it, or spells them out and says whether they enter it. So blocks must be read in their order, each to
its end, that of a dropped stream too; and a block that cannot be read is the end of the connection.

``Reader`` reads whatever is legal, under a limit for what the fields amount to. ``Writer`` need not compress
as well as it could: it puts into the table what will come again, leaves out what changes with each message,
and marks what is secret as never to be indexed, so that nobody can guess it by the size of what is sent
(§7.1.3). What is not indexed is the same bytes each time, so the last ones are kept written.

The Huffman code (appendix B) is canonical: the lengths of its codes say all. It is read a byte at a time by
an automaton, whose edges are made when they are first walked.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from portway.errors import RemoteProtocolError

if TYPE_CHECKING:
    from typing import NoReturn

Fields = list[tuple[bytes, bytes]]
"""Field names and values, pseudo-fields first."""

COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11

TABLE: Final = 4096
"""Bytes of fields that each end remembers of a direction (§4.1)."""

WRITTEN: Final = 32
"""Fields of a connection that are kept written."""
WRITTEN_BYTES: Final = 128
"""Longest of them."""

_ENTRY: Final = 32
"""What an entry of a table counts besides its bytes (§4.1)."""
_PACKED: Final = 4096
"""Longest text that is packed: those above go out as they are."""

_CODE_LENGTHS: Final = (  # of each byte, and of the end of a text; base 36
    "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca"
    "d67777777777777777777777878djde6f56565666577666567655677777fbeds"
    "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn"
    "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq"
    "u"
)
_END: Final = 256

_STATIC_TEXT: Final = (
    b":authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|"
    b":status=204|:status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|"
    b"accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|"
    b"allow|authorization|cache-control|content-disposition|content-encoding|content-language|"
    b"content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|"
    b"if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|"
    b"max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|"
    b"set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
STATIC: Final = tuple(
    (name, value) for name, _, value in (entry.partition(b"=") for entry in _STATIC_TEXT.split(b"|"))
)
"""Appendix A, of which the first is number 1."""

_DYNAMIC: Final = len(STATIC) + 1
"""The number of the newest entry of a table."""

_NOT_KEPT: Final = frozenset((
    b":path", b"age", b"content-length", b"content-range", b"etag", b"if-modified-since", b"if-none-match",
    b"last-modified", b"location", b"range",
))  # fmt: skip
"""Values that hardly come twice: in the table they would only push others out."""

_SECRET: Final = frozenset((b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"))


# -- the Huffman code


def _codes() -> list[str]:
    """Return the code of each symbol, as text of bits."""
    lengths = [int(digit, 36) for digit in _CODE_LENGTHS]
    codes = [""] * len(lengths)
    code = length = 0
    for symbol in sorted(range(len(lengths)), key=lambda each: (lengths[each], each)):
        code <<= lengths[symbol] - length
        length = lengths[symbol]
        codes[symbol] = f"{code:0{length}b}"
        code += 1
    return codes


def _tree(codes: list[str]) -> list[list[int]]:
    """Return for each node where a bit leads: to a node, or to a symbol's complement."""
    nodes = [[0, 0]]
    for symbol, code in enumerate(codes):
        at = 0
        for bit in map(int, code[:-1]):
            if not nodes[at][bit]:
                nodes[at][bit] = len(nodes)
                nodes.append([0, 0])
            at = nodes[at][bit]
        nodes[at][int(code[-1])] = ~symbol
    return nodes


_CODES: Final = _codes()
_NODES: Final = _tree(_CODES)


class _State(dict[int, "tuple[bytes, _State]"]):
    """Where a text may be between two of its bytes: what a byte means here, and where it leads."""

    __slots__ = ("complete", "node")

    def __init__(self, node: int, *, complete: bool) -> None:
        super().__init__()
        self.node = node
        self.complete = complete
        """The text may end here: less than a byte of ones is left over (§5.2)."""

    def __missing__(self, byte: int) -> "tuple[bytes, _State]":
        at, symbols = self.node, bytearray()
        for shift in range(7, -1, -1):
            at = _NODES[at][byte >> shift & 1]
            if at < 0:
                if ~at == _END:
                    raise RemoteProtocolError(COMPRESSION_ERROR, "a text in Huffman's code holds its end")
                symbols.append(~at)
                at = 0
        found = self[byte] = bytes(symbols), _STATES[at]
        return found


def _states() -> list[_State]:
    complete, at = {0}, 0
    for _ in range(7):
        at = _NODES[at][1]
        complete.add(at)
    return [_State(node, complete=node in complete) for node in range(len(_NODES))]


_STATES: Final = _states()


def unpacked(data: bytes) -> bytes:
    """Read a text in Huffman's code; raise RemoteProtocolError."""
    state = _STATES[0]
    text: list[bytes] = []
    add = text.append
    for byte in data:
        symbols, state = state[byte]
        add(symbols)
    if not state.complete:
        raise RemoteProtocolError(COMPRESSION_ERROR, "a text in Huffman's code is padded wrongly")
    return b"".join(text)


def packed(text: bytes) -> bytes:
    """Write a text in Huffman's code."""
    bits = "".join(map(_CODES.__getitem__, text))
    if not bits:
        return b""
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


# -- reading


class Reader:
    """Reads the blocks of one direction of a connection."""

    __slots__ = ("_entries", "_most", "_room", "_size")

    def __init__(self, most: int) -> None:
        """Take at most so many bytes of fields at a time, each counted with 32 more."""
        self._most = most
        self._entries: deque[tuple[bytes, bytes]] = deque()  # the newest is the last
        self._size = 0
        self._room = TABLE

    def read(self, block: bytes) -> Fields:
        """Read a block.

        Raises RemoteProtocolError when it is malformed, or its fields are too much: the table is
        of no use any more.
        """
        fields: Fields = []
        entries = self._entries
        left = self._most
        at, end = 0, len(block)
        try:
            while at < end:
                first = block[at]
                at += 1
                if first & 0x80:
                    index = first & 0x7F
                    if index == 0x7F:
                        index, at = _number(block, at, index)
                    elif not index:
                        _malformed()
                    field = STATIC[index - 1] if index < _DYNAMIC else entries[_DYNAMIC - 1 - index]
                elif first & 0xE0 == 0x20:
                    if fields:
                        _malformed()
                    at = self._resize(block, at, first & 0x1F)
                    continue
                else:
                    field, at = self._literal(block, at, first)
                left -= _ENTRY + len(field[0]) + len(field[1])
                if left < 0:
                    raise RemoteProtocolError(ENHANCE_YOUR_CALM, "a head is too long")
                fields.append(field)
        except IndexError:
            raise RemoteProtocolError(COMPRESSION_ERROR, "a block of fields is malformed") from None
        return fields

    def _literal(self, block: bytes, at: int, first: int) -> tuple[tuple[bytes, bytes], int]:
        mask = 0x3F if first & 0x40 else 0x0F
        index = first & mask
        if index == mask:
            index, at = _number(block, at, index)
        if not index:
            name, at = _text(block, at)
        elif index < _DYNAMIC:
            name = STATIC[index - 1][0]
        else:
            name = self._entries[_DYNAMIC - 1 - index][0]
        value, at = _text(block, at)
        field = (name, value)
        if first & 0x40:
            self._entries.append(field)
            self._size += _ENTRY + len(name) + len(value)
            self._shrink()
        return field, at

    def _resize(self, block: bytes, at: int, size: int) -> int:
        if size == 0x1F:
            size, at = _number(block, at, size)
        if size > TABLE:
            raise RemoteProtocolError(COMPRESSION_ERROR, "a table of fields grows above its limit")
        self._room = size
        self._shrink()
        return at

    def _shrink(self) -> None:
        while self._size > self._room:
            name, value = self._entries.popleft()
            self._size -= _ENTRY + len(name) + len(value)


def _malformed() -> "NoReturn":
    raise IndexError


def _number(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    """Read the rest of a number whose prefix is full (§5.1). Raises IndexError."""
    for shift in range(0, 35, 7):
        octet = block[at]
        at += 1
        prefix += (octet & 0x7F) << shift
        if octet < 0x80:
            return prefix, at
    raise IndexError


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    """Read a text (§5.2). Raises IndexError."""
    first = block[at]
    at += 1
    size = first & 0x7F
    if size == 0x7F:
        size, at = _number(block, at, size)
    end = at + size
    if end > len(block):
        raise IndexError
    text = block[at:end]
    return (unpacked(text) if first & 0x80 else text), end


# -- writing


def _written_number(number: int, full: int, kind: int) -> bytes:
    """Write a number behind the bits of ``kind``; ``full`` is what its prefix holds at most."""
    if number < full:
        return bytes((kind | number,))
    written = bytearray((kind | full,))
    number -= full
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _written_text(text: bytes) -> bytes:
    if len(text) <= _PACKED:
        short = packed(text)
        if len(short) < len(text):
            return _written_number(len(short), 0x7F, 0x80) + short
    return _written_number(len(text), 0x7F, 0) + text


_NAMES: Final = {name: place for place, (name, _) in reversed(list(enumerate(STATIC, 1)))}
_WHOLE: Final = {field: bytes((0x80 | place,)) for place, field in enumerate(STATIC, 1)}


class Writer:
    """Writes the blocks of one direction of a connection."""

    __slots__ = ("_added", "_entries", "_places", "_room", "_size", "_told", "_written")

    def __init__(self) -> None:
        """Have written nothing."""
        self._entries: deque[tuple[bytes, bytes]] = deque()  # the newest is the last
        self._places: dict[tuple[bytes, bytes], int] = {}  # how many entries were added before it
        self._added = 0
        self._size = 0
        self._room = TABLE
        self._told: list[int] = []  # sizes of the table that the reader has still to hear of
        self._written: dict[tuple[bytes, bytes], bytes] = {}

    def resize(self, size: int) -> None:
        """Keep a table that the reader bears."""
        size = min(size, TABLE)
        if size != self._room:
            # Of several sizes the reader needs the smallest and the last (§4.2).
            smallest = min([size, *self._told])
            self._told = [smallest] if smallest == size else [smallest, size]
            self._room = size
            self._shrink()

    def write(self, fields: Fields) -> bytes:
        """Write fields."""
        block: list[bytes] = []
        if self._told:
            block = [_written_number(size, 0x1F, 0x20) for size in self._told]
            self._told = []
        written, places = self._written, self._places
        for field in fields:
            found = _WHOLE.get(field) or written.get(field)
            if found is None:
                place = places.get(field)
                if place is None:
                    found = self._spelled(field)
                else:
                    found = _written_number(_DYNAMIC + self._added - 1 - place, 0x7F, 0x80)
            block.append(found)
        return b"".join(block)

    def _spelled(self, field: tuple[bytes, bytes]) -> bytes:
        """Write a field that is in no table."""
        name, value = field
        size = _ENTRY + len(name) + len(value)
        kept = name not in _NOT_KEPT and name not in _SECRET and size <= self._room
        place = _NAMES.get(name, 0)
        if kept:
            start = _written_number(place, 0x3F, 0x40)
        else:
            start = _written_number(place, 0x0F, 0x10 if name in _SECRET else 0)
        made = start + (b"" if place else _written_text(name)) + _written_text(value)
        if kept:
            self._entries.append(field)
            self._places[field] = self._added
            self._added += 1
            self._size += size
            self._shrink()
        elif name not in _SECRET and len(made) <= WRITTEN_BYTES:
            if len(self._written) >= WRITTEN:
                self._written.clear()
            self._written[field] = made
        return made

    def _shrink(self) -> None:
        while self._size > self._room:
            name, value = field = self._entries.popleft()
            del self._places[field]
            self._size -= _ENTRY + len(name) + len(value)
