"""A file within its bounds, and every way in which it is no such file."""

from pathlib import Path

import pytest

from portway.agent.config.document import (
    DEPTH_LIMIT,
    SHOWN_PROBLEMS,
    SIZE_LIMIT,
    VALUE_LIMIT,
    Problems,
    content,
    parse,
    read,
)
from portway.codec.document import Node
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
    ("text", "what"),
    [
        ("a:\n\tb: 1\n", "f.yml:2:1: a tab cannot start any token; YAML is indented with spaces only"),
        ("a: 1\nb: 2\na: 3\n", "f.yml:3:1: the key 'a' occurs twice, first on line 1; remove one"),
        ("- a\n", "f.yml:1:1: a map of options is wanted"),
        ("just words\n", "f.yml:1:1: a map of options is wanted"),
        ("a: 1\nb:\n  <<: *x\n", "f.yml:3:7: there is no anchor &x"),
        ("a: &x {c: 1}\nb:\n  - <<: *x\n", "f.yml:3:5: `<<` merges nothing here"),
        ("a: " + "[" * (DEPTH_LIMIT + 1), f"nested deeper than {DEPTH_LIMIT} levels"),
        ("a: [" + "1," * VALUE_LIMIT, f"more than {VALUE_LIMIT} values"),
        ("#" * (SIZE_LIMIT + 1), f"larger than {SIZE_LIMIT} bytes"),
    ],
    ids=lambda each: each[:40],
)
def test_what_is_no_file_of_options(text: str, what: str) -> None:
    assert what in refusal(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.yml")
    large = tmp_path / "large.yml"
    large.write_bytes(b"# " + b"x" * (10 << 20))
    with pytest.raises(ConfigError, match=f"larger than {SIZE_LIMIT} bytes"):
        read(large)
    latin = tmp_path / "latin.yml"
    latin.write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(ConfigError, match=r"latin\.yml:2:4: not UTF-8"):
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
        problems.add(Node("scalar", number, 1, "a", "f"), "is wrong")
    with pytest.raises(ConfigError) as caught:
        problems.check()
    lines = str(caught.value).splitlines()
    assert len(lines) == SHOWN_PROBLEMS + 1
    assert lines[-1] == "… and 3 more problems"
