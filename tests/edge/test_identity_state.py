"""States, tokens and what is derived from them."""

import pytest

from portway.edge.identity_pages import LoginFailed
from portway.edge.identity_state import (
    LIFE,
    RETURN_LIFE,
    LoginState,
    Returned,
    StateSeal,
    hashed,
    new_root,
)


def state() -> LoginState:
    """Make the state of a login."""
    return LoginState(
        1000.0, "ac_1", "client", "all", "a.example oidc", "", "/ngrok", "https://a.example", "/x", "bound",
        new_root(),
    )  # fmt: skip


STATE = state()


def test_a_state_comes_back_as_it_was_and_shows_nothing() -> None:
    seal = StateSeal(b"s" * 32)
    sealed = seal.seal(STATE)
    assert seal.open(sealed, 1001.0) == STATE
    assert seal.seal(STATE) != sealed
    assert "a.example" not in sealed
    assert StateSeal(b"s" * 32).open(sealed, 1001.0) == STATE
    assert "s" * 8 not in repr(seal)


def test_a_state_of_another_service_is_none() -> None:
    sealed = StateSeal(b"t" * 32).seal(STATE)
    with pytest.raises(LoginFailed) as raised:
        StateSeal(b"s" * 32).open(sealed, 1001.0)
    assert raised.value.code == 3108


@pytest.mark.parametrize(("now", "code"), [(1000 + LIFE, 3119), (1000 - LIFE, 3119)])
def test_a_state_is_good_for_its_time(now: float, code: int) -> None:
    seal = StateSeal(b"s" * 32)
    with pytest.raises(LoginFailed) as raised:
        seal.open(seal.seal(STATE), now)
    assert raised.value.code == code


@pytest.mark.parametrize("text", ["", "a", "====", "ü", "A" * 8193, "-_-_-_-_", "a b"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(LoginFailed) as raised:
        StateSeal(b"s" * 32).open(text, 1.0)
    assert raised.value.code == (3108 if text else 3107)


def test_what_came_back_is_no_state_and_a_state_is_nothing_that_came_back() -> None:
    seal = StateSeal(b"s" * 32)
    returned = Returned(1000.0, STATE, "code", issuer="https://idp.example")
    sealed = seal.seal_return(returned)
    assert seal.open_return(sealed, 1001.0) == returned
    for text, now, code in (
        ("", 1001.0, 3120),
        ("x", 1001.0, 3123),
        ("A" * 16_385, 1001.0, 3123),
        (seal.seal(STATE), 1001.0, 3123),
        (StateSeal(b"t" * 32).seal_return(returned), 1001.0, 3123),
        (sealed, 1000 + RETURN_LIFE, 3122),
    ):
        with pytest.raises(LoginFailed) as raised:
            seal.open_return(text, now)
        assert raised.value.code == code
    with pytest.raises(LoginFailed) as raised:
        seal.open(sealed, 1001.0)
    assert raised.value.code == 3108


def test_the_secrets_of_a_login_differ() -> None:
    assert len({STATE.nonce, STATE.verifier, STATE.challenge, STATE.root}) == 4
    assert 43 <= len(STATE.verifier) <= 128  # RFC 7636 §4.1
    other = state()
    assert other.nonce != STATE.nonce


def test_tokens_are_known_as_ours() -> None:
    seal = StateSeal(b"s" * 32)
    token = seal.token()
    assert seal.is_ours(token)
    assert not StateSeal(b"t" * 32).is_ours(token)
    for wrong in ("", token[:-1], token + "A", "A" * len(token), token.swapcase(), "ü" * len(token)):
        assert not seal.is_ours(wrong)
    assert hashed(token) != hashed(seal.token())
    assert token not in hashed(token)
