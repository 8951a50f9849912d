"""Tests of the engine with the rules of the machine: attacks, what is left out, what breaks."""

from pathlib import Path

import pytest
from tests.kit.crs import need_crs

from portway.edge.waf import files_of
from portway.edge.waf_engine import UNPARSED, Answer, Engine, EngineFailure, Pairs, Question, RuleSet
from portway.policy.actions.waf import BODY, INBOUND, OUTBOUND

pytestmark = [pytest.mark.row("P-57"), pytest.mark.xdist_group("crs")]

FIELDS = ((b"host", b"app.example"), (b"user-agent", b"Mozilla/5.0"), (b"accept", b"*/*"))
FORM = ((b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"40"))
JSON = ((b"content-type", b"application/json"), (b"content-length", b"60"))
LEAK = (
    b"<b>Warning</b>: mysql_query(): You have an error in your SQL syntax; check the manual that"
    b" corresponds to your MySQL server version for the right syntax"
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Make an engine for the machine's rules."""
    return Engine(files_of([need_crs()]))


@pytest.fixture(scope="module")
def rules(engine: Engine) -> RuleSet:
    """Read all rules once."""
    return engine.rules()


def asked(
    target: bytes = b"/",
    fields: Pairs = (),
    body: bytes | None = None,
    answer: Answer | None = None,
) -> Question:
    method = "POST" if body is not None else "GET"
    ends = ("192.0.2.1", 40_000), ("198.51.100.1", 443)
    return Question(*ends, method, target, "1.1", FIELDS + fields, body, answer)


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        (asked(b"/?id=1%27%20OR%20%271%27%3D%271"), 942100),
        (asked(b"/?q=%3Cscript%3Ealert(1)%3C/script%3E"), 941100),
        (asked(b"/?f=../../../../etc/passwd"), 930120),
        (asked(b"/?c=%3Bcat%20/etc/passwd"), 932160),
        (asked(fields=((b"x-q", b"x"), (b"cookie", b"a=1' OR '1'='1"))), 942100),
        (asked(b"/a", FORM, b"q=<script>alert(1)</script>"), 941100),
        (asked(b"/a", JSON, b'{"id":"1 UNION SELECT password FROM users--", "cut'), 942100),
        (asked(b"/?id=1%27%20OR%20%271%27%3D%271%ff"), 942100),
    ],
    ids=["SQLi", "XSS", "LFI", "RCE", "cookie", "form", "JSON", "no UTF-8"],
)
def test_attacks_score_above_the_threshold(rules: RuleSet, question: Question, rule: int) -> None:
    found = rules.inspect(question)
    assert found.score >= INBOUND
    match = next(each for each in found.matches if each.id == rule)
    assert match.severity == "CRITICAL"
    assert match.message
    assert match.data
    assert not any(949_000 <= each.id < 950_000 or each.id > 999_999 for each in found.matches)


@pytest.mark.parametrize(
    ("kind", "body", "refused"),
    [
        (b"application/json", b'{,"a": "' + b"<script>alert(1)</script>" + b'"}', True),
        (b"application/json; charset=utf-8", b'{"a": 1,}', True),
        (b"application/json", b'{"a": [1]}', False),
        (b"application/json", b'{"a": "' + b"x" * (BODY - 7), False),  # cut: nobody knows the rest
        (b"multipart/form-data; boundary=y", b"--x\r\n\r\n<script>\r\n--x--\r\n", True),
        (b"multipart/form-data", b"a=b", True),
    ],
)
def test_bodies_that_are_not_what_they_say_are_refused(
    rules: RuleSet, kind: bytes, body: bytes, refused: bool
) -> None:
    """What cannot be taken apart is not inspected, and its receiver may be less strict."""
    fields = ((b"content-type", kind), (b"content-length", b"%d" % len(body)))
    found = rules.inspect(asked(b"/a", fields, body))
    assert (found.score >= INBOUND) is refused
    assert ([each.id for each in found.matches] == [UNPARSED]) is refused


