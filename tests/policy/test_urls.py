"""URLs taken apart, and media types."""

import pytest

from portway.policy.urls import media_type, named_part, parts_of


@pytest.mark.row("P-20")
@pytest.mark.parametrize(
    ("authority", "target", "url"),
    [
        ("A.Example", "/x?y=1", "https://a.example/x?y=1"),
        ("a.example:443", "/", "https://a.example/"),
        ("a.example:8443", "/a/./b/../c", "https://a.example:8443/a/c"),
        ("u:p@a.example", "/", "https://u:p@a.example/"),
        ("a.example", "/a b/%2F/é", "https://a.example/a%20b/%2F/%C3%A9"),
        ("[::1]:80", "/..", "https://[::1]:80/"),
        ("a.example", "/?a/../b", "https://a.example/?a/../b"),
        ("a.example", "*", "https://a.example*"),
        ("", "", "https:///"),
    ],
)
def test_the_normal_form(authority: str, target: str, url: str) -> None:
    assert parts_of("https", authority, target).url == url


def test_the_parts() -> None:
    parts = parts_of("HTTPS", "u:p@A.example:8443", "/a%20b/c?d=%20#e")
    assert parts._asdict() == {
        "url": "https://u:p@a.example:8443/a%20b/c?d=%20",
        "raw": "https://u:p@A.example:8443/a%20b/c?d=%20#e".replace("https", "https", 1),
        "scheme": "https",
        "authority": "u:p@A.example:8443",
        "hostname": "a.example",
        "port": 8443,
        "path": "/a b/c",
        "raw_path": "/a%20b/c",
        "query": "d=%20",
        "uri": "/a%20b/c?d=%20",
        "user_password": "u:p",
    }
    assert parts_of("http", "a:x", "/").port is None
    assert parts_of("http", "a", "/%ff").path == "/ÿ"


@pytest.mark.parametrize(
    ("text", "kind", "parameters"),
    [
        ("text/HTML; Charset=utf-8", "text/html", {"charset": "utf-8"}),
        ('a/b;x="1;2\\"";y=3', "a/b", {"x": '1;2"', "y": "3"}),
        ("", "", {}),
        (";;=;x;a=1;a=2", "", {"a": "1"}),
        ('a/b; x="', "a/b", {"x": '"'}),
    ],
)
def test_media_types(text: str, kind: str, parameters: dict[str, str]) -> None:
    assert media_type(text) == (kind, parameters)


@pytest.mark.parametrize(
    ("name", "full", "bare"),
    [
        ("args", "a=1&b=%20&b=2", ""),
        ("query_string", "a=1&b=%20&b=2", ""),
        ("is_args", "?", ""),
        ("arg_b", "%20", ""),
        ("arg_none", "", ""),
        ("uri", "/p%20q", "/"),
        ("scheme", "https", "http"),
        ("host", "a.example", "b.example"),
        ("port", "8443", "80"),
        ("authority", "u:p@A.example:8443", "b.example"),
        ("user", "u:p", ""),
        ("is_user", "@", ""),
        ("other", None, None),
    ],
)
def test_the_names_of_older_documents(name: str, full: str | None, bare: str | None) -> None:
    whole = parts_of("https", "u:p@A.example:8443", "/p%20q?a=1&b=%20&b=2")
    assert named_part(whole, name) == full
    assert named_part(parts_of("http", "b.example", "/"), name) == bare
