"""Documents: what scalars are, where things stand, and bounds that hold before they cost."""

import json

import pytest

from portway.codec.document import Bounds, Node, decoded, parse
from portway.errors import DocumentError

BOUNDS = Bounds(size=256 * 1024, depth=24, values=50_000)
RANGES = 10_000


def refused(text: str, bounds: Bounds = BOUNDS) -> DocumentError:
    """Return why a document cannot be read."""
    with pytest.raises(DocumentError) as caught:
        parse(text, bounds)
    return caught.value


def node(text: str, *path: str | int) -> Node:
    """Return a node below the root."""
    found = parse(text, BOUNDS)
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
        (".5", 0.5),
        (".inf", ".inf"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'true'", "true"),
        ('"1"', "1"),
        ('"\\u00e4"', "ä"),
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
    assert node("{v: 1.30, n: [1, true, null, 'x', 0x1]}").json() == '{"v":1.30,"n":[1,true,null,"x",1]}'


def test_json_is_read_by_the_same_reader() -> None:
    document = {
        "on_http_request": [{"name": "ü 😀 / \t", "actions": [{"type": "deny", "config": {"n": -1.5e3}}]}]
    }
    for text in (
        json.dumps(document),
        json.dumps(document, indent="\t"),
        json.dumps(document, ensure_ascii=False).replace("/", "\\/"),
    ):
        assert json.loads(parse(text, BOUNDS).json()) == document


def test_every_node_knows_its_place() -> None:
    text = (
        "on_http_request:\n  - name: x # why\n"
        "    actions:\n      - type: deny\n        config: {a: [1, {b: 2}]}\n"
    )
    found = node(text, "on_http_request", 0, "actions", 0, "config", "a", 1, "b")
    assert found.path == "on_http_request[0].actions[0].config.a[1].b"
    assert (found.line, found.column) == (5, 29)
    assert found.place == f"5:29 {found.path}"
    rule = node(text, "on_http_request", 0)
    assert rule.keys["actions"] == (3, 5)
    assert rule.entries["name"].end == (2, 12)
    assert [rule.flow, node(text, "on_http_request", 0, "actions", 0, "config").flow] == [False, True]
    assert parse("a: [1]", BOUNDS, "f.yml").entries["a"].items[0].place == "f.yml:1:5 a[0]"


def test_nothing_shows_a_value() -> None:
    assert "hunter2" not in repr(node("authtoken: hunter2", "authtoken"))


def test_an_alias_is_a_copy_at_its_own_place() -> None:
    text = "a: &x {k: [1]}\nb: *x\n"
    assert json.loads(node(text).json()) == {"a": {"k": [1]}, "b": {"k": [1]}}
    assert node(text, "b", "k").path == "b.k"
    assert node(text, "a", "k").path == "a.k"
    assert node(text, "b").line == 2
    assert node(text, "b", "k").line == 1, "what is below it stands where it was written"


@pytest.mark.parametrize("text", ["", "# nothing\n", "~", "---\n...\n"])
def test_nothing_is_null(text: str) -> None:
    assert node(text).is_null


@pytest.mark.row("P-01")
@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("a: 1\nb: [1", "expected", 2, 6),
        ("a: b: c\n", "mapping values are not allowed here", 1, 5),
        ("a: 1\na: 2\n", "the key 'a' occurs twice, first on line 1; remove one", 2, 1),
        ("x:\n  - !inCidrRange(conn.client_ip, '10.0.0.0/8')\n", "quotes", 2, 5),
        ("x:\n  - !req.url.contains('a')\n", "begins with '!'", 2, 5),
        ("x:\n  - ! inCidrRange(conn.client_ip, '10.0.0.0/8')\n", "'!' is a YAML tag here", 2, 5),
        ("x: ! [a]\n", "'!' is a YAML tag here", 1, 4),
        ("x: ${a: b}\n", "into quotes", 1, 7),
        ("x: !!str 1\n", "tag", 1, 4),
        ("x: !!python/object:x y\n", "tag", 1, 4),
        ("a: 1\n---\nb: 2\n", "one document", 2, 1),
        ("a: *b\n", "no anchor &b", 1, 4),
        ("a: &a [*a]\n", "inside what it names", 1, 8),
        ("? [1]\n: 2\n", "a key is a text", 1, 3),
        ("a:\n\tb: 1", "a tab cannot start any token; YAML is indented with spaces only", 2, 1),
        ('a: "\\ud800"', "no character", 1, 1),
        ("a: 1\nb: \x07", "the control character U+0007", 2, 4),
        ("a: \x00", "the control character U+0000", 1, 4),
        ("a: \udc80", "not Unicode", 1, 1),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, said: str, line: int, column: int) -> None:
    problem = refused(text)
    assert said in problem.message
    assert (problem.line, problem.column) == (line, column)
    assert str(problem) == f"{line}:{column}: {problem.message}"


def test_a_bomb_of_aliases_ends_at_the_limit() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    problem = refused("\n".join(lines))
    assert "more than 50000 values, aliases counted in full" in problem.message
    assert problem.line == 5


def test_values_without_aliases_are_counted_too() -> None:
    assert "more than 4 values" in refused("[1, 2, 3, 4]", Bounds(100, 2, 4)).message
    assert len(parse("[1, 2, 3]", Bounds(100, 2, 4)).items) == 3


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
    assert "larger than 10 bytes" in refused("ääääää", Bounds(10, 2, 9)).message


def test_bytes_are_utf_8_within_the_size() -> None:
    assert decoded("ä: 1".encode("utf-8-sig"), BOUNDS) == "ä: 1"
    with pytest.raises(DocumentError, match="2:4: not UTF-8 at byte 8") as caught:
        decoded(b"a: 1\nb: \xe4\n", BOUNDS)
    assert (caught.value.line, caught.value.column) == (2, 4)
    with pytest.raises(DocumentError, match="larger than 3 bytes"):
        decoded(b"1234", Bounds(3, 1, 1))


def test_ten_thousand_ranges_are_read() -> None:
    text = "x:\n" + "".join(f"- 10.{i // 250}.{i % 250}.0/24\n" for i in range(RANGES))
    assert len(node(text, "x").items) == RANGES
