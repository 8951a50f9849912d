"""Any text is an endpoint's URL or refused by the one documented error, Error with a code; and a URL once
read is written in a form that reads as itself, under the same rules.
"""

from collections.abc import Mapping
from typing import Final

from portway.errors import Error
from portway.model.url import SCHEMES, Binding, parse_endpoint_url

SEEDS: Final = [
    mode + text.encode()
    for mode in (b"\x00", b"\x07")
    for text in (
        "", "https://", "tcp://", "a.example", "http://a.example:8080", "tls://a.b.example.",
        "tcp://1.tcp.example:20000", "*.a.example", "https://x.internal", "http://a.b", "münchen.example",
        "xn--mnchen-3ya.example", "HTTPS://A.Example:443", "u:p@a", "a/", "a?q", "a#f",
        "[::1]:80", "日本。example",
    )
]  # fmt: skip
WORDS: Final = [
    text.encode()
    for text in (
        "://", "http", "https", "tcp", "tls", ":", "*.", "..", ".", "xn--", "-", "--", ".internal", "_",
        "@", "/", "?", "#", "\\", "。", "ß", "ü", "İ", "\u200d", "\u00ad", "٣", "443", "80", "65536", "0",
        " ", "%2e", "[", "]",
    )
]  # fmt: skip
LONGEST: Final = 400

_BINDINGS: Final[list[Binding | None]] = [None, "public", "internal", "kubernetes"]
_PORTS: Final[list[Mapping[str, int] | None]] = [None, {"http": 7080, "https": 7443, "tls": 7443}]


def check(data: bytes) -> None:
    """The first byte chooses the rules; the rest is the text, lone surrogates included."""
    if not data:
        return
    mode, text = data[0], data[1:].decode("utf-8", "surrogateescape")
    binding, ports, default = _BINDINGS[mode & 3], _PORTS[mode >> 2 & 1], SCHEMES[mode >> 3 & 3]
    try:
        url = parse_endpoint_url(text, default, binding=binding, public_ports=ports)
    except Error as error:
        if not error.code.startswith("ERR_NGROK_") or not error.message.isprintable():
            raise AssertionError(f"refused without a code or unprintably: {error!r}") from error
        return
    written = str(url)
    again = parse_endpoint_url(written, binding=binding, public_ports=ports)
    if again != url or str(again) != written:
        raise AssertionError(f"{url!r} is written {written!r} and read as {again!r}")
    if not written.isascii() or not written.isprintable() or written != written.lower():
        raise AssertionError(f"{written!r} is not folded")
