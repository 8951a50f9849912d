"""A file as values that know their place, and every way in which it is no such file."""

from pathlib import Path

import pytest

from portway.agent.config.document import (
    DEPTH_LIMIT,
    SHOWN_PROBLEMS,
    SIZE_LIMIT,
    VALUE_LIMIT,
    Node,
    Problems,
    content,
    parse,
    read,
)
from portway.errors import ConfigError


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yml")
    return str(caught.value)


def test_values_know_where_they_stand() -> None:
    root = parse("version: 3\nagent:\n  log: x # why\nendpoints:\n  - name: 'a b'\n", "f.yml")
    assert root.entries["agent"].entries["log"].place == "f.yml:3:8 agent.log"
    assert root.entries["endpoints"].items[0].entries["name"].place == "f.yml:5:11 endpoints[0].name"
    assert root.keys["agent"] == (2, 1)
    assert root.entries["agent"].entries["log"].end == (3, 9)


@pytest.mark.parametrize(
    ("written", "value"),
    [("yes", "yes"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("017", 17), ("true", True), ("~", None),
     ("'1'", "1"), (".5", 0.5), ("0x10", "0x10"), ('"\\u00e4"', "ä")],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(written: str, value: object) -> None:
    node = parse(f"a: {written}\n", "f").entries["a"]
    assert node.scalar == value
    assert type(node.scalar) is type(value)


def test_numbers_keep_their_spelling_in_json() -> None:
    node = parse("a: {v: 1.30, n: [1, true, null, 'x', 0x1]}\n", "f").entries["a"]
    assert node.json() == '{"v":1.30,"n":[1,true,null,"x","0x1"]}'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a:\n\tb: 1\n", "f.yml:2:1: a tab; YAML is indented with spaces only"),
        ("a: 1\nb: 2\na: 3\n", "f.yml:3:1: 'a' is given twice, first on line 1; remove one"),
        ("a: [1\n", "f.yml:2:1: expected ',' or ']'"),
        ("a: b: c\n", "f.yml:1:5: mapping values are not allowed here"),
        ("- a\n", "f.yml:1:1: a map of options is wanted"),
        ("just words\n", "f.yml:1:1: a map of options is wanted"),
        ("a: 1\n---\nb: 2\n", "f.yml:2:1: a file holds one document"),
        ("a: !!python/object:x y\n", "f.yml:1:4: tags such as"),
        ("a: *x\n", "f.yml:1:4: there is no anchor &x"),
        ("a: &x [*x]\n", "f.yml:1:8: there is no anchor &x"),
        ("? [a]\n: 1\n", "f.yml:1:3: a key must be a plain word"),
        ("a: \x07\n", "f.yml: not YAML: "),
        ("a: " + "[" * (DEPTH_LIMIT + 1), f"nested deeper than {DEPTH_LIMIT} levels"),
        ("a: " + "[" * 100_000, f"nested deeper than {DEPTH_LIMIT} levels"),
    ],
)
def test_what_is_no_file_of_options(text: str, what: str) -> None:
    assert what in refusal(text)


def test_a_bomb_of_aliases_is_not_blown_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert f"more than {VALUE_LIMIT} values" in refusal("\n".join(lines))


def test_an_alias_has_the_place_where_it_stands() -> None:
    root = parse("a: &x {p: 1}\nb: *x\n", "f")
    assert root.entries["b"].entries["p"].place == "f:2:4 b.p"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.yml")
    large = tmp_path / "large.yml"
    large.write_bytes(b"# " + b"x" * (10 << 20))
    with pytest.raises(ConfigError, match=f"larger than {SIZE_LIMIT} bytes"):
        read(large)
    latin = tmp_path / "latin.yml"
    latin.write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(ConfigError, match=r"latin\.yml:2: not UTF-8"):
        read(latin)
    marked = tmp_path / "marked.yml"
    marked.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert content(marked) == "a: 1\n"
    empty = tmp_path / "empty.yml"
    empty.write_text("# nothing yet\n")
    assert read(empty).entries == {}


def test_problems_are_told_together_up_to_a_number() -> None:
    problems = Problems()
    problems.check()
    for number in range(SHOWN_PROBLEMS + 3):
        problems.add(Node("scalar", "f", number, 1, "a"), "is wrong")
    with pytest.raises(ConfigError) as caught:
        problems.check()
    lines = str(caught.value).splitlines()
    assert len(lines) == SHOWN_PROBLEMS + 1
    assert lines[-1] == "… and 3 more problems"


def test_nothing_shows_a_value() -> None:
    assert "secret" not in repr(parse("authtoken: secret\n", "f").entries["authtoken"])
