"""The PROXY header: both versions, both families, and what is refused."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.codec import proxy_protocol
from portway.codec.proxy_protocol import SIGNATURE, ProxyProtocolError, decode, encode, encode_v1, encode_v2


def text(ip: IPv4Address | IPv6Address, port: int) -> str:
    return f"{ip}:{port}" if ip.version == 4 else f"[{ip}]:{port}"


ADDRESSES = st.builds(text, st.ip_addresses(), st.integers(0, 65_535))


@pytest.mark.row("S26", "T-060")
def test_version_1_is_the_documented_line() -> None:
    assert (
        encode_v1("203.0.113.7:51000", "192.0.2.1:443") == b"PROXY TCP4 203.0.113.7 192.0.2.1 51000 443\r\n"
    )
    assert encode_v1("[2001:db8::1]:9", "[::1]:80") == b"PROXY TCP6 2001:db8::1 ::1 9 80\r\n"


@pytest.mark.row("S26", "T-060")
def test_version_2_is_the_documented_layout() -> None:
    header = encode_v2("203.0.113.7:258", "192.0.2.1:443")
    assert header == SIGNATURE + bytes.fromhex("2111000c cb007107 c0000201 0102 01bb".replace(" ", ""))
    six = encode_v2("[2001:db8::1]:1", "[::1]:2")
    assert six[12:16] == bytes.fromhex("21210024")
    assert len(six) == 52


def test_mixed_families_are_written_as_mapped_ipv6() -> None:
    header = decode(encode_v1("203.0.113.7:1", "[::1]:2"))
    assert header is not None
    assert header.source == "[::ffff:cb00:7107]:1"
    assert header.destination == "[::1]:2"


def test_an_address_that_is_none_is_said_to_be_unknown() -> None:
    assert encode_v1("", "192.0.2.1:443") == b"PROXY UNKNOWN\r\n"
    assert encode_v2("unix", "192.0.2.1:443") == SIGNATURE + bytes.fromhex("20000000")
    assert encode_v1("192.0.2.1:70000", "192.0.2.1:1") == b"PROXY UNKNOWN\r\n"


def test_a_scope_id_is_dropped() -> None:
    assert encode_v1("[fe80::1%eth0]:5", "[fe80::2]:6") == b"PROXY TCP6 fe80::1 fe80::2 5 6\r\n"


@given(ADDRESSES, ADDRESSES, st.sampled_from([1, 2]), st.binary(max_size=8))
def test_what_is_written_is_read_again(source: str, destination: str, version: int, rest: bytes) -> None:
    written = encode(version, source, destination)
    header = decode(written + rest)
    assert header is not None
    assert header.version == version
    assert header.size == len(written)
    again = decode(encode(version, header.source or "", header.destination or ""))
    assert again is not None
    assert (again.source, again.destination) == (header.source, header.destination)
    for cut in range(len(written)):
        assert decode(written[:cut]) is None


def test_no_other_version_is_written() -> None:
    with pytest.raises(ValueError, match="version"):
        encode(3, "192.0.2.1:1", "192.0.2.1:2")


def test_unknown_and_local_carry_no_address() -> None:
    assert decode(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nGET") == proxy_protocol.ProxyProtocol(
        1, None, None, 35
    )
    local = decode(SIGNATURE + bytes.fromhex("20000000"))
    assert local == proxy_protocol.ProxyProtocol(2, None, None, 16)
    assert decode(SIGNATURE + bytes.fromhex("21000001") + b"x") == proxy_protocol.ProxyProtocol(
        2, None, None, 17
    )


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 \xff 5.6.7.8 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY " + b"x" * 107,
        SIGNATURE + bytes.fromhex("31110000"),
        SIGNATURE + bytes.fromhex("2111ffff"),
        SIGNATURE + bytes.fromhex("21110004") + b"\0" * 4,
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyProtocolError):
        decode(data)
