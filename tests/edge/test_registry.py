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
    with pytest.raises(ValueError, match="online already"):
        registry.add(second)
    registry.remove(second)
    assert registry.find_sni("a.b") is first
    registry.remove(first)
    assert registry.find_sni("a.b") is None
