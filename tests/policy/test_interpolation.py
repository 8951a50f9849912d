"""``${…}``: the scanner, typed values, how values are written, and errors."""

import pytest
from tests.kit.policy import begin, facts

from portway.policy.compiler import World
from portway.policy.engine import Policy, Run
from portway.policy.expression import EvaluationError
from portway.policy.interpolation import Template, TemplateError, compile_template, scan
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.phase import Phase


def template(text: str, limits: PolicyLimits = DEFAULT_LIMITS) -> Template:
    """Compile a text."""
    return compile_template(text, Phase.HTTP_REQUEST, limits, World())


def run(**variables: object) -> Run:
    """Return what templates look at."""
    made = begin(Policy({}), known=facts("/a b", fields=[(b"x", b"1")]))
    made.vars = variables
    return made


@pytest.mark.row("P-09")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", ["plain"]),
        ("", []),
        ("a${b}c", ["a", "=b", "c"]),
        ("${a}${b}", ["=a", "=b"]),
        ("$5 and $$ and $", ["$5 and $$ and $"]),
        ("$${a} $$${b}", ["${a} $${b}"]),
        ("${'}'}", ["='}'"]),
        ("${ {'a': {'b': '}'}}['a'] }x", ["= {'a': {'b': '}'}}['a'] ", "x"]),
        ("${'it\\'s }'}", ["='it\\'s }'"]),
        ("${r'\\'}}", ["=r'\\'", "}"]),
        ("${'''a'}''' + \"}\"}", ["='''a'}''' + \"}\""]),
        ("}{", ["}{"]),
        ("${for'}'}", ["=for'}'"]),
    ],
)
def test_the_scanner(text: str, wanted: list[str]) -> None:
    """String literals and braces are followed."""
    assert [("=" if piece.is_expression else "") + piece.text for piece in scan(text)] == wanted


@pytest.mark.parametrize(
    ("text", "said", "offset"),
    [
        ("a${b", "no closing", 1),
        ("a${'b}", "has no end", 3),
        ("ab${ }", "no expression", 2),
        ("ab${1 +}", "too early", 7),
        ("ab${req.nope}", "no variable", 4),
        ("${1}" * 300, "100 expressions", 806),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, said: str, offset: int) -> None:
    with pytest.raises(TemplateError) as caught:
        template(text)
    assert said in caught.value.message
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("${true} ${1} ${1.5} ${2.0}", "true 1 1.5 2"),
        ("<${null}>", "<>"),
        ("${[1, 'a', null]}", '[1,"a",null]'),
        ("${{'a': [true]}}", '{"a":[true]}'),
        ("${req.headers['X']} ${req.headers['x'][0]}", '["1"] 1'),
        ("${timestamp('2024-07-13T02:10:16.5+02:00')}", "2024-07-13T00:10:16Z"),
        ("${duration('90m')}", "1h30m"),
        ("${b'abc'}", "abc"),
        ("$${x} ${req.url.path}", "${x} /a b"),
    ],
)
def test_values_in_texts(text: str, wanted: str) -> None:
    assert template(text).text(run()) == wanted


def test_a_single_expression_keeps_its_type() -> None:
    assert template("${vars.x}").value(run(x=[1, 2])) == [1, 2]
    assert template("${1 + 1}").value(run()) == 2
    assert template("${1 + 1} ").value(run()) == "2 "
    assert template("2").value(run()) == "2"
    assert template("${1}").text(run()) == "1"
    assert template("${1}").is_single
    assert template("x").is_constant
    assert template("a${1}b").literal == "ab"


def test_errors_at_run_time() -> None:
    with pytest.raises(EvaluationError, match="absent"):
        template("a${req.url.port}").text(run())
    with pytest.raises(EvaluationError, match="longer than 10"):
        template("${vars.x}${vars.x}", PolicyLimits(text=10)).text(run(x="123456"))
    with pytest.raises(EvaluationError, match="JSON"):
        template("x${[1.0 / 0.0]}").text(run())
    assert Template.constant("${x}").text(run()) == "${x}"
