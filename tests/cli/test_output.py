"""Log lines and error messages."""

import io
import json
from datetime import UTC, datetime

from portway.cli.output import LogLines, print_error
from portway.errors import ConfigError, Error


def clock() -> datetime:
    return datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def written(form: str, level: str = "info") -> tuple[LogLines, io.StringIO]:
    out = io.StringIO()
    return LogLines(out, form, level, clock), out


def test_logfmt_quotes_only_what_needs_it() -> None:
    log, out = written("logfmt")
    log.log(
        "info",
        "started tunnel",
        name="command_line",
        addr="http://localhost:80",
        note='say "hi" \u00e4',
        ok=True,
    )
    assert out.getvalue() == (
        't=2026-01-02T03:04:05.678+00:00 lvl=info msg="started tunnel" name=command_line '
        'addr=http://localhost:80 note="say \\"hi\\" \u00e4" ok=true\n'
    )


def test_json_lines_parse() -> None:
    log, out = written("json")
    log.log("warn", "session lost", err="a\nb", n=3)
    assert json.loads(out.getvalue()) == {
        "t": "2026-01-02T03:04:05.678+00:00",
        "lvl": "warn",
        "msg": "session lost",
        "err": "a\nb",
        "n": 3,
    }


def test_lines_for_people_carry_no_colour_into_a_file() -> None:
    log, out = written("term")
    log.log("error", "oh", path="/\x1b[31m")
    assert out.getvalue() == '03:04:05 ERROR oh  path="/\\u001b[31m"\n'


def test_a_visitor_cannot_forge_a_line() -> None:
    for form in ("term", "logfmt", "json"):
        log, out = written(form)
        log.log("info", "request", path="/\r\nlvl=crit msg=forged")
        assert out.getvalue().count("\n") == 1


def test_only_line_ends_of_ours_split_a_log() -> None:
    """U+2028 and its like are line ends to some readers, JSON's own readers excepted."""
    for form in ("json", "logfmt", "term"):
        lines, sink = written(form)
        lines.log("info", "a\u2028b\u2029c\x85d", target="/\u2028\u2029\x85\x0b\x0c\x1c")
        assert sink.getvalue().isascii()
        assert len(sink.getvalue().splitlines()) == 1


def test_the_threshold_silences_lower_levels() -> None:
    log, out = written("logfmt", "warn")
    log.log("info", "quiet")
    log.log("crit", "loud")
    assert "quiet" not in out.getvalue()
    assert "loud" in out.getvalue()


def test_errors_name_their_code_on_a_line_of_its_own() -> None:
    out = io.StringIO()
    print_error(Error("The authtoken is unknown.", 107), out)
    assert out.getvalue() == (
        "error: The authtoken is unknown.\nERR_NGROK_107\nWhat to do: portway explain ERR_NGROK_107\n"
    )
    out = io.StringIO()
    print_error(ConfigError("--url: nonsense"), out)
    assert out.getvalue() == "error: --url: nonsense\n"