@pytest.mark.parametrize(
    "question",
    [
        asked(),
        asked(b"/search?q=select+a+good+book&page=2"),
        asked(b"/a", FORM, b"name=Ada&text=hello"),
        asked(b"/a", JSON, b'{"name": "Ada", "list": [1, 2]}'),
        asked(b"/a", ((b"transfer-encoding", b"chunked"), FORM[0]), b"a=1"),
    ],
    ids=["plain", "query", "form", "JSON", "chunked"],
)
def test_ordinary_requests_score_nothing(rules: RuleSet, question: Question) -> None:
    assert rules.inspect(question) == rules.inspect(asked())
    assert rules.inspect(question).score == 0


def test_the_body_counts_only_if_it_is_given(rules: RuleSet) -> None:
    question = asked(b"/a", FORM, b"q=<script>alert(1)</script>")
    assert rules.inspect(question).score >= INBOUND
    without = Question(question.client, question.server, "POST", b"/a", "1.1", question.fields, None)
    assert rules.inspect(without).score == 0


def test_a_response_that_tells_too_much_scores(rules: RuleSet) -> None:
    html = ((b"content-type", b"text/html"),)
    found = rules.inspect(asked(answer=Answer(500, html, LEAK)))
    assert found.score >= OUTBOUND
    assert 951230 in {each.id for each in found.matches}
    assert rules.inspect(asked(answer=Answer(200, html, b"<p>Hello</p>"))).score == 0
    assert rules.inspect(asked(answer=Answer(200, html, None))).score == 0
    other = ((b"content-type", b"image/png"),), (*html, (b"content-encoding", b"gzip")), ()
    assert [rules.inspect(asked(answer=Answer(200, each, LEAK))).score for each in other] == [0, 0, 0]


def test_of_a_response_the_request_is_not_judged_again(rules: RuleSet) -> None:
    question = asked(b"/?id=1%27%20OR%20%271%27%3D%271", answer=Answer(200, (), None))
    found = rules.inspect(question)
    assert (found.score, found.matches) == (0, ())


def test_rules_that_are_left_out_do_not_count(engine: Engine, rules: RuleSet) -> None:
    question = asked(b"/?id=1%27%20OR%20%271%27%3D%271")
    before = rules.inspect(question)
    after = engine.rules((942100,)).inspect(question)
    assert 942100 in {each.id for each in before.matches}
    assert 942100 not in {each.id for each in after.matches}
    assert after.score == before.score - 5


def test_a_file_that_needs_geoip_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(files_of([need_crs()]))
    engine.rules()
    engine.rules((942100,))
    told = [each for each in caplog.messages if "GeoIP" in each]
    assert len(told) <= 1
    assert all("REQUEST-910" in each for each in told)


def test_rules_that_are_none_are_told(tmp_path: Path) -> None:
    need_crs()
    bad = tmp_path / "REQUEST-901-INITIALIZATION.conf"
    bad.write_text("SecRule nonsense\n")
    with pytest.raises(EngineFailure, match=r"--crs: .*REQUEST-901"):
        Engine((bad,)).rules()
    bad.write_text("# nothing\n")
    with pytest.raises(EngineFailure, match="no rules"):
        Engine((bad,)).rules()


def test_an_engine_that_fails_is_told(rules: RuleSet) -> None:
    broken = Question(("192.0.2.1", -1), ("", 1), "GET", b"/", "1.1", ((b"a", None),))  # type: ignore[arg-type]
    with pytest.raises(EngineFailure, match="the engine failed"):
        rules.inspect(broken)
    assert repr(rules) == "<RuleSet>"


def test_rules_that_count_nothing_are_a_failure(tmp_path: Path) -> None:
    need_crs()
    path = tmp_path / "REQUEST-901-INITIALIZATION.conf"
    path.write_text('SecAction "id:901000,phase:1,pass,nolog"\n')
    with pytest.raises(EngineFailure, match="counted nothing"):
        Engine((path,)).rules().inspect(asked())
