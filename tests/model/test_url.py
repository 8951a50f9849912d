"""The grammar of endpoint URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.errors import Error
from portway.model.url import Binding, Url, normal_host, parse_endpoint_url

PUBLIC = {"http": 7080, "https": 7443, "tls": 7443}


def code_of(text: str, **options: object) -> str:
    with pytest.raises(Error) as caught:
        parse_endpoint_url(text, **options)  # pyright: ignore[reportArgumentType]
    return caught.value.code.removeprefix("ERR_NGROK_")


@pytest.mark.row("G-117")
@pytest.mark.parametrize(
    ("asked", "url"),
    [
        ("", "https://"),
        ("  ", "https://"),
        ("https://", "https://"),
        ("http://", "http://"),
        ("tls://", "tls://"),
        ("tcp://", "tcp://"),
        ("TCP://", "tcp://"),
        ("app.example.com", "https://app.example.com"),
        ("app.example.com:443", "https://app.example.com"),
        ("app.example.com:8443", "https://app.example.com:8443"),
        ("http://app.example.com", "http://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:0080", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("tls://app.example.com:443", "tls://app.example.com"),
        ("tcp://1.tcp.example.com:20000", "tcp://1.tcp.example.com:20000"),
        ("tcp://localhost:80", "tcp://localhost:80"),
        ("tcp://203.0.113.7:22", "tcp://203.0.113.7:22"),
        ("HTTPS://App.Example.COM.", "https://app.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER。example", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://xn--strae-oqa.example", "https://xn--strae-oqa.example"),
        ("*.example.com", "https://*.example.com"),
        ("x.internal", "https://x.internal"),
        ("http://x.internal:8000", "http://x.internal:8000"),
        ("tcp://*.x.internal:1", "tcp://*.x.internal:1"),
        ("a" * 63 + ".example.com", "https://" + "a" * 63 + ".example.com"),
        ("single", "https://single"),
    ],
)
def test_accepted_forms(asked: str, url: str) -> None:
    parsed = parse_endpoint_url(asked)
    assert str(parsed) == url
    assert parse_endpoint_url(str(parsed)) == parsed


@pytest.mark.row("G-117")
@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("htps://x.example.com", "9036"),
        ("ftp://x.example.com", "9036"),
        ("://x.example.com", "9036"),
        ("https://invalid@domain.com", "9037"),
        ("invalid@domain.com", "9037"),
        ("https://user:pass@domain.com", "9037"),
        ("https://domain.com/path", "9037"),
        ("https://domain.com//", "9037"),
        ("https://domain.com?x=1", "9037"),
        ("https://domain.com#x", "9037"),
        ("https://domain.com/?x", "9037"),
        ("https://domain.com\\path", "9037"),
        ("https://domain.com/", "9038"),
        ("domain.com/", "9038"),
        ("https:///", "9038"),
        ("https://domain.com:abc", "9033"),
        ("https://domain.com:", "9033"),
        ("https://domain.com:+80", "9033"),
        ("https://domain.com:٨٠", "9033"),
        ("https://domain.com:0", "9030"),
        ("https://domain.com:65536", "9030"),
        ("https://domain.com:" + "9" * 5000, "9030"),
        ("https://[::1]:80", "9032"),
        ("https://a:b:c", "9032"),
        ("https://a b.com", "9034"),
        ("https://a\nb.com", "9034"),
        ("https://a\x00b.com", "9034"),
        ("tcp://:22", "9034"),
        ("tcp://1.tcp.example.com", "9035"),
        ("https://a..b.com", "327"),
        ("https://b.com..", "327"),
        ("https://.b.com", "328"),
        ("https://-a.com", "328"),
        ("https://a-.com", "329"),
        ("https://ab--c.com", "330"),
        ("https://a!b.com", "326"),
        ("https://a%20b.com", "326"),
        ("https://a\u2060b.com", "9034"),
        ("https://\u2488com.example", "326"),
        ("https://a_b.com", "355"),
        ("https://xn--a.com", "347"),
        ("https://xn--.com", "329"),
        ("https://xn--99999999999.com", "347"),
        ("https://" + "a" * 64 + ".com", "396"),
        ("https://" + "ü" * 64 + ".com", "396"),
        ("https://" + ".".join(["abcdefg"] * 40), "397"),
        ("https://*", "402"),
        ("https://a.*.com", "402"),
        ("https://*.*.com", "402"),
        ("https://*a.com", "403"),
        ("https://a*.b.com", "403"),
        ("a.b.c.d.e.f.internal", "9031"),
    ],
)
def test_refused_forms(asked: str, code: str) -> None:
    assert code_of(asked) == code


@pytest.mark.row("G-076")
def test_user_information_is_refused_and_not_repeated() -> None:
    with pytest.raises(Error) as caught:
        parse_endpoint_url("https://someone:hunter2@domain.com")
    assert caught.value.code == "ERR_NGROK_9037"
    assert "hunter2" not in str(caught.value)


def test_a_trailing_slash_brings_a_suggestion() -> None:
    with pytest.raises(Error, match=r"'http://a\.example\.com'"):
        parse_endpoint_url("http://a.example.com/")


@pytest.mark.parametrize(("scheme", "asked", "url"), [
    ("tls", "a.example.com", "tls://a.example.com"),
    ("tcp", "", "tcp://"),
    ("tcp", "localhost:22", "tcp://localhost:22"),
    ("http", "a.example.com", "http://a.example.com"),
    ("tcp", "https://a.example.com", "https://a.example.com"),
])  # fmt: skip
def test_the_default_scheme_applies_to_bare_hosts(scheme: str, asked: str, url: str) -> None:
    assert str(parse_endpoint_url(asked, scheme)) == url


@pytest.mark.parametrize(("asked", "url"), [
    ("", "https://"),
    ("a.example.com", "https://a.example.com:7443"),
    ("https://a.example.com:443", "https://a.example.com:7443"),
    ("https://a.example.com:7443", "https://a.example.com:7443"),
    ("tls://a.example.com", "tls://a.example.com:7443"),
    ("http://a.example.com:80", "http://a.example.com:7080"),
    ("tcp://localhost:20007", "tcp://localhost:20007"),
])  # fmt: skip
def test_public_ports_replace_the_defaults(asked: str, url: str) -> None:
    assert str(parse_endpoint_url(asked, public_ports=PUBLIC)) == url


@pytest.mark.parametrize("asked", ["https://a.example.com:80", "http://a.example.com:443", "a.b:8443"])
def test_another_port_is_refused(asked: str) -> None:
    assert code_of(asked, public_ports=PUBLIC) == "9035"


def test_a_random_url_takes_the_public_port_too() -> None:
    assert parse_endpoint_url("", public_ports=PUBLIC) == Url("https", "", 7443)


@pytest.mark.parametrize(("binding", "asked", "code"), [
    ("internal", "", "9028"),
    ("internal", "https://", "9028"),
    ("internal", "a.example.com", "9029"),
    ("public", "a.internal", "9029"),
    ("kubernetes", "http://", "9039"),
    ("kubernetes", "https://a.b", "9041"),
    ("kubernetes", "http://a", "9032"),
    ("kubernetes", "http://*.b", "9032"),
])  # fmt: skip
def test_rules_of_a_binding(binding: Binding, asked: str, code: str) -> None:
    assert code_of(asked, binding=binding) == code


def test_internal_urls_take_any_port() -> None:
    assert str(parse_endpoint_url("http://a.internal:9", public_ports=PUBLIC)) == "http://a.internal:9"
    assert str(parse_endpoint_url("tcp://a.b:9", binding="kubernetes")) == "tcp://a.b:9"


def test_what_a_url_says_of_itself() -> None:
    url = parse_endpoint_url("*.example.com")
    assert url.is_wildcard
    assert not url.is_random
    assert not url.is_internal
    assert url.hostport == "*.example.com:443"
    assert parse_endpoint_url("tcp://").port == 0


@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=80)
    | st.text(alphabet="ab.-_*xn0:/@?é。", max_size=30)
)
def test_any_text_is_a_url_or_an_error_with_a_code(text: str) -> None:
    url, code = None, ""
    try:
        url = parse_endpoint_url(text)
    except Error as error:
        code = error.code
    assert code.startswith("ERR_NGROK_") == (url is None)
    if url is not None:
        assert parse_endpoint_url(str(url)) == url
        assert str(url).isascii()


def test_normal_host_folds_alone() -> None:
    assert normal_host("A.Example.") == "a.example"
