"""Functions that encode, decode, digest and take apart: base64, hashes, JSON, query strings, URLs."""

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

from portway.policy.functions import ANY, Function, FunctionError, bounded
from portway.policy.functions.checksums import crc64_iso, xxhash64
from portway.policy.written import to_json, written

DEEPEST: Final = 32
"""Levels of nesting of a JSON text that is decoded."""


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FunctionError("the result is not text") from None


def _base64_decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FunctionError("not base64") from None


def _base64_encode(data: bytes) -> str:
    return bounded(base64.b64encode(data).decode())


def _same(value: Any) -> Any:
    return value


_KINDS: Final = ("string", "int", "uint", "double", "bool", "timestamp", "duration")
"""What string() takes besides bytes."""


def _decode_text(text: str) -> str:
    return _text(_base64_decode(text))


def _encode_text(text: str) -> str:
    return _base64_encode(text.encode())


def _digest(make: Callable[[bytes], bytes]) -> Callable[..., str]:
    def function(text: str, form: str = "hex") -> str:
        digest = make(text.encode())
        if form == "hex":
            return digest.hex()
        if form == "base64":
            return base64.b64encode(digest).decode()
        raise FunctionError("the format of a hash is 'hex' or 'base64'")

    return function


_HASHES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc64": lambda data: crc64_iso(data).to_bytes(8, "big"),
    "xxhash64": lambda data: xxhash64(data).to_bytes(8, "big"),
}


def _json_decode(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise FunctionError("not JSON") from None
    return checked(value, DEEPEST)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def checked(value: Any, depth: int) -> Any:
    """Return a value of JSON as CEL can hold it: numbers beyond 64 bits as fractions, no half characters.

    Raises FunctionError for one that is nested deeper than ``depth``.
    """
    if depth < 0:
        raise FunctionError("the JSON text is nested too deeply")
    if isinstance(value, list):
        return [checked(each, depth - 1) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {
            checked(key, 0): checked(each, depth - 1) for key, each in cast("dict[Any, Any]", value).items()
        }
    if isinstance(value, str):
        return (
            value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if not value.isascii()
            else value
        )
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else float("inf")
    return value


def _query_decode(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in _pairs(text):
        found.setdefault(key, value)
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.removeprefix("?"), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        raise FunctionError("not a query string") from None


def _query_encode(values: dict[Any, Any]) -> str:
    pairs: list[str] = []
    for key in sorted(values, key=str):
        value = values[key]
        many = cast("list[Any]", value) if isinstance(value, list) else [value]
        pairs += [f"{_escape(str(key))}={_escape(written(each))}" for each in many]
    return bounded("&".join(pairs))


def _is_query(text: str) -> bool:
    """Say whether a text is pairs of keys and values, rightly escaped."""
    if not text or any(c.isspace() for c in text):
        return False
    parts = text.removeprefix("?").split("&")
    return all("=" in part and part[0] != "=" and _well_escaped(part) for part in parts)


def _well_escaped(text: str) -> bool:
    pieces = text.split("%")[1:]
    return all(len(piece) >= 2 and all(c in "0123456789abcdefABCDEF" for c in piece[:2]) for piece in pieces)


def _escape(text: str) -> str:
    return bounded(quote(text, safe="-_.~"))


def _unescape(text: str) -> str:
    if not _well_escaped(text):
        raise FunctionError("not percent-encoded")
    return _text(unquote_to_bytes(text))


def _parse_url(text: str) -> dict[str, str]:
    """Return the parts of a URL, as Go's net/url names them, in lower case."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise FunctionError("not a URL") from None
    if not _well_escaped(parts.path):
        raise FunctionError("not a URL")
    user, _, host = parts.netloc.rpartition("@")
    opaque = "" if parts.netloc or not parts.scheme or parts.path.startswith("/") else parts.path
    return {
        "scheme": parts.scheme,
        "opaque": opaque,
        "user": user,
        "host": host,
        "hostname": parts.hostname or "",
        "port": "" if port is None else str(port),
        "path": "" if opaque else unquote_to_bytes(parts.path).decode("utf-8", "replace"),
        "raw_path": "" if opaque else parts.path,
        "query": parts.query,
        "fragment": parts.fragment,
    }


def _is_url(text: str) -> bool:
    try:
        parts = _parse_url(text)
    except FunctionError:
        return False
    return bool(parts["scheme"] and (parts["host"] or parts["opaque"])) and not any(c.isspace() for c in text)


def _basic_auth(user: str, password: str) -> str:
    return bounded("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def _hash_functions() -> list[Function]:
    found: list[Function] = []
    for name, make in _HASHES.items():
        call = _digest(make)
        for parameters in (("string",), ("string", "string")):
            found.append(Function(f"hash.{name}", parameters, "string", call))
            found.append(Function(name, parameters, "string", call, method=True))
    return found


_MAP: Final = "map(dyn, dyn)"
_LIST: Final = "list(dyn)"

FUNCTIONS: Final = [
    Function("base64.decode", ("string",), "bytes", _base64_decode),
    Function("base64.encode", ("bytes",), "string", _base64_encode),
    Function("decodeBase64", ("string",), "string", _decode_text, method=True),
    Function("encodeBase64", ("string",), "string", _encode_text, method=True),
    Function("portway_text", ("bytes",), "string", _text),
    *(Function("portway_text", (kind,), kind, _same) for kind in _KINDS),
    Function("basic_auth.encode", ("string", "string"), "string", _basic_auth),
    *_hash_functions(),
    Function("json.decode", ("string",), "dyn", _json_decode),
    Function("decodeJson", ("string",), "dyn", _json_decode, method=True),
    Function("json.encode", (ANY,), "string", to_json),
    Function("encodeJson", (_LIST,), "string", to_json, method=True),
    Function("encodeJson", (_MAP,), "string", to_json, method=True),
    Function("queryString.decode", ("string",), "map(string, string)", _query_decode),
    Function("decodeQueryString", ("string",), "map(string, string)", _query_decode, method=True),
    Function("queryString.encode", (_MAP,), "string", _query_encode),
    Function("encodeQueryString", (_MAP,), "string", _query_encode, method=True),
    Function("isQueryString", ("string",), "bool", _is_query, method=True),
    Function("isURL", ("string",), "bool", _is_url, method=True),
    Function("url.escape", ("string",), "string", _escape),
    Function("escapeUrl", ("string",), "string", _escape, method=True),
    Function("url.unescape", ("string",), "string", _unescape),
    Function("unescapeUrl", ("string",), "string", _unescape, method=True),
    Function("url.parse", ("string",), "map(string, string)", _parse_url),
    Function("parseUrl", ("string",), "map(string, string)", _parse_url, method=True),
]
