"""Tests of which addresses may be reached."""

import pytest

from portway.errors import Error
from portway.model.guard import Guard

HERE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "ff02::1", "100.100.100.200", "168.63.129.16", "fd00:ec2::254",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:0:808:808::5601:5601",
    "2606::5efe:7f00:1", "::ffff:0:127.0.0.1",
]  # fmt: skip
PRIVATE = [
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "198.18.0.1", "fc00::1",
    "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1:1::808:808", "2002:c0a8:101::", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", HERE)
def test_what_is_local_is_never_reached(address: str) -> None:
    assert Guard().refusal(address, 443)
    assert Guard().strict().refusal(address, 443)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_private_is_refused_by_the_strict_form_alone(address: str) -> None:
    assert Guard().refusal(address, 443) == ""
    assert Guard().strict().refusal(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_reached(address: str) -> None:
    assert Guard().strict().refusal(address, 443) == ""


def test_what_the_operator_allows_may_be_reached_by_either_form() -> None:
    guard = Guard(("127.0.0.0/8", "10.1.0.0/16", "::1"))
    assert guard.refusal("127.0.0.1", 80) == guard.strict().refusal("10.1.2.3", 80) == ""
    assert guard.refusal("::ffff:127.0.0.1", 80) == guard.refusal("::1", 80) == ""
    assert guard.strict().refusal("10.2.0.1", 80)


def test_our_own_listeners_are_refused() -> None:
    guard = Guard(own=[("198.51.100.7", 443), ("0.0.0.0", 7080)])
    assert "listener" in guard.refusal("198.51.100.7", 443)
    assert "listener" in guard.strict().refusal("::ffff:198.51.100.7", 443)
    assert guard.refusal("198.51.100.7", 444) == ""
    assert guard.owns(7080)
    assert not guard.owns(80)


def test_names_are_no_addresses() -> None:
    assert Guard(("0.0.0.0/0",)).refusal("localhost", 80)
    assert Guard(("0.0.0.0/0",)).refusal("", 80)


def test_what_is_no_network_is_no_setting() -> None:
    with pytest.raises(Error, match="2217"):
        Guard(("everything",))


def test_it_says_what_is_allowed() -> None:
    guard = Guard(("10.0.0.0/8",))
    assert guard.allows("10.2.3.4")
    assert not guard.allows("11.2.3.4")
    assert "strict" in repr(guard.strict())
