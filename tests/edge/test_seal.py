"""Proofs: what they are bound to, and what they do not prove."""

import pytest

from portway.edge.seal import Seal
from portway.model.url import Url

SECRET = bytes(range(32))
URL = Url("https", "a.portway.localhost", 7443)


def test_a_cookie_proves_account_and_client() -> None:
    seal = Seal(SECRET)
    cookie = seal.cookie("ac_1", "client")
    assert Seal(SECRET).knows_cookie(cookie, "ac_1", "client")
    assert not seal.knows_cookie(cookie, "ac_2", "client")
    assert not seal.knows_cookie(cookie, "ac_1", "other")
    assert not seal.knows_cookie("", "ac_1", "client")
    assert not seal.knows_cookie("é", "ac_1", "client")
    assert not Seal(bytes(32)).knows_cookie(cookie, "ac_1", "client")


def test_a_token_proves_account_bind_and_place() -> None:
    seal = Seal(SECRET)
    token = seal.token("ac_1", "ep_1", URL)
    assert seal.knows_token(token, "ac_1", "ep_1", URL)
    # A restart may change the public port: the place is the name.
    assert seal.knows_token(token, "ac_1", "ep_1", Url("https", URL.host, 443))
    assert not seal.knows_token(token, "ac_2", "ep_1", URL)
    assert not seal.knows_token(token, "ac_1", "ep_2", URL)
    assert not seal.knows_token(token, "ac_1", "ep_1", Url("http", URL.host, 80))
    assert not seal.knows_token(token, "ac_1", "ep_1", Url("https", "b.portway.localhost", 7443))


def test_facts_cannot_be_shifted_from_one_to_the_next() -> None:
    seal = Seal(SECRET)
    assert seal.cookie("ab", "c") != seal.cookie("a", "bc")
    assert seal.token("a", "c", URL) != seal.cookie("a", "c")


def test_tcp_is_bound_to_its_port() -> None:
    seal = Seal(SECRET)
    token = seal.token("a", "e", Url("tcp", "localhost", 20_001))
    assert not seal.knows_token(token, "a", "e", Url("tcp", "localhost", 20_002))


def test_a_short_secret_is_none_and_no_secret_is_shown() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Seal(b"short")
    assert repr(Seal(SECRET)) == "<Seal>"


def test_what_was_drawn_and_what_was_asked_for_are_told_apart() -> None:
    seal = Seal(SECRET)
    for drawn in (True, False):
        token = seal.token("a", "e", URL, drawn=drawn)
        assert seal.knows_token(token, "a", "e", URL, drawn=drawn)
        assert not seal.knows_token(token, "a", "e", URL, drawn=not drawn)
