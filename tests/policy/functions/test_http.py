"""Functions that look at requests and responses, and chance."""

import pytest
from tests.kit.policy import facts, value

from portway.policy.expression import EvaluationError
from portway.policy.facts import Response
from portway.policy.phase import Phase


@pytest.mark.row("P-31")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("getReqHeader('user-AGENT')", ["x"]),
        ("getResHeader('X-A') == ['1', '2'] && hasResHeader('x-a') && !hasResHeader('x')", True),
        ("getQueryParam('a b')", ["1", ""]),
        ("hasQueryParam('c') && !hasQueryParam('A b')", True),
        ("getReqCookie('s').value + getReqCookie('s').name", "1s"),
        ("getReqCookie('s').secure ? 1 : 2", 2),
        ("hasReqCookie('s') && !hasReqCookie('none') && !hasResCookie('s')", True),
    ],
)
def test_what_they_return(source: str, wanted: object) -> None:
    response = Response(200, [(b"X-a", b"1"), (b"x-A", b"2")])
    known = facts(
        "/?a+b=1&a%20b=&c", fields=[(b"User-Agent", b"x"), (b"cookie", b's="1"; s=2')], response=response
    )
    assert value(source, known, Phase.HTTP_RESPONSE) == wanted


@pytest.mark.row("P-33")
def test_chance() -> None:
    assert value("rand.int() in [0, 1] && rand.int(5, 5) == 5 && rand.int(2, 4) >= 2") is True
    assert value("rand.double() < 1.0 && rand.double() >= 0.0") is True
    for source in ("rand.int(2, 1)", "rand.int(-1, 1)"):
        with pytest.raises(EvaluationError):
            value(source)
