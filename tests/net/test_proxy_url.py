"""The URL of a proxy, and that nothing shows its login."""

import pytest

from portway.errors import ConfigError
from portway.net.proxy_url import DEFAULT_PORTS, Proxy, authority, parse_proxy_url


@pytest.mark.row("A18", "G-063")
@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.test:3128", Proxy("http", "proxy.test", 3128)),
        ("http://proxy.test", Proxy("http", "proxy.test", 80)),
        ("https://proxy.test/", Proxy("https", "proxy.test", 443)),
        ("SOCKS5://Proxy.Test", Proxy("socks5", "proxy.test", 1080)),
        ("socks5h://[::1]:9", Proxy("socks5h", "::1", 9)),
        ("http://ann:pa%3Ass%40@proxy.test", Proxy("http", "proxy.test", 80, "ann", "pa:ss@")),
        ("http://a%C3%A9:@proxy.test", Proxy("http", "proxy.test", 80, "aé", "")),
        ("socks5://ann@proxy.test", Proxy("socks5", "proxy.test", 1080, "ann", "")),
    ],
)
def test_what_is_a_proxy(text: str, proxy: Proxy) -> None:
    assert parse_proxy_url(text, "it") == proxy
    assert proxy.has_login == ("@" in text)


@pytest.mark.row("G-063")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begin with a scheme"),
        ("proxy.test:3128", "begin with a scheme"),
        ("ann:secret@proxy.test:3128", "begin with a scheme"),
        ("ann:se://cret@proxy.test", "begin with a scheme"),
        ("ftp://ann:secret@proxy.test", "no ftp proxies"),
        ("http://ann:secret@", "names no host"),
        ("http://:3128", "names no host"),
        ("http://ann:secret@proxy.test:0", "names no port"),
        ("http://ann:secret@proxy.test:99999", "not a proxy's URL"),
        ("http://ann:secret@proxy.test:x", "not a proxy's URL"),
        ("http://ann:sec/ret@proxy.test:1", "not a proxy's URL"),
        ("http://ann:secret%FF@proxy.test", "not a proxy's URL"),
        ("http://[::1", "not a proxy's URL"),
        ("http://proxy.test/secret", "behind host and port"),
        ("http://proxy.test?secret", "behind host and port"),
        ("http://ann#secret@proxy.test", "behind host and port"),
        ("http://ann:sec ret@proxy.test", "no URL has"),
        ("http://ann:secret@proxy.test\r\n", "no URL has"),
        ("http://ann:secrét@proxy.test", "no URL has"),
        ("https://a%3Aann:secret@proxy.test", "with a colon"),
        ("socks5://:secret@proxy.test", "SOCKS5 takes users"),
        (f"socks5://{'u' * 256}:secret@proxy.test", "SOCKS5 takes users"),
        (f"socks5://ann:{'secret' * 50}@proxy.test", "SOCKS5 takes users"),
    ],
)
def test_what_is_none(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse_proxy_url(text, "the variable X")
    assert str(caught.value).startswith("the variable X")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None, "which would quote it"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_its_texts_show_no_login() -> None:
    proxy = parse_proxy_url("socks5://ann:secret@[2001:db8::1]:7", "it")
    assert str(proxy) == "socks5://[2001:db8::1]:7"
    assert "ann" not in f"{proxy} {proxy!r}"
    assert "secret" not in f"{proxy} {proxy!r}"


def test_every_scheme_has_its_port() -> None:
    assert DEFAULT_PORTS == {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
    assert authority("h", 1) == "h:1"
    assert authority("::1", 2) == "[::1]:2"
