"""Functions on texts, as their pages and CEL's extension library say."""

import pytest
from tests.kit.policy import value

from portway.policy.expression import EvaluationError


@pytest.mark.row("P-29")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("'héllo'.charAt(1)", "é"),
        ("'abc'.charAt(3)", ""),
        ("'abcb'.indexOf('b') * 10 + 'abcb'.indexOf('b', 2)", 13),
        ("'abc'.indexOf('x')", -1),
        ("'abcb'.lastIndexOf('b') * 10 + 'abcb'.lastIndexOf('b', 2)", 31),
        ("'abc'.lastIndexOf('', 1)", 1),
        ("'a b  c'.split()", ["a", "b", "c"]),
        ("'a,b,,c'.split(',')", ["a", "b", "", "c"]),
        ("'hello hello hello'.split(' ', 1)", ["hello"]),
        ("'a b'.split(' ', 0)", []),
        ("'a b'.split(' ', -1)", ["a", "b"]),
        ("'abc'.split('')", ["a", "b", "c"]),
        ("'hello hello'.replace('he', 'we')", "wello wello"),
        ("'hello hello'.replace('he', 'we', 1)", "wello hello"),
        ("'hello'.replace('he', 'we', 0)", "hello"),
        ("'tacocat'.substring(4) + 'tacocat'.substring(0, 4)", "cattaco"),
        ("'\\u2003 \\ttrim\\n '.trim()", "trim"),
        ("'\\u200btrim'.trim()", "\u200btrim"),
        ("'gums'.reverse()", "smug"),
        ("'TacoCÆt'.lowerAscii() + 'tacoCæt'.upperAscii()", "tacocÆtTACOCæT"),
        ("'TACOCÆT İ'.lower()", "tacocæt i"),
        ("'straße'.upper()", "STRASSE"),
        ("strings.quote('a\"\\n\\tü')", '"a\\"\\n\\tü"'),
        (
            "'%s %d %.2f %e %b %x %X %o %%'.format(['a', 1, 2.345, 1.5, 5, 255, 'k', 8])",
            "a 1 2.35 1.500000e+00 101 ff 6B 10 %",
        ),
        ("'%f %s %s %s'.format([1.0, true, null, [1, 'a']])", '1.000000 true null [1,"a"]'),
        ("'%b %x'.format([true, b'a'])", "1 61"),
        ("'{\"a\": 1}'.isJson() && !'{a}'.isJson()", True),
    ],
)
def test_what_they_return(source: str, wanted: object) -> None:
    assert value(source) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "'abc'.charAt(4)",
        "'abc'.charAt(-1)",
        "'abc'.indexOf('a', 4)",
        "'abc'.lastIndexOf('a', -1)",
        "'abc'.substring(2, 1)",
        "'abc'.substring(4)",
        "'%s %s'.format(['a'])",
        "'%d'.format(['a'])",
        "'%f'.format(['a'])",
        "'%y'.format([1])",
        "'aaaaaaaaaa'.replace('a', vars.long)",
    ],
)
def test_what_they_refuse(source: str) -> None:
    with pytest.raises(EvaluationError):
        value(source, variables={"long": "x" * 200_000})
