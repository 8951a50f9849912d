"""Addresses to endpoints."""

import pytest

from portway.edge.pool import Pool
from portway.edge.registry import Endpoint, Registry, address, may_forward
from portway.model.url import Url


def endpoint(scheme: str, host: str, port: int, account_id: str = "ac_1") -> Endpoint:
    return Endpoint("ep_1", Url(scheme, host, port), scheme, account_id, Pool(lambda n: n - 1))


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
    assert registry.beside(second.url, "ac_1") is first
    assert registry.at(second.url, "ac_1") is None
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
    assert registry.at(wide.url, "ac_1") is wide
    assert registry.at(Url("https", "y.a.test", 443), "ac_1") is None
    registry.remove(exact)
    assert registry.find("https", "x.b.a.test") is near
    for each in (wide, near, plain):
        registry.remove(each)
    assert registry.find("https", "x.b.a.test") is None
    assert registry.find_sni("x.a.test") is None


@pytest.mark.row("G-111", "G-184")
def test_internal_endpoints_are_each_accounts_own_and_no_visitors() -> None:
    registry = Registry()
    mine, theirs = endpoint("http", "x.internal", 80), endpoint("http", "x.internal", 80, "ac_2")
    tls, tcp = endpoint("tls", "x.internal", 443), endpoint("tcp", "x.internal", 20_000)
    https = endpoint("https", "x.internal", 443)
    for each in (mine, theirs, tls, tcp, https):
        registry.add(each)
    assert {each.binding for each in registry.all()} == {"internal"}
    assert "5 of them internal" in repr(registry)
    for scheme in ("http", "https", "tls", "tcp"):
        assert registry.find(scheme, "x.internal", 20_000) is None
    assert registry.find_sni("x.internal") is None
    assert registry.find_internal("ac_1", "http", "x.internal", 80) is mine
    assert registry.find_internal("ac_2", "http", "x.internal", 80) is theirs
    assert registry.find_internal("ac_1", "tcp", "x.internal", 20_000) is tcp
    assert registry.find_internal("ac_1", "tls", "x.internal", 443) is tls
    assert registry.find_internal("ac_1", "https", "x.internal", 443) is https
    assert registry.find_internal("ac_1", "http", "x.internal", 8080) is None
    assert registry.find_internal("ac_2", "tcp", "x.internal", 20_000) is None
    assert registry.find_internal("ac_3", "http", "x.internal", 80) is None
    assert registry.at(mine.url, "ac_2") is theirs
    with pytest.raises(ValueError, match="online already"):
        registry.add(endpoint("http", "x.internal", 80))
    registry.remove(endpoint("http", "x.internal", 80))
    assert registry.find_internal("ac_1", "http", "x.internal", 80) is mine
    registry.remove(mine)
    assert registry.find_internal("ac_1", "http", "x.internal", 80) is None
    assert registry.find_internal("ac_2", "http", "x.internal", 80) is theirs


def test_internal_wildcards_serve_their_own_scheme_port_and_account() -> None:
    registry = Registry()
    everything, near = endpoint("http", "*.internal", 80), endpoint("http", "*.b.internal", 80)
    for each in (everything, near):
        registry.add(each)
    assert registry.find_internal("ac_1", "http", "a.b.internal", 80) is near
    assert registry.find_internal("ac_1", "http", "deep.a.b.internal", 80) is near
    assert registry.find_internal("ac_1", "http", "b.internal", 80) is everything
    for account, scheme, port in (("ac_2", "http", 80), ("ac_1", "https", 80), ("ac_1", "http", 81)):
        assert registry.find_internal(account, scheme, "a.b.internal", port) is None
    assert registry.find("http", "a.b.internal") is None


def test_a_visitor_stays_within_its_family_of_protocols() -> None:
    family = {"http": {"http", "https"}, "https": {"http", "https"}, "tls": {"tls"}, "tcp": {"tcp"}}
    for scheme in family:
        assert {each for each in family if may_forward(scheme, each)} == family[scheme]


def test_listeners_hear_of_endpoints_that_are_gone_or_shared() -> None:
    registry, heard = Registry(), list[Endpoint]()
    registry.on_room(heard.append)
    online, never = endpoint("https", "a.b", 443), endpoint("https", "c.d", 443)
    registry.add(online)
    registry.has_room(online)
    registry.remove(online)
    registry.remove(never)
    assert heard == [online, online]
