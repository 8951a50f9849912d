"""Basic credentials: what is read, what is refused, who may enter."""

from base64 import b64encode

import pytest

from portway.codec.basic_auth import Credentials, Presented, challenge, presented


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


def test_credentials_are_read() -> None:
    assert presented(basic("ada:correct horse")) == Presented("ada", "correct horse")
    assert presented(basic("ada:a:b").replace("Basic", "bAsIc")) == Presented("ada", "a:b")
    assert presented(basic(":")) == Presented("", "")
    assert presented(basic("zoë:ü")) == Presented("zoë", "ü")


@pytest.mark.parametrize("value", ["", "Basic", "Basic !!!", "Bearer YTpi", basic("nocolon"), "Basic /w=="])
def test_what_is_none_is_none(value: str) -> None:
    assert presented(value) is None


def test_only_whole_pairs_enter() -> None:
    who = Credentials([("ada", "password1"), ("bob", "password2")])
    assert who.allow(Presented("ada", "password1"))
    assert who.allow(Presented("bob", "password2"))
    assert not who.allow(Presented("ada", "password2"))
    assert not who.allow(Presented("ada", "password1 "))
    assert not Credentials([]).allow(Presented("", ""))
    assert "password" not in repr(who)


def test_a_realm_is_quoted() -> None:
    assert challenge('a "b" \\') == 'Basic realm="a \\"b\\" \\\\"'
