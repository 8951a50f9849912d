import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.errors import Error
from portway.model.acl import RULE_LIMIT, RULES_LIMIT, Acl
from portway.model.url import parse_endpoint_url


def allows(rules: list[str], url: str) -> bool:
    return Acl.parse(rules).allows_url(parse_endpoint_url(url))


@pytest.mark.parametrize("rules", [[], ["*"], ["bind:*"], ["bind:other.example", "*"]])
def test_everything(rules: list[str]) -> None:
    acl = Acl.parse(rules)
    assert acl.everything
    assert acl.allows_url(parse_endpoint_url("tcp://1.tcp.example:20002"))
    assert acl.allows_random("tcp", "1.tcp.example")
    assert acl.allows_random("https", "example")
    assert acl.allows_labels({"any": "thing"})


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        (
            "bind:foo.ngrok.app",
            ["https://foo.ngrok.app", "http://FOO.ngrok.app:8080", "tls://foo.ngrok.app."],
            ["https://bar.foo.ngrok.app", "https://ngrok.app", "tcp://foo.ngrok.app:443"],
        ),
        (
            "bind:*.Example.com",
            [
                "https://a.example.com",
                "https://b.a.example.com",
                "https://*.example.com",
                "https://*.a.example.com",
            ],
            [
                "https://example.com",
                "https://aexample.com",
                "https://example.com.evil",
                "tcp://a.example.com:5",
            ],
        ),
        (
            "bind:1.tcp.ngrok.io:20002",
            ["tcp://1.tcp.ngrok.io:20002", "tcp://1.TCP.ngrok.io:20002"],
            ["tcp://1.tcp.ngrok.io:20003", "tcp://2.tcp.ngrok.io:20002", "https://1.tcp.ngrok.io:20002"],
        ),
        (
            "bind:name.internal",
            ["https://name.internal", "tcp://name.internal:5432"],
            ["https://other.internal", "https://below.name.internal"],
        ),
        (
            "bind:*.gateway1.internal",
            ["https://a.gateway1.internal", "tcp://b.a.gateway1.internal:1"],
            ["https://gateway1.internal", "https://a.gateway2.internal"],
        ),
        (
            "bind:db.internal:5432",
            ["tcp://db.internal:5432"],
            ["tcp://db.internal:5433", "https://db.internal"],
        ),
        ("bind:bücher.example", ["https://xn--bcher-kva.example"], ["https://bucher.example"]),
        ("bind:foo=bar", [], ["https://foo.example", "tcp://foo:1"]),
    ],
)
@pytest.mark.row("C11")
def test_one_rule(rule: str, allowed: list[str], refused: list[str]) -> None:
    for url in allowed:
        assert allows([rule], url), url
    for url in refused:
        assert not allows([rule], url), url


def test_rules_add_up() -> None:
    rules = ["bind:a.example", "bind:*.b.example", "bind:c.example:7"]
    assert [
        allows(rules, url)
        for url in ("https://a.example", "http://x.b.example", "tcp://c.example:7", "http://d.e")
    ] == [True, True, True, False]


@pytest.mark.parametrize(
    ("rule", "scheme", "base", "answer"),
    [
        ("bind:*.example.com", "https", "example.com", True),
        ("bind:*.com", "https", "example.com", True),
        ("bind:*.a.example.com", "https", "example.com", False),
        ("bind:example.com", "https", "example.com", False),
        ("bind:*.example.com", "tcp", "example.com", False),
        ("bind:1.tcp.example.com:1", "tcp", "1.tcp.example.com", False),
        ("bind:foo=bar", "https", "example.com", False),
    ],
)
def test_what_the_service_chooses(rule: str, scheme: str, base: str, answer: bool) -> None:
    assert Acl.parse([rule]).allows_random(scheme, base) is answer


@pytest.mark.parametrize(
    ("rules", "labels", "answer"),
    [
        (["bind:foo=bar"], {"foo": "bar"}, True),
        (["bind:foo=bar"], {"foo": "Bar"}, False),
        (["bind:foo=bar"], {"foo": "bar", "more": "x"}, False),
        (["bind:foo=bar", "bind:more=*"], {"foo": "bar", "more": "x"}, True),
        (["bind:app=*"], {"app": "anything"}, True),
        (["bind:app=*"], {"other": "anything"}, False),
        (["bind:*=example"], {"any": "example"}, True),
        (["bind:*=example"], {"any": "other"}, False),
        (["bind:*=*"], {"any": "other"}, True),
        (["bind:a=b=c"], {"a": "b=c"}, True),
        (["bind:foo.example"], {"foo": "bar"}, False),
        (["bind:*=*"], {}, False),
    ],
)
def test_labels(rules: list[str], labels: dict[str, str], answer: bool) -> None:
    assert Acl.parse(rules).allows_labels(labels) is answer


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "foo.example",
        "bind:",
        "bind: foo.example",
        "BIND:foo.example",
        "bind:*.",
        "bind:*.*.example",
        "bind:a.*.example",
        "bind:a*.example",
        "bind:a..example",
        "bind:https://foo.example",
        "bind:foo.example/path",
        "bind:foo.example:0",
        "bind:foo.example:65536",
        "bind:foo.example:99999999999999999999",
        "bind:foo.example:port",
        "bind:foo.example:²",
        "bind:*.foo.example:80",
        "bind::80",
        "bind:[::1]:80",
        "bind:=x",
        "bind:x=",
        "bind:x*=y",
        "bind:x=y*",
        "**",
        "connect:*",
        "bind:k=" + "v" * RULE_LIMIT,
    ],
)
def test_bad_rules(rule: str) -> None:
    with pytest.raises(Error) as raised:
        Acl.parse(["bind:fine.example", rule])
    assert raised.value.code == "ERR_NGROK_600"
    assert len(raised.value.message) < 400


def test_many_rules() -> None:
    Acl.parse([f"bind:{n}.example" for n in range(RULES_LIMIT)])
    with pytest.raises(Error, match="100 are allowed") as raised:
        Acl.parse(["*"] * (RULES_LIMIT + 1))
    assert raised.value.code == "ERR_NGROK_600"


@given(st.lists(st.text(max_size=40) | st.text("bind:*.=0a-", max_size=20).map("bind:".__add__), max_size=4))
def test_any_text_is_a_rule_or_600(rules: list[str]) -> None:
    try:
        acl = Acl.parse(rules)
    except Error as error:
        code = error.code
    else:
        code = ""
        assert acl.everything is (not rules or not {"*", "bind:*"}.isdisjoint(rules))
    assert code in {"", "ERR_NGROK_600"}
