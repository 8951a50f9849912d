"""Any text is cut into pieces that are the whole of it, or refused with a place inside of it; and a text
whose expressions are right becomes a text, or the one documented error.
"""

from typing import Final

from fuzz.fuzz_policy_expression import outlook
from portway.policy.compiler import World
from portway.policy.expression import EvaluationError
from portway.policy.geo import Geo
from portway.policy.interpolation import TemplateError, compile_template, scan
from portway.policy.limits import DEFAULT_LIMITS
from portway.policy.phase import Phase

SEEDS: Final = [
    text.encode()
    for text in (
        "", "plain", "${1}", "a${req.method}b${vars.a}", "$${x} $$ $", "${'}'}", "${ {'a': '}'}['a'] }",
        "${r'\\'}}",
        "${'''a'b'''}", '${"\\"}"}', "${req.headers['X']}", "${vars.l}", "${null}${1.5}",
        "${timestamp(time.now)}",
        "${duration('90m')}", "${b'x'}", "${has(vars.z) ? 'a' : \"b\"}", "${for'}'}", "${br'\\'}",
    )
]  # fmt: skip
WORDS: Final = [
    text.encode()
    for text in ("${", "$${", "}", "{", "$", "'", '"', "'''", '"""', "\\", "r'", "b'", "rb'", "\n", "1",
    "vars", "//", "\0")
]  # fmt: skip
LONGEST: Final = 500

_WORLD: Final = World(geo=lambda _: Geo(), categories=True)


def check(data: bytes) -> None:
    """The text, lone surrogates included."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        pieces = list(scan(text))
        rebuilt = "".join(
            f"${{{piece.text}}}" if piece.is_expression else piece.text.replace("${", "$${")
            for piece in pieces
        )
        if rebuilt != text:
            raise AssertionError(f"{pieces!r} is not the whole of {text!r}")
        made = compile_template(text, Phase.HTTP_RESPONSE, DEFAULT_LIMITS, _WORLD)
    except TemplateError as error:
        if not 0 <= error.offset <= len(text) or not error.message:
            raise AssertionError(f"refused without a place: {error!r} at {error.offset}") from error
        return
    try:
        made.text(outlook())
        made.value(outlook())
    except EvaluationError:
        pass
