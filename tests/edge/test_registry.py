"""Addresses to endpoints."""

import pytest

from portway.edge.pool import Pool
from portway.edge.registry import Endpoint, Registry, address
from portway.model.url import Url


def endpoint(scheme: str, host: str, port: int) -> Endpoint:
    return Endpoint("ep_1", Url(scheme, host, port), scheme, "ac_1", Pool(lambda n: n - 1))


def test_addresses() -> None:
    assert address("https", "a", 1) == address("tls", "a", 2) == ("tls", "a")
    assert address("http", "a", 1) == ("http", "a")
    assert address("tcp", "a", 7) == address("tcp", "b", 7) == ("tcp", 7)


def test_find_by_scheme() -> None:
    registry = Registry()
    http, tls = endpoint("http", "a.b", 80), endpoint("tls", "c.d", 443)
    tcp = endpoint("tcp", "localhost", 20_000)
    for each in (http, tls, tcp):
        registry.add(each)
    assert registry.find("http", "a.b") is http
    assert registry.find("https", "a.b") is None
    assert registry.find("https", "c.d") is None
    assert registry.find("tls", "c.d") is tls
    assert registry.find_sni("c.d") is tls
    assert registry.find("tcp", "whatever", 20_000) is tcp
    assert registry.all() == [http, tls, tcp]
    assert len(registry) == 3
    assert "3 endpoints" in repr(registry)


def test_an_address_is_used_once_and_removed_by_its_owner_only() -> None:
    registry = Registry()
    first, second = endpoint("https", "a.b", 443), endpoint("tls", "a.b", 443)
    registry.add(first)
    assert registry.beside(second.url) is first
    assert registry.at(second.url) is None
    with pytest.raises(ValueError, match="online already"):
        registry.add(second)
    registry.remove(second)
    assert registry.find_sni("a.b") is first
    registry.remove(first)
    assert registry.find_sni("a.b") is None


def test_a_wildcard_serves_what_nothing_more_specific_does() -> None:
    registry = Registry()
    wide, near = endpoint("https", "*.a.test", 443), endpoint("https", "*.b.a.test", 443)
    exact, plain = endpoint("https", "x.b.a.test", 443), endpoint("http", "*.a.test", 80)
    for each in (wide, near, exact, plain):
        registry.add(each)
    assert registry.find("https", "x.b.a.test") is exact
    assert registry.find("https", "y.b.a.test") is near
    assert registry.find_sni("deep.y.b.a.test") is near
    assert registry.find("https", "b.a.test") is wide
    assert registry.find("http", "any.depth.of.a.test") is plain
    assert registry.find("https", "a.test") is None
    assert registry.find("tls", "y.a.test") is None
    assert registry.at(wide.url) is wide
    assert registry.at(Url("https", "y.a.test", 443)) is None
    registry.remove(exact)
    assert registry.find("https", "x.b.a.test") is near
    for each in (wide, near, plain):
        registry.remove(each)
    assert registry.find("https", "x.b.a.test") is None
    assert registry.find_sni("x.a.test") is None
