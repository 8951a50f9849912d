"""Texts of options to values."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from portway.server import parsers
from portway.server.parsers import Address, PortRange


@pytest.mark.parametrize(("text", "value"), [
    ("127.0.0.1:4443", Address("127.0.0.1", 4443)),
    ("localhost:0", Address("localhost", 0)),
    (":443", Address("0.0.0.0", 443)),
    ("[::1]:443", Address("::1", 443)),
    (" 127.0.0.1:1 ", Address("127.0.0.1", 1)),
])  # fmt: skip
def test_addresses(text: str, value: Address) -> None:
    assert parsers.address(text) == value
    assert parsers.address(str(value)) == value


@pytest.mark.parametrize(
    "text", ["", "443", "host", "::1:443", "host:", "host:x", "host:65536", "host:-1", "a b:1"]
)
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(ValueError):
        parsers.address(text)


@pytest.mark.parametrize(("text", "value"), [
    ("", ()),
    ("a.b, [::1] ,c.d:443", (Address("a.b", 0), Address("::1", 0), Address("c.d", 443))),
    ("a,a,,a:0", (Address("a", 0),)),
])  # fmt: skip
def test_several_addresses(text: str, value: tuple[Address, ...]) -> None:
    assert parsers.addresses(text) == value


@pytest.mark.parametrize("text", [":443", "a b", "a:x", "::1", "a,b:", "a:65536", "a\0"])
def test_wrong_addresses_among_several(text: str) -> None:
    with pytest.raises(ValueError):
        parsers.addresses(text)


@pytest.mark.parametrize(("text", "value"), [
    ("20000-20999", PortRange(20000, 20999)),
    ("1 - 65535", PortRange(1, 65535)),
    ("22", PortRange(22, 22)),
])  # fmt: skip
def test_port_ranges(text: str, value: PortRange) -> None:
    assert parsers.port_range(text) == value


@pytest.mark.parametrize("text", ["", "-", "0", "2-1", "0-5", "1-65536", "a-b", "1-2-3", "1-"])
def test_wrong_port_ranges(text: str) -> None:
    with pytest.raises(ValueError):
        parsers.port_range(text)


def test_a_port_range_counts_and_contains() -> None:
    ports = PortRange(20000, 20999)
    assert len(ports) == 1000
    assert 20000 in ports
    assert 20999 in ports
    assert 21000 not in ports
    assert "20000" not in ports
    assert str(ports) == "20000-20999"


@pytest.mark.parametrize(("text", "seconds"), [
    ("180", 180.0), ("1.5s", 1.5), ("500ms", 0.5), ("3m", 180.0), ("1h", 3600.0), ("0", 0.0),
])  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert math.isclose(parsers.duration(text), seconds)


@pytest.mark.parametrize(("text", "on"), [("on", True), ("OFF", False), ("true", True), ("0", False)])
def test_switches(text: str, *, on: bool) -> None:
    assert parsers.switch(text) is on


def test_domains_are_folded() -> None:
    assert parsers.domain(" Bücher.Example. ") == "xn--bcher-kva.example"


def test_a_folder_knows_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    assert parsers.folder("~/p") == Path("/h/p")


@pytest.mark.parametrize(("parse", "text"), [
    (parsers.port, "0"), (parsers.port, "65536"), (parsers.port, "x"), (parsers.port, "9" * 5000),
    (parsers.domain, "*.a.com"), (parsers.domain, "a..b"), (parsers.domain, "a_b.com"), (parsers.domain, ""),
    (parsers.region, ""), (parsers.region, "EU"), (parsers.region, "-a"), (parsers.region, "a" * 33),
    (parsers.duration, ""), (parsers.duration, "-1"), (parsers.duration, "1d"), (parsers.duration, "s"),
    (parsers.count, "-1"), (parsers.count, "x"), (parsers.count, "1000001"),
    (parsers.count, "9" * 5000),
    (parsers.switch, "maybe"), (parsers.choice("a", "b"), "c"), (parsers.folder, ""),
])  # fmt: skip
def test_wrong_values(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", []),
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("192.0.2.7", ["192.0.2.7/32"]),
        ("10.0.0.0/8, fd00::/8 ,::1", ["10.0.0.0/8", "fd00::/8", "::1/128"]),
    ],
)
def test_networks(text: str, networks: list[str]) -> None:
    assert [str(network) for network in parsers.networks(text)] == networks


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "lb.example.com", "*", "10.0.0.0-10.0.0.9"])
def test_wrong_networks(text: str) -> None:
    with pytest.raises(ValueError, match="is not a network"):
        parsers.networks(text)
