"""Networks against the standard library's, in both families."""

import ipaddress
import random

import pytest

from portway.errors import Error
from portway.model.cidr import (
    CidrSet,
    CidrTable,
    networks_around,
    parse_address,
    parse_network,
    write_network,
)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.0/24", (32, 24, 0xC0000200)),
        ("192.0.2.9/24", (32, 24, 0xC0000200)),
        ("192.0.2.9", (32, 32, 0xC0000209)),
        ("0.0.0.0/0", (32, 0, 0)),
        ("::/0", (128, 0, 0)),
        ("2001:db8::1/32", (128, 32, 0x20010DB8 << 96)),
        ("::ffff:192.0.2.0/120", (32, 24, 0xC0000200)),
        (" 10.0.0.0/8 ", (32, 8, 10 << 24)),
    ],
)
def test_networks_are_read(text: str, network: tuple[int, int, int]) -> None:
    assert parse_network(text) == network


@pytest.mark.parametrize(
    "text",
    ["", "x", "1.2.3", "1.2.3.4/33", "256.0.0.1", "01.2.3.4", "::/129", "::1/", "fe80::1%eth0/64",
     "1.2.3.4/-1", "1.2.3.4/8/8", "::1/6a", "1.2.3.4/٣", "10.0.0.0/255.0.0.0"],
)  # fmt: skip
def test_what_is_no_network_is_refused_with_its_code(text: str) -> None:
    with pytest.raises(Error) as caught:
        parse_network(text)
    assert caught.value.code == "ERR_NGROK_2217"


def test_the_smallest_network_is_named_as_it_was_written() -> None:
    networks = CidrSet(["10.0.0.0/8", "10.1.2.3/16", "10.1.2.3", "2001:db8::/32", "10.0.0.0/8"])
    assert len(networks) == 4
    assert networks.match("10.1.2.3") == "10.1.2.3"
    assert networks.match("10.1.9.9") == "10.1.2.3/16"
    assert networks.match("10.200.0.1") == "10.0.0.0/8"
    assert networks.match("::ffff:10.200.0.1") == "10.0.0.0/8"
    assert networks.match("2001:db8::1") == "2001:db8::/32"
    assert networks.match("11.0.0.0") is None
    assert networks.match("fe80::1%lo") is None
    assert networks.match("no address") is None


def test_ten_thousand_networks_are_as_quick_as_one() -> None:
    texts = [f"{n >> 8 & 255}.{n & 255}.{n % 251}.0/24" for n in range(10_000)]
    networks = CidrSet(texts)
    tables = networks._table._orders[32]  # pyright: ignore[reportPrivateUsage]  the claim is on its shape
    assert len(tables) == 1


def test_they_are_what_the_standard_library_says() -> None:
    rng = random.Random(1)
    for _ in range(300):
        texts = [f"{ipaddress.IPv4Address(rng.getrandbits(32))}/{rng.randint(0, 32)}" for _ in range(5)]
        texts += [f"{ipaddress.IPv6Address(rng.getrandbits(128))}/{rng.randint(0, 128)}" for _ in range(5)]
        networks = CidrSet(texts)
        real = [ipaddress.ip_network(text, strict=False) for text in texts]
        addresses = ipaddress.IPv4Address(rng.getrandbits(32)), ipaddress.IPv6Address(rng.getrandbits(128))
        for address in addresses:
            inside = any(address in each for each in real)
            assert (networks.match(str(address)) is not None) == inside


def test_addresses_are_read() -> None:
    assert parse_address("127.0.0.1") == (32, 0x7F000001)
    assert parse_address("::1") == (128, 1)
    assert parse_address("") is None


def test_networks_are_written_one_way() -> None:
    texts = ["10.0.0.0/8", "2001:DB8::/32", "::ffff:192.0.2.0/120", "192.0.2.1", "0:0::/0"]
    written = [write_network(parse_network(text)) for text in texts]
    assert written == ["10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24", "192.0.2.1/32", "::/0"]


def test_the_networks_around_an_address() -> None:
    assert networks_around("192.0.2.5")[:3] == ["192.0.2.5/32", "192.0.2.4/31", "192.0.2.4/30"]
    assert networks_around("::ffff:192.0.2.5")[-1] == "0.0.0.0/0"
    assert len(networks_around("192.0.2.5")) == 33
    assert len(networks_around("2001:db8::1")) == 129
    assert networks_around("2001:db8::1")[-1] == "::/0"
    assert networks_around("x") == []


def test_a_table_is_what_was_added_and_not_discarded() -> None:
    rng = random.Random(2)
    table, there = CidrTable(), set[str]()
    for _ in range(400):
        text = f"{rng.randint(0, 3)}.0.0.0/{rng.choice((6, 8, 9))}"
        text = write_network(parse_network(text))
        if rng.random() < 0.5:
            table.add(text)
            there.add(text)
        else:
            table.discard(text)
            there.discard(text)
        assert len(table) == len(there)
        address = f"{rng.randint(0, 4)}.{rng.randint(0, 255)}.0.1"
        same = CidrSet(there)
        assert table.match(address) == same.match(address)
    table.clear()
    assert len(table) == 0
    assert table.match("1.0.0.1") is None
    assert repr(table) == "<CidrTable 0 networks>"
