"""How the network of a rule is read."""

import pytest

from portway.errors import Error
from portway.model.ip import read_cidr


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        (" 192.0.2.1/32 ", "192.0.2.1/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::1/128", "::1/128"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::fffe:0:0/95", "::fffe:0:0/95"),
    ],
)
def test_networks_are_kept_one_way(text: str, kept: str) -> None:
    assert read_cidr(text) == kept


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("10.0.0.1/8", 1409, "10.0.0.0/8"),
        ("2001:db8::1/32", 1409, "2001:db8::/32"),
        ("::ffff:192.0.2.1/120", 1409, "192.0.2.0/24"),
        ("::ffff:0.0.0.0/95", 1409, "::fffe:0:0/95"),
        ("10.0.0.1", 1413, "10.0.0.1/32"),
        ("2001:db8::1", 1413, "2001:db8::1/128"),
        ("10.0.0.0/33", 1406, "10.0.0.0/33"),
        ("10.0.0.0/", 1406, ""),
        ("10.0.0/8", 1406, ""),
        ("010.0.0.0/8", 1406, ""),
        ("10.0.0.0/255.0.0.0", 1406, ""),
        ("fe80::%1/64", 1406, ""),
        ("hello", 1406, "hello"),
        ("/8", 1406, ""),
        ("1" * 10_000, 1406, "…"),
    ],
)
def test_what_is_no_network_says_why(text: str, code: int, hint: str) -> None:
    with pytest.raises(Error) as caught:
        read_cidr(text)
    assert caught.value.code == f"ERR_NGROK_{code}"
    assert hint in caught.value.message
    assert len(caught.value.message) < 300
