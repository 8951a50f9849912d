"""Documents: what scalars are, where things stand, and bounds that hold before they cost."""

import json

import pytest

from portway.policy.document import Node, parse
from portway.policy.limits import PolicyLimits
from portway.policy.problem import PolicyError, Problem

CIDRS = 10_000


def refused(text: str, limits: PolicyLimits | None = None) -> Problem:
    """Return the one problem of a document that cannot be read."""
    with pytest.raises(PolicyError) as caught:
        parse(text, limits or PolicyLimits())
    [problem] = caught.value.problems
    assert problem.code == 2236
    assert caught.value.code == "ERR_NGROK_2236"
    return problem


def node(text: str, *path: str | int) -> Node:
    """Return a node below the root."""
    found = parse(text)
    for step in path:
        found = found.items[step] if isinstance(step, int) else found.entries[step]
    return found


@pytest.mark.row("P-01")
@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1.30", 1.3),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        (".inf", ".inf"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'true'", "true"),
        ('"1"', "1"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("<<", "<<"),
        ("9" * 50, "9" * 50),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, wanted: object) -> None:
    """No surprises of YAML 1.1."""
    assert node(f"a: {written}", "a").scalar == wanted
    assert type(node(f"a: {written}", "a").scalar) is type(wanted)


def test_numbers_keep_their_spelling() -> None:
    assert node("min_version: 1.30", "min_version").text == "1.30"


def test_json_is_read_by_the_same_reader() -> None:
    document = {
        "on_http_request": [{"name": "ü 😀 / \t", "actions": [{"type": "deny", "config": {"n": -1.5e3}}]}]
    }
    for text in (
        json.dumps(document),
        json.dumps(document, indent="\t"),
        json.dumps(document, ensure_ascii=False).replace("/", "\\/"),
    ):
        assert parse(text).plain() == document


def test_every_node_knows_its_place() -> None:
    text = (
        "on_http_request:\n  - name: x\n    actions:\n      - type: deny\n        config: {a: [1, {b: 2}]}\n"
    )
    found = node(text, "on_http_request", 0, "actions", 0, "config", "a", 1, "b")
    assert found.path == "on_http_request[0].actions[0].config.a[1].b"
    assert (found.line, found.column) == (5, 29)
    assert node(text, "on_http_request", 0).keys["actions"] == (3, 5)


def test_an_alias_is_a_copy_at_its_own_place() -> None:
    text = "a: &x {k: [1]}\nb: *x\n"
    assert parse(text).plain() == {"a": {"k": [1]}, "b": {"k": [1]}}
    assert node(text, "b", "k").path == "b.k"
    assert node(text, "a", "k").path == "a.k"


@pytest.mark.row("P-01")
@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("a: 1\nb: [1", "expected", 2, 6),
        ("a: 1\na: 2\n", "occurs twice", 2, 1),
        ("x:\n  - !inCidrRange(conn.client_ip, '10.0.0.0/8')\n", "quotes", 2, 5),
        ("x:\n  - !req.url.contains('a')\n", "begins with '!'", 2, 5),
        ("x: ${a: b}\n", "into quotes", 1, 7),
        ("x: !!str 1\n", "tag", 1, 4),
        ("a: 1\n---\nb: 2\n", "one document", 2, 1),
        ("", "a map whose keys", 1, 1),
        ("- 1\n", "a map whose keys", 1, 1),
        ("just text", "a map whose keys", 1, 1),
        ("a: *b\n", "no anchor", 1, 4),
        ("a: &a [*a]\n", "inside what it names", 1, 8),
        ("? [1]\n: 2\n", "a key is a text", 1, 3),
        ("\ta: 1", "cannot start any token", 1, 1),
        ('a: "\\ud800"', "no character", 1, 1),
        ("a: \x00", "", 1, 1),
        ("a: \udc80", "not Unicode", 1, 1),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, said: str, line: int, column: int) -> None:
    """2236 with line and column."""
    problem = refused(text)
    assert said in problem.message
    assert (problem.line, problem.column) == (line, column)


def test_a_bomb_of_aliases_ends_at_the_limit() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    problem = refused("\n".join(lines))
    assert "more than 50000 values" in problem.message
    assert problem.line == 5


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 100_000, "a: " + "[" * 99_999]
)
def test_a_deep_document_ends_at_the_limit(text: str) -> None:
    assert (
        "nested deeper than 24 levels" in refused(text).message or "mapping values" in refused(text).message
    )


def test_an_alias_counts_its_depth() -> None:
    lines = ["a0: &a0 [1]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 40))]
    assert "nested deeper" in refused("\n".join(lines)).message


def test_a_large_document_is_refused_unread() -> None:
    assert "larger than 262144 bytes" in refused("#" + "x" * 300_000).message
    assert "larger than 10 bytes" in refused("ääääää", PolicyLimits(document=10)).message


def test_ten_thousand_ranges_are_read() -> None:
    text = "x:\n" + "".join(f"- 10.{i // 250}.{i % 250}.0/24\n" for i in range(CIDRS))
    assert len(parse(text).entries["x"].items) == CIDRS
