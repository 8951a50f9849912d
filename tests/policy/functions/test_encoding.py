"""Functions that encode, decode and digest, with the values that are published."""

import pytest
from tests.kit.policy import value

from portway.policy.expression import EvaluationError


@pytest.mark.row("P-30")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("base64.encode(b'hello')", "aGVsbG8="),
        ("base64.decode('aGVsbG8=')", b"hello"),
        ("'hello'.encodeBase64().decodeBase64()", "hello"),
        ("basic_auth.encode('user', 'pass')", "Basic dXNlcjpwYXNz"),
        ("hash.md5('hello')", "5d41402abc4b2a76b9719d911017c592"),
        ("hash.sha1('hello', 'hex')", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        ("'hello'.sha256('base64')", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
        ("hash.sha512('').substring(0, 8)", "cf83e135"),
        ("hash.crc32('hello')", "3610a686"),
        ("hash.crc64('hello')", "3c3eeee2d8100000"),
        ("hash.xxhash64('hello')", "26c7827d889f6da3"),
        ('json.decode(\'{"a": [1, 2.5, null, "x"]}\')', {"a": [1, 2.5, None, "x"]}),
        ("'[1]'.decodeJson()[0] + 1", 2),
        ("json.decode('99999999999999999999')", 1e20),
        ("json.encode({'a': [1, true, null, 'ü']})", '{"a":[1,true,null,"ü"]}'),
        ("[1, 'a'].encodeJson() + {'b': 1.5}.encodeJson() + json.encode('x')", '[1,"a"]{"b":1.5}"x"'),
        ("queryString.decode('q=a%20b&q=c&e=')", {"q": "a b", "e": ""}),
        ("'a=1'.decodeQueryString()['a']", "1"),
        ("queryString.encode({'b': 'x y', 'a': ['1', '2']})", "a=1&a=2&b=x%20y"),
        ("'a=1&b=2'.isQueryString() && !'a b'.isQueryString() && !'a=%zz'.isQueryString()", True),
        ("'https://a.example/x'.isURL() && !'a b'.isURL() && !'/x'.isURL()", True),
        ("url.escape('a/b;c$d e')", "a%2Fb%3Bc%24d%20e"),
        ("'a%2Fb+c'.unescapeUrl()", "a/b+c"),
        ("url.parse('https://u:p@a.example:8443/x%20y?q=1#f').host", "a.example:8443"),
        ("url.parse('https://u:p@a.example:8443/x%20y?q=1#f').path", "/x y"),
        ("'mailto:a@b.example'.parseUrl().opaque", "a@b.example"),
    ],
)
def test_what_they_return(source: str, wanted: object) -> None:
    assert value(source) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "base64.decode('aGVsbG8')",
        "base64.decode('!!!!')",
        "'/w=='.decodeBase64()",
        "hash.md5('a', 'octal')",
        "json.decode('{')",
        "json.decode('NaN')",
        "'" + "[" * 100 + "]" * 100 + "'.decodeJson()",
        "vars.deep.decodeJson()",
        "'%zz'.unescapeUrl()",
        "'%ff'.unescapeUrl()",
        "url.parse('http://[')",
    ],
)
def test_what_they_refuse(source: str) -> None:
    with pytest.raises(EvaluationError):
        value(source, variables={"deep": "[" * 100_000})
