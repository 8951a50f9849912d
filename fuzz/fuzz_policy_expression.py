"""Any text is an expression or refused with a place inside of it; and what is an expression has a value, or
is the one documented error, in bounded time and memory.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final, cast

from portway.policy.compiler import World
from portway.policy.expression import Absent, CompileError, EvaluationError, compile_expression
from portway.policy.facts import Connection, Facts, Request, Response
from portway.policy.functions import functions
from portway.policy.geo import Geo, GeoLookup
from portway.policy.limits import DEFAULT_LIMITS
from portway.policy.names import names_of
from portway.policy.phase import Phase
from portway.policy.values import value_of

_SOURCES: Final = [
    "req.method in ['POST', 'PUT'] && !inCidrRange(conn.client_ip, '10.0.0.0/8')",
    "req.headers['X'][0] == 'a' || has(req.url.port)", "'X-Y' in req.headers ? 1 : 2u", "vars.a.b[0].c + 1",
    "[1, 2, 3].map(x, x * 2).filter(x, x > 2).exists(x, x == 4)", "{'a': {'b': [1.5, null]}}.a.b",
    "req.cookies['s'].map(c, c.value).join(',')", "res.cookies.exists(c, res.cookies[c][0].secure)",
    "['b', 'a'].sortBy(x, x.size())[0].upper()", "timestamp(time.now).getHours('Europe/Berlin')",
    "duration('1h30m') + duration('1s')", "json.decode('{\"a\": [1, {}]}').a[1]",
    "hash.sha256('x', 'base64')",
    "url.parse(req.url).host", "queryString.decode(req.url.query)['q']", "'%s %d %.2f'.format(['a', 1, 2.5])",
    "lists.range(10).map(i, i * i).slice(1, 3)", "actions.ngrok.a.b.endsWith('x')", "type(1) == int",
    "'abc'.matches('^a.*c$')", "b'\\x01' + bytes('a')", "r'\\d' + '''x\ny'''", "[[1, [2]], 3].flatten(2)",
    "-9223372036854775808 / -1", "1 % 0", "rand.int(1, 2)", "base64.encode(b'x')", "strings.quote('\\n')",
]  # fmt: skip
SEEDS: Final = [bytes([index % 3]) + source.encode() for index, source in enumerate(_SOURCES)]
WORDS: Final = [
    text.encode()
    for text in (
        *(each.name for each in functions()), *names_of(Phase.HTTP_RESPONSE),
        "vars", "vars.a", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "'", '"', "'''", "r'", "b'",
        "\\", "\\u0000",
        "&&", "||", "!", "-", "+", "*", "/", "%", "==", "<", " in ", "has(", ".map(x, ", ".filter(x, ",
        ".all(x, ",
        ".sortBy(x, ", ".exists_one(x, ", "x", "optional.of(1)", ".?a", "[?0]", "{1: 2}", "[1]", "null",
        "true", "1u",
        "1.5", "9223372036854775807", "''", "\0", "😀", "İ", "\ud7ff", "//", "\n", "`a`", "as", "dyn(",
        "string(", "size(",
    )
]  # fmt: skip
LONGEST: Final = 600

_PHASES: Final = (Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE, Phase.TCP_CONNECT)
_WORLD: Final = World(geo=lambda _: Geo(), categories=True)


@dataclass
class Outlook:
    """What expressions look at."""

    facts: Facts
    random: Random = field(default_factory=lambda: Random(1))
    geo: GeoLookup | None = None

    def value(self, name: str) -> object:
        """Return the value of a variable."""
        if name == "vars":
            return {"a": {"b": [{"c": 1}]}, "s": "a\0b", "l": [1, "x", None, 2.5, b"\0", True]}
        if name == "time.now":
            return "2024-07-13T00:10:16Z"
        if name == "absent":
            raise Absent
        return value_of(name, self)

    def secret(self, vault: str, name: str) -> str | None:
        """Know none."""
        return None


def outlook() -> Outlook:
    """Make what expressions look at, with the oddities of real requests."""
    request = Request(
        authority="user@A.example:8443",
        target="/a%00b/%ff/../c?q=1&q=%zz&=&x",
        fields=[
            (b"Host", b"a.example"),
            (b"X", b"\xff\xfe"),
            (b"cookie", b's="1"; t; =; s=2'),
            (b"user-agent", b"curl/8"),
        ],
    )
    response = Response(
        500, [(b"set-cookie", b"s=1; Max-Age=5; Expires=Wed, 09 Jun 2021 10:18:14 GMT; x=y"), (b"a", b"")]
    )
    return Outlook(
        Facts(Connection("10.0.0.1"), request=request, response=response, results={"a": {"b": "x"}})
    )


def check(data: bytes) -> None:
    """The first byte chooses the phase; the rest is the expression."""
    if not data:
        return
    text = data[1:].decode("utf-8", "surrogateescape")
    try:
        made = compile_expression(text, _PHASES[data[0] % len(_PHASES)], DEFAULT_LIMITS, _WORLD)
    except CompileError as error:
        if not 0 <= error.offset <= len(text) or not error.message:
            raise AssertionError(f"refused without a place: {error!r} at {error.offset}") from error
        return
    try:
        value = made.evaluate(outlook())
    except EvaluationError as error:
        if not str(error):
            raise AssertionError("an error without a word") from error
        return
    _plain(value, 40)


def _plain(value: object, depth: int) -> None:
    """Fail on what is no plain value."""
    if depth < 0:
        raise AssertionError("a value without a bottom")
    match value:
        case None | bool() | int() | float() | bytes() | datetime() | timedelta():
            pass
        case str():
            value.encode()
        case list():
            for each in cast("list[object]", value):
                _plain(each, depth - 1)
        case dict():
            for key, each in cast("dict[object, object]", value).items():
                _plain(key, 0)
                _plain(each, depth - 1)
        case _:
            raise AssertionError(f"not a plain value: {value!r}")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Put a word, or all of another expression, somewhere."""
    made = bytearray(data)
    at = rng.randint(0, len(made))
    new = rng.choice(_SOURCES).encode() if rng.random() < 0.15 else rng.choice(WORDS)
    made[at : at + rng.choice((0, 0, 1, 3, 9))] = new
    return bytes(made)
