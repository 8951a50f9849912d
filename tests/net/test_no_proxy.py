"""Hosts for which no proxy is asked."""

import pytest

from portway.net.no_proxy import bypasses


@pytest.mark.parametrize(
    ("said", "host", "named"),
    [
        ("", "a.test", False),
        ("a.test", "a.test", True),
        ("a.test", "b.a.test.", True),
        ("a.test", "ba.test", False),
        (".a.test", "A.test", True),
        ("*.a.test", "b.a.test", True),
        ("x, a.test ,y", "a.test", True),
        ("*", "a.test", True),
        (".", "a.test", False),
        (",,", "a.test", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "10.a.test", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("2.7", "192.0.2.7", False),
        ("[::2]", "::2", True),
        ("fd00::/8", "[fd00::1]", True),
        ("a.test", "192.0.2.7", False),
    ],
)
def test_who_is_named(said: str, host: str, named: bool) -> None:
    assert bypasses(said, host) is named
