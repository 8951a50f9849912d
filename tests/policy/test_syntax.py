"""The syntax of expressions: shape of the tree, and everything that is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.policy.syntax import Syntax, SyntaxFault, parse_expression


def shape(node: Syntax) -> str:
    """Write a tree on one line."""
    inside = " ".join(shape(child) for child in node.children)
    return f"({' '.join(each for each in (node.kind, node.name, inside) if each)})"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a.b.c", "(select c (select b (name a)))"),
        ("a.b(1)[2]", "(index (method b (name a) (literal 1)) (literal 2))"),
        ("f(1, 2)", "(call f (literal 1) (literal 2))"),
        ("1 + 2 - 3", "(chain + - (literal 1) (literal 2) (literal 3))"),
        ("1 + 2 * 3", "(chain + (literal 1) (chain * (literal 2) (literal 3)))"),
        ("!!a && -1 < b", "(chain && (unary ! (name a)) (chain < (unary - (literal 1)) (name b)))"),
        ("a ? b : c ? d : e", "(choice (name a) (name b) (choice (name c) (name d) (name e)))"),
        ("[1, 2,]", "(list (literal 1) (literal 2))"),
        ("{'a': 1, }", "(map (literal 'a') (literal 1))"),
        ("(a)", "(group (name a))"),
        ("a.as.in", "(select in (select as (name a)))"),
        ("a in b", "(chain in (name a) (name b))"),
        ("inside", "(name inside)"),
        ("r'\\' + b\"x\" + Rb'y'", "(chain + + (literal r'\\') (literal b\"x\") (literal Rb'y'))"),
        ("0x1Fu + 1.5e3 + .5", "(chain + + (literal 0x1Fu) (literal 1.5e3) (literal .5))"),
    ],
)
def test_trees(source: str, wanted: str) -> None:
    assert shape(parse_expression(source, 20)) == wanted


def test_nodes_know_where_they_stand() -> None:
    source = " a.b( c + 'd' )[0] "
    tree = parse_expression(source, 20)
    assert source[tree.start : tree.end] == "a.b( c + 'd' )[0]"
    assert source[tree.children[0].children[1].start : tree.children[0].children[1].end] == "c + 'd'"
    assert tree.children[0].dotted() == ()
    assert tree.children[0].children[0].dotted() == ("a",)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 2",
        "a.",
        "a.1",
        "[1",
        "{1}",
        "{1: }",
        "f(,)",
        "f(1,)",
        "a ? b",
        "a ?: b",
        "a.?b",
        "a[?b]",
        "T{a: 1}",
        "if",
        "in a",
        "#",
        "'\\000'",
    ],
)
def test_what_is_none(source: str) -> None:
    with pytest.raises(SyntaxFault):
        parse_expression(source, 20)


def test_depth_is_counted() -> None:
    parse_expression("(" * 9 + "1" + ")" * 9, 10)
    for source in (
        "(" * 10 + "1" + ")" * 10,
        "[" * 11 + "]" * 11,
        "a ? b : " * 10 + "c",
        "f(" * 10 + "1" + ")" * 10,
    ):
        with pytest.raises(SyntaxFault, match="too deeply"):
            parse_expression(source, 10)


@settings(deadline=None)
@given(st.text(alphabet="ab.()[]{}'\"\\?:,+-!&|<=in \n1u", max_size=40))
def test_anything_is_a_tree_or_a_fault_inside(source: str) -> None:
    try:
        tree = parse_expression(source, 10)
        places = (tree.start, tree.end)
    except SyntaxFault as fault:
        places = (fault.offset,)
    assert all(0 <= place <= len(source) for place in places)
