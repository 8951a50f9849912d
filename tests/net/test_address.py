"""Addresses as text."""

import pytest

from portway.net.address import split_address, written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80"),
        (("2001:db8::1", 443, 0, 0), "[2001:db8::1]:443"),
        ("/run/portway.sock", "/run/portway.sock"),
        ("", ""),
        (None, ""),
        (b"\0abstract", ""),
    ],
)
def test_written(name: object, text: str) -> None:
    """Every form that a socket gives."""
    assert written(name) == text


def test_split_address() -> None:
    assert split_address("192.0.2.1:80") == ("192.0.2.1", 80)
    assert split_address("[2001:db8::1]:443") == ("2001:db8::1", 443)
    assert split_address("") == ("", 0)
