"""Tests of what all schemes of webhooks share."""

import hmac

import pytest

from portway.policy.webhooks import Hook, Mac, Unverified, key_of, time_of


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1700000000", 1_700_000_000),
        ("1700000000000", 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-14T14:13:20-08:00", 1_700_000_000),
        ("", None),
        ("-5", None),
        ("now", None),
        ("1e9", None),
        ("99999999999999999999", None),
        ("\u0661\u0662", None),
    ],
)
def test_times_are_read(text: str, at: float | None) -> None:
    assert time_of(text) == at


def test_keys_are_what_their_sender_says() -> None:
    assert key_of("whsec_eA==") == b"whsec_eA=="
    assert key_of("whsec_eA", "base64") == b"x"
    with pytest.raises(Unverified):
        key_of("!", "base64")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_not_verified(body: bytes) -> None:
    with pytest.raises(Unverified):
        Hook("POST", "https://a.example/", {}, body, 0).json()


def test_a_form_with_too_many_fields_is_not_verified() -> None:
    fields = {"content-type": ["application/x-www-form-urlencoded"]}
    with pytest.raises(Unverified):
        Hook("POST", "https://a.example/", fields, b"&".join([b"a=b"] * 2000), 0).form()


def test_a_flood_of_signatures_is_bounded() -> None:
    scheme = Mac("x-s", separator=",")
    right = hmac.digest(b"key", b"body", "sha256").hex()
    scheme(Hook("POST", "https://a.example/", {"x-s": [f"00,{right}"]}, b"body", 0), "key")
    with pytest.raises(Unverified):
        scheme(Hook("POST", "https://a.example/", {"x-s": ["00," * 30 + right]}, b"body", 0), "key")


def test_a_body_is_not_shown() -> None:
    assert "secret" not in repr(Hook("POST", "https://a.example/", {}, b"secret", 0))
