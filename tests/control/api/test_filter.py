"""Filters: every construct that is supported, every one that is not, and their budgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.control.api.filter import DEPTH_LIMIT, FILTER_LIMIT, LIST_LIMIT, NODES_LIMIT, compile_filter
from portway.errors import Error

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
ITEM = {
    "id": "cr_2abc",
    "created_at": "2027-01-10T00:00:00Z",
    "description": "the laptop of Åsa",
    "metadata": "",
    "owner_id": None,
    "acl": ["bind:*.example.com", "bind:foo=bar"],
    "pooling_enabled": True,
    "principal": {"id": "usr_1", "uri": ""},
    "certificate": None,
    "port": 443,
}
FIELDS = frozenset(
    {"owner_id", "acl", "pooling_enabled", "principal.id", "certificate.id", "port", "not_after"}
)


def keeps(text: str) -> bool:
    return compile_filter(text, FIELDS, NOW)(ITEM)


@pytest.mark.parametrize(
    "text",
    [
        'obj.id == "cr_2abc"',
        "obj.id == 'cr_2abc'",
        'obj.id != "cr_x"',
        '"cr_2abc" == obj.id',
        'obj.id >= "cr_2" && obj.id < "cr_3"',
        'obj.description == "the laptop of \\u00c5sa"',
        'obj.metadata == ""',
        "obj.metadata == null",
        "obj.owner_id == null",
        'obj.owner_id == ""',
        'obj.description != ""',
        "null != obj.description",
        "obj.pooling_enabled",
        "obj.pooling_enabled == true",
        "!(obj.pooling_enabled == false)",
        "!!obj.pooling_enabled",
        'obj.principal.id == "usr_1"',
        "obj.certificate.id == null",
        'obj.id == "x" || obj.metadata == ""',
        '(obj.id == "x" || obj.metadata == "") && obj.pooling_enabled',
        '"bind:foo=bar" in obj.acl',
        'obj.id in ["a", "cr_2abc", 3, true, null]',
        "obj.owner_id in [null]",
        "size(obj.acl) == 2",
        "size(obj.metadata) == 0",
        "size(obj.owner_id) == 0",
        "size(obj.description) > 3",
        'size("ab") <= 2',
        "obj.port == 443",
        "obj.port >= 443.0 && obj.port < 444 && obj.port > -1",
        'obj.description.startsWith("the ")',
        'obj.description.endsWith("Åsa")',
        'obj.description.contains("laptop")',
        'obj.created_at < timestamp("2027-01-11T00:00:00Z")',
        'obj.created_at > timestamp("2027-01-09T23:00:00+02:00")',
        'obj.created_at == timestamp("2027-01-10T01:00:00+01:00")',
        'timestamp("2027-01-11T00:00:00Z") >= obj.created_at',
        "obj.created_at < timestamp(time.now)",
        'obj.created_at > timestamp(time.now).subtract("7d")',
        'obj.created_at > timestamp(time.now).subtract("7d").add("24h").subtract("30m")',
        'obj.created_at < "2027-02"',
        "true",
        "  true  ",
        'obj.id == "x" || true && obj.pooling_enabled',
        '"a" < "b"',
    ],
)
@pytest.mark.row("C13")
def test_what_is_supported(text: str) -> None:
    assert keeps(text)
    assert not keeps(f"!({text})")


@pytest.mark.parametrize(
    "text",
    [
        'obj.owner_id < "x"',  # a null has no order
        'obj.not_after < timestamp("2027-01-01T00:00:00Z")',  # nor has what is not there
        'obj.port < "x"',
        "obj.description < 5",
        "obj.acl == 5",
        'obj.acl.startsWith("bind")',
        "obj.description && true",
        "!true",
        '"x" in obj.description',
        "obj.port == true",
        "size(obj.port) == 0",
        "obj.created_at == timestamp(time.now)",
        'timestamp("2027-01-01T00:00:00Z") < obj.description',
    ],
)
def test_what_makes_no_sense_for_an_item_is_false(text: str) -> None:
    assert not keeps(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a value is missing"),
        ("obj.id", ""),  # a field may hold true or false: it does not here
        ('"text"', "true or false"),
        ("5", "true or false"),
        ("null", "true or false"),
        ("[]", "true or false"),
        ('timestamp("2027-01-01T00:00:00Z")', "true or false"),
        ("obj", "no field ''"),
        ("obj.", "a name is missing"),
        ("obj.nothing == 1", "no field 'nothing'"),
        ("obj.principal == null", "no field 'principal'"),
        ("id == 1", "'id' is not known"),
        ("obj.acl[0] == 1", "indexing"),
        ("obj.port + 1 == 2", "cannot be read"),
        ("obj.port * 2 == 2", "cannot be read"),
        ("obj.port ? true : false", "cannot be read"),
        ("type(obj.port) == int", "'type' is not known"),
        ("has(obj.port)", "'has' is not known"),
        ('obj.description.matches("a.*")', "not supported"),
        ("obj.acl.exists(x, true)", "not supported"),
        ("obj.description.size() == 1", "not supported"),
        ('obj.id.startsWith("cr")', "identifier"),
        ('obj.id.contains("a")', "identifier"),
        ('obj.principal.id.endsWith("a")', "identifier"),
        ('obj.owner_id.startsWith("u")', "identifier"),
        ("obj.description.startsWith(obj.id)", "quoted text"),
        ('obj.description.startsWith("a"', "missing"),
        ("(true", "missing"),
        ("true)", "not expected"),
        ("true true", "not expected"),
        ("true &&", "missing"),
        ("&& true", "missing"),
        ("true & true", "cannot be read"),
        ("obj.port = 443", "cannot be read"),
        ('obj.id == "open', "cannot be read"),
        ('obj.id == "a\\z"', "escape"),
        ('r"raw" == obj.id', "not known"),
        ("obj.port == 1u", "cannot be read"),
        ("obj.port == 0x10", "cannot be read"),
        ('timestamp("yesterday") < obj.created_at', "RFC 3339"),
        ('timestamp("2027-01-01T00:00:00") < obj.created_at', "RFC 3339"),
        ('timestamp("2027-01-01") < obj.created_at', "RFC 3339"),
        ("timestamp(time.then) < obj.created_at", "missing"),
        ('timestamp(time.now).minus("1d") < obj.created_at', "add() and subtract()"),
        ('timestamp(time.now).subtract("1w") < obj.created_at', "duration"),
        ('timestamp(time.now).subtract("999999d") < obj.created_at', "out of range"),
        ("timestamp(time.now).add(obj.id) < obj.created_at", "quoted text"),
        ('"a" == 1', "never equals"),
        ("[1] == [1]", "lists"),
        ("obj.acl == []", "lists"),
        ("true < false", "no order"),
        ("null < obj.id", "no order"),
        ('"a" < 1', "no order"),
        ("obj.id in 5", "in wants"),
        ('obj.id in "abc"', "in wants"),
        ("[1] in [2]", "in wants"),
        ("obj.id in [obj.id]", "no literal"),
        ("size(5) == 1", "size()"),
        ("size(true) == 1", "size()"),
        ("!5", "true or false"),
        ("true && 5", "true or false"),
        ('"x" || true', "true or false"),
    ],
)
@pytest.mark.row("C13")
def test_what_is_not_supported(text: str, why: str) -> None:
    if not why:
        assert not keeps(text)
        return
    with pytest.raises(Error) as raised:
        keeps(text)
    assert raised.value.code == "ERR_NGROK_250"
    assert why in raised.value.message


@pytest.mark.parametrize(
    ("fits", "exceeds"),
    [
        (f'obj.id == "{"x" * (FILTER_LIMIT - 12)}"', f'obj.id == "{"x" * (FILTER_LIMIT - 11)}"'),
        (
            "(" * (DEPTH_LIMIT - 1) + "true" + ")" * (DEPTH_LIMIT - 1),
            "(" * DEPTH_LIMIT + "true" + ")" * DEPTH_LIMIT,
        ),
        ("!" * (DEPTH_LIMIT - 2) + "true", "!" * DEPTH_LIMIT + "true"),
        ("true" + "||true" * (NODES_LIMIT // 2 - 1), "true" + "||true" * (NODES_LIMIT // 2)),
        (f"1 in [{','.join('1' * LIST_LIMIT)}]", f"1 in [{','.join('1' * (LIST_LIMIT + 1))}]"),
    ],
    ids=["length", "parentheses", "negations", "parts", "list"],
)
def test_budgets(fits: str, exceeds: str) -> None:
    compile_filter(fits, FIELDS, NOW)
    with pytest.raises(Error) as raised:
        compile_filter(exceeds, FIELDS, NOW)
    assert raised.value.code == "ERR_NGROK_250"


PARTS = """obj . id acl created_at ( ) [ ] , ! && || == != < in size timestamp time now add "a" "1d" 5 null"""
WORDS = st.sampled_from([*PARTS.split(), "startsWith", "true"])


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_filter_or_250(text: str) -> None:
    try:
        answer: object = keeps(text)
    except Error as error:
        answer = error.code
    assert answer in {True, False, "ERR_NGROK_250"}


def test_a_resource_may_leave_out_what_others_have() -> None:
    compile_filter('obj.region == "eu"', frozenset({"region"}), NOW, common=False)
    with pytest.raises(Error, match="no field 'description'"):
        compile_filter('obj.description == ""', frozenset({"region"}), NOW, common=False)
