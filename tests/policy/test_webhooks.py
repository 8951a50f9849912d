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


@pytest.mark.parametrize(("off", "taken"), [(300, True), (-300, True), (300.5, False), (-300.5, False)])
def test_a_time_may_differ_by_so_much_and_no_more(off: float, taken: bool) -> None:
    hook = Hook("POST", "https://a.example/", {}, b"", 1_700_000_000 + off)
    if taken:
        hook.recent("1700000000", 300.0)
    else:
        with pytest.raises(Unverified):
            hook.recent("1700000000", 300.0)


@pytest.mark.parametrize(
    "fields", [{"x-s": ["{right}", "{right}"]}, {"x-s": []}, {"x-s": ["{right}, {right}"]}]
)
def test_a_signature_that_is_there_twice_is_none(fields: dict[str, list[str]]) -> None:
    """Which of two fields an upstream would read is not known here."""
    right = hmac.digest(b"key", b"body", "sha256").hex()
    given = {name: [each.format(right=right) for each in values] for name, values in fields.items()}
    with pytest.raises(Unverified):
        Mac("x-s")(Hook("POST", "https://a.example/", given, b"body", 0), "key")


def test_a_time_that_is_there_twice_is_none() -> None:
    right = hmac.digest(b"key", b"1.body", "sha256").hex()
    scheme = Mac("x-s", message="{t}.{body}", prefix="v1=", time="=t")
    scheme(Hook("POST", "https://a.example/", {"x-s": [f"t=1,v1={right}"]}, b"body", 0), "key")
    for text in (f"t=9,t=1,v1={right}", f"v1={right}", f"t=1,v0={right}"):
        with pytest.raises(Unverified):
            scheme(Hook("POST", "https://a.example/", {"x-s": [text]}, b"body", 0), "key")


def test_a_body_is_not_shown() -> None:
    assert "secret" not in repr(Hook("POST", "https://a.example/", {}, b"secret", 0))
