"""The forms of an upstream address, on each kind of endpoint."""

import ssl

import pytest

from portway.agent.upstream import ProxyProtocol, Upstream, resolve
from portway.errors import ConfigError, Error

HTTP = ("http", "https")
RAW = ("tcp", "tls")


@pytest.mark.row("G-130", "K-02", "K-28")
@pytest.mark.parametrize(
    ("addr", "on_http", "on_raw"),
    [
        (80, "http://localhost:80", "tcp://localhost:80"),
        ("8080", "http://localhost:8080", "tcp://localhost:8080"),
        ("443", "https://localhost:443", "tcp://localhost:443"),
        ("example.com", "http://example.com:80", None),
        ("example.com:8080", "http://example.com:8080", "tcp://example.com:8080"),
        ("example.com:443", "https://example.com:443", "tcp://example.com:443"),
        ("192.168.1.2:5432", "http://192.168.1.2:5432", "tcp://192.168.1.2:5432"),
        ("[::1]:22", "http://[::1]:22", "tcp://[::1]:22"),
        ("http://example.com", "http://example.com:80", None),
        ("http://example.com/", "http://example.com:80", None),
        ("https://example.com", "https://example.com:443", None),
        ("https://", "https://localhost:443", None),
        ("http://localhost:443", "http://localhost:443", "http://localhost:443"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("HTTP://example.com:81", "http://example.com:81", "http://example.com:81"),
        ("tcp://example.com", None, None),
        ("tcp://example.com:22", "tcp://example.com:22", "tcp://example.com:22"),
        ("tcp://", None, None),
        ("tls://[::1]:8443", "tls://[::1]:8443", "tls://[::1]:8443"),
        ("tls://example.com", None, None),
        ("unix:/run/app.sock", "unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:///run/app.sock", "unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:app.sock", None, None),
        ("unix:", None, None),
    ],
)
def test_forms(addr: str | int, on_http: str | None, on_raw: str | None) -> None:
    for schemes, expected in ((HTTP, on_http), (RAW, on_raw)):
        for scheme in schemes:
            if expected is None:
                with pytest.raises(ConfigError):
                    resolve(Upstream(addr), scheme)
            else:
                assert resolve(Upstream(addr), scheme).url == expected


@pytest.mark.parametrize(
    "addr",
    [
        "0",
        "65536",
        "99999999999999999999999",
        "host:",
        "host:x",
        ":80",
        "[::1",
        "[::1]x",
        "ftp://host:21",
        "http://user@host",
        "http://host/path",
        "http://host?x",
        "http://host:80#f",
        "two words:80",
    ],
)
def test_what_is_no_address_is_refused(addr: str) -> None:
    with pytest.raises(ConfigError):
        resolve(Upstream(addr), "http")


@pytest.mark.parametrize("addr", ["", "  "])
def test_an_empty_address_is_refused_at_once(addr: str) -> None:
    with pytest.raises(ConfigError):
        Upstream(addr)


@pytest.mark.row("G-120")
@pytest.mark.parametrize(
    ("addr", "protocol"),
    [("http://h:1", "http"), ("https://h:1", "https"), ("tcp://h:1", "tcp"), ("tls://h:1", "tls")],
)
def test_the_protocol_is_the_scheme(addr: str, protocol: str) -> None:
    assert resolve(Upstream(addr), "tcp").protocol == protocol
    assert resolve(Upstream(addr, protocol="http1"), "http").protocol == protocol


@pytest.mark.row("G-132")
def test_http2_is_a_protocol_of_its_own() -> None:
    target = resolve(Upstream("https://h:1", protocol="http2"), "https")
    assert (target.protocol, target.http2, target.tls) == ("http2", True, True)
    assert not resolve(Upstream("https://h:1"), "https").http2


def test_an_unknown_protocol_has_its_code() -> None:
    with pytest.raises(Error) as caught:
        Upstream(80, protocol="http3")  # pyright: ignore[reportArgumentType]
    assert caught.value.code == "ERR_NGROK_15003"


@pytest.mark.row("G-123", "G-135", "T-065")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        (1, ProxyProtocol.V1),
        ("1", ProxyProtocol.V1),
        ("v1", ProxyProtocol.V1),
        (2, ProxyProtocol.V2),
        ("2", ProxyProtocol.V2),
        (ProxyProtocol.V2, ProxyProtocol.V2),
    ],
)
def test_proxy_protocol(value: str | int | None, expected: ProxyProtocol | None) -> None:
    assert resolve(Upstream(80, proxy_protocol=value), "tcp").spec.proxy_protocol is expected


@pytest.mark.row("G-135")
def test_the_versions_are_text() -> None:
    assert (str(ProxyProtocol.V1), str(ProxyProtocol.V2)) == ("v1", "v2")
    assert ProxyProtocol.V1 == "v1"


@pytest.mark.row("G-133", "T-065")
@pytest.mark.parametrize("value", [3, "3", "v3", "x"])
def test_an_unknown_proxy_protocol_is_refused_before_any_network(value: str | int) -> None:
    with pytest.raises(ConfigError):
        Upstream(80, proxy_protocol=value)


@pytest.mark.row("G-136")
def test_an_upstream_is_opaque_and_reusable() -> None:
    upstream = Upstream("localhost:80", tls_context=ssl.create_default_context())
    assert [name for name in dir(upstream) if not name.startswith("_")] == []
    assert not hasattr(upstream, "__dict__")
    assert resolve(upstream, "tcp").url == "tcp://localhost:80"
    assert resolve(upstream, "http").url == "http://localhost:80"
    assert repr(upstream) == "Upstream('localhost:80')"


def test_a_unix_socket_speaks_what_its_endpoint_does() -> None:
    upstream = Upstream("unix:/run/app.sock")
    assert [resolve(upstream, scheme).protocol for scheme in (*HTTP, *RAW)] == ["http", "http", "tcp", "tcp"]
    assert resolve(upstream, "https").path == "/run/app.sock"
    assert not resolve(upstream, "https").tls
