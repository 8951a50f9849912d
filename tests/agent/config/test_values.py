"""Readers of single values: what they take, and what they say of the rest."""

from pathlib import Path
from typing import Any

import pytest

from portway.agent.config import values
from portway.agent.config.document import Problems, parse
from portway.agent.config.values import Reader
from portway.errors import ConfigError


def got(reader: Reader, written: str) -> Any:
    problems = Problems()
    found = reader(parse(f"a: {written}\n", "f").entries["a"], problems)
    problems.check()
    return found


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("1m30s", 90), ("24h", 86400), ("1.5h", 5400), ("0", 0)],
)
def test_durations_are_gos(written: str, seconds: float) -> None:
    assert values.parse_duration(written) == pytest.approx(seconds)
    assert got(values.duration, written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "10", "s", "10 s", "1s x", "-1s", "1d"])
def test_what_is_no_duration(written: str) -> None:
    assert values.parse_duration(written) is None


def test_what_each_reader_takes() -> None:
    assert got(values.text, "017") == "017"
    assert got(values.text_or_none, "") == ""
    assert got(values.boolean, "false") is False
    assert got(values.integer, "-1") == -1
    assert got(values.number, "0.5") == 0.5
    assert got(values.texts, "[a, 1]") == ("a", "1")
    assert got(values.texts, "a") == ("a",)
    assert got(values.one_of("x", "y"), "y") == "y"
    assert got(values.some_of("x", "y"), "[x]") == ("x",)
    assert (got(values.proxy_protocol, "2"), got(values.proxy_protocol, "'1'")) == ("2", "1")
    assert (got(values.proxy_protocol, "''"), got(values.proxy_protocol, "0")) == ("", "")
    assert got(values.at_most(3), "äx") == "äx"


@pytest.mark.parametrize(
    ("reader", "written", "what"),
    [
        (values.text, "[a]", "a text is wanted, not a list"),
        (values.boolean, "'true'", "true or false is wanted, not this text"),
        (values.integer, "x", "a whole number is wanted, not this text"),
        (values.integer, "true", "a whole number is wanted, not true or false"),
        (values.number, "true", "a number is wanted"),
        (values.duration, "10", "a duration such as 10s"),
        (values.texts, "{a: 1}", "a list of texts is wanted, not a map"),
        (values.texts, "[[a]]", "f:1:5 a[0]: a text is wanted"),
        (values.one_of("x", "y"), "z", "one of x, y is wanted"),
        (values.some_of("x", "y"), "[z]", "'z' is not one of x, y"),
        (values.proxy_protocol, "3", "one of 1, 2 is wanted"),
        (values.at_most(2), "äx", "longer than 2 bytes"),
    ],
)
def test_what_each_reader_says(reader: Reader, written: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        got(reader, written)
    assert what in str(caught.value)
    assert str(caught.value).startswith("f:1:")


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        got(values.boolean, "topsecret")
    assert "topsecret" not in str(caught.value)


@pytest.mark.row("K-26")
def test_unknown_keys_have_their_place_and_a_guess() -> None:
    problems = Problems()
    known: dict[str, Reader] = {"authtoken": values.text, "log": values.text}
    node = parse("a:\n  auth-token: x\n  zzz: 1\n", "f").entries["a"]
    assert values.fields(node, known, problems, {"zzz": "it is gone"}) == {}
    with pytest.raises(ConfigError) as caught:
        problems.check()
    assert str(caught.value).splitlines() == [
        "f:2:3 a.auth-token: there is no such key; did you mean authtoken?",
        "f:3:3 a.zzz: there is no such key; it is gone",
    ]


def test_paths_are_beside_the_file_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "x.pem").touch()
    monkeypatch.chdir(here)
    file = str(there / "portway.yml")
    assert values.located("x.pem", file) == Path("x.pem"), "it is only here"
    (there / "x.pem").touch()
    assert values.located("x.pem", file) == there / "x.pem"
    assert values.located("none.pem", file) == there / "none.pem"
    assert values.located("/etc/x.pem", file) == Path("/etc/x.pem")


def test_pem_is_a_text_or_a_file() -> None:
    assert got(values.pem, '"-----BEGIN CERTIFICATE-----"') == b"-----BEGIN CERTIFICATE-----"
    assert got(values.pems, "[/a.pem, /b.pem]") == (Path("/a.pem"), Path("/b.pem"))
    assert got(values.path, "/a") == Path("/a")


def test_two_that_say_the_same() -> None:
    problems = Problems()
    values.one_at_most(parse("url: a\ndomain: b\n", "f"), ("domain", "url"), problems)
    with pytest.raises(ConfigError, match="f:1:6 url: stands beside domain"):
        problems.check()
