"""The ClientHello reader: real hellos of OpenSSL, then every way to get one wrong."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.codec.client_hello import MAX_HELLO, ClientHello, ClientHelloError, alert_record, parse


def openssl_hello(name: str | None, alpn: list[str] | None = None) -> bytes:
    """Return the hello that OpenSSL sends."""
    context = ssl.create_default_context()
    if name is None:
        context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def vector(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width, "big") + data


def record(payload: bytes) -> bytes:
    return b"\x16\x03\x01" + vector(2, payload)


def message(
    extensions: list[tuple[int, bytes]] | None = None,
    *,
    version: int = 0x0303,
    session: bytes = b"",
    ciphers: bytes = b"\x13\x01\x13\x02",
    compression: bytes = b"\0",
    tail: bytes = b"",
) -> bytes:
    body = (
        struct.pack(">H", version)
        + b"r" * 32
        + vector(1, session)
        + vector(2, ciphers)
        + vector(1, compression)
    )
    if extensions is not None:
        body += vector(2, b"".join(struct.pack(">H", kind) + vector(2, data) for kind, data in extensions))
    return b"\x01" + vector(3, body + tail)


def names(*entries: bytes, kind: int = 0) -> tuple[int, bytes]:
    return 0, vector(2, b"".join(bytes((kind,)) + vector(2, entry) for entry in entries))


def parsed(data: bytes) -> ClientHello:
    hello = parse(data)
    assert hello is not None
    return hello


def test_a_real_hello_says_name_protocols_and_version() -> None:
    data = openssl_hello("App.Example.COM", ["h2", "http/1.1"])
    hello = parsed(data + b"more")
    assert hello.sni == "app.example.com"
    assert hello.alpn == (b"h2", b"http/1.1")
    assert hello.version == 0x0304
    assert 0x1301 in hello.ciphers
    assert 43 in hello.extensions
    assert hello.size == len(data)


def test_a_hello_without_a_name_is_read() -> None:
    hello = parsed(openssl_hello(None))
    assert hello.sni is None
    assert hello.alpn == ()


def test_every_beginning_asks_for_more() -> None:
    data = openssl_hello("a.example")
    assert [n for n in range(len(data)) if parse(data[:n]) is not None] == []


@given(st.data())
def test_a_hello_cut_over_records_is_the_same(data: st.DataObject) -> None:
    whole = message([names(b"cut.example"), (16, vector(2, vector(1, b"h2")))])
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    hello = parsed(b"".join(map(record, pieces)))
    assert (hello.sni, hello.alpn) == ("cut.example", (b"h2",))


def test_the_name_loses_case_and_final_dot() -> None:
    assert parsed(record(message([names(b"A.Example.")]))).sni == "a.example"


def test_grease_is_no_version() -> None:
    versions = (43, vector(1, b"\x7a\x7a\x03\x04\x03\x03"))
    assert parsed(record(message([versions]))).version == 0x0304
    assert parsed(record(message())).version == 0x0303


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x40\x01",
        record(b"\x02" + vector(3, b"x")),
        record(message() + b"\x01"),
        record(message(version=0x0300)),
        record(message(session=b"s" * 33)),
        record(message(ciphers=b"")),
        record(message(ciphers=b"\x13")),
        record(message(compression=b"\x01")),
        record(message([], tail=b"x")),
        record(message([(5, b""), (5, b"")])),
        record(message([names(b"a", b"b")])),
        record(message([names(b"a", kind=1)])),
        record(message([names()])),
        record(message([names(b"")])),
        record(message([names(b"a b")])),
        record(message([names(b"a\0b")])),
        record(message([names(b"x" * 254)])),
        record(message([(0, b"\x00\x09\x00")])),
        record(message([(0, b"")])),
        record(message([(16, vector(2, b""))])),
        record(message([(16, vector(2, vector(1, b"")))])),
        record(message([(16, vector(2, vector(1, b"h2")) + b"x")])),
        record(message([(43, b"\x03\x03\x04\x03")])),
        record(b"\x01\x02\x00\x00"),
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(ClientHelloError) as caught:
        parse(data)
    assert alert_record(caught.value.alert)[:6] == b"\x15\x03\x03\x00\x02\x02"


def test_a_hello_that_never_ends_is_refused() -> None:
    many = record(b"\x01\x00\xff\x00" + b"x" * 16_000) + record(b"x" * 16_000) * 4
    assert parse(many[: MAX_HELLO - 1]) is None
    with pytest.raises(ClientHelloError, match="64 KiB"):
        parse(many)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_value_or_the_error(noise: bytes) -> None:
    for data in (noise, record(noise) if noise else b"", record(b"\x01" + vector(3, noise))):
        try:
            hello = parse(data)
        except ClientHelloError:
            continue
        assert hello is None or len(hello.ja4) == 36


CHROME_CIPHERS = "0a0a 1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035"
CHROME_SIGNATURES = "0403 0804 0401 0503 0805 0501 0806 0601"
CHROME_EXTENSIONS = "3a3a 001b 0017 ff01 000a 000b 0023 0005 0012 0033 002d 4469 0015"
CHROME_VERSIONS = bytes.fromhex("06 8a8a 0304 0303")


def chrome(order: int = 1, alpn: bytes = b"h2") -> bytes:
    """Return a hello with what Chrome 110 sends, the sample of the JA4 specification."""
    extensions = [(int(each, 16), b"") for each in CHROME_EXTENSIONS.split()]
    extensions += [(43, CHROME_VERSIONS), (13, vector(2, bytes.fromhex(CHROME_SIGNATURES)))]
    extensions += [names(b"www.example.com"), (16, vector(2, vector(1, alpn) + vector(1, b"http/1.1")))]
    return record(message(extensions[::order], ciphers=bytes.fromhex(CHROME_CIPHERS)))


@pytest.mark.parametrize("order", [1, -1])
def test_the_ja4_of_the_specifications_sample(order: int) -> None:
    hello = parsed(chrome(order))
    assert hello.ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert hello.signatures[0] == 0x0403


CURL_CIPHERS = (
    "1302 1303 1301 c02c c030 009f cca9 cca8 ccaa c02b c02f 009e c024 c028 006b c023 c027 0067 c00a c014 0039"
    " c009 c013 0033 009d 009c 003d 003c 0035 002f 00ff"
)
CURL_EXTENSIONS = "000b 000a 0016 0017 0031 002d 0033 0015"
CURL_SIGNATURES = (
    "0403 0503 0603 0807 0808 0809 080a 080b 0804 0805 0806 0401 0501 0601 0303 0301 0302 0402 0502 0602"
)


@pytest.mark.row("P-27")
def test_the_ja4_of_curl_with_openssl_3() -> None:
    """Its fingerprint is in every public list of them."""
    extensions = [(int(each, 16), b"") for each in CURL_EXTENSIONS.split()]
    extensions += [names(b"www.example.com"), (43, bytes.fromhex("08 0304 0303 0302 0301"))]
    extensions += [(13, vector(2, bytes.fromhex(CURL_SIGNATURES)))]
    extensions += [(16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1")))]
    hello = parsed(record(message(extensions, ciphers=bytes.fromhex(CURL_CIPHERS))))
    assert hello.ja4 == "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"


def test_the_ja4_of_odd_hellos() -> None:
    assert parsed(record(message())).ja4 == "t12i020000_62ed6f6ca7ad_000000000000"
    assert parsed(record(message(version=0x0301, ciphers=b"\x0a\x0a"))).ja4[:10] == "t10i000000"
    assert parsed(chrome(alpn=b"x")).ja4.startswith("t13d1516xx_")
    assert parsed(chrome(alpn=b"\xab\x00\xcd")).ja4.startswith("t13d1516ad_")
    assert parsed(record(message([names(b"a.test")]))).ja4.endswith("_000000000000")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01\x04", b"\x00\x02\x04\x03\x00", b"\x00\x00"])
def test_malformed_signature_algorithms_are_refused(data: bytes) -> None:
    with pytest.raises(ClientHelloError):
        parse(record(message([(13, data)])))


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=3), st.sets(st.integers(0, 65_535), max_size=120))
def test_every_hello_has_a_fingerprint(protocols: list[bytes], kinds: set[int]) -> None:
    extensions = [(kind, b"") for kind in sorted(kinds - {0, 13, 16, 43})]
    if protocols:
        extensions.append((16, vector(2, b"".join(vector(1, name) for name in protocols))))
    ja4 = parsed(record(message(extensions))).ja4
    first, ciphers, told = ja4.split("_")
    assert (len(first), len(ciphers), len(told)) == (10, 12, 12)
    assert ja4.isascii()
