"""The named providers: what they say of a person, and what of it is believed."""

from typing import Any

import pytest

from portway.policy.providers import CONSUMERS, PROVIDERS, Unfit, person_of, same_issuer, verified_of

GOOGLE = PROVIDERS["google"].issuer
MICROSOFT = PROVIDERS["microsoft"].issuer


@pytest.mark.row("P-51")
def test_there_are_eight_each_with_a_place_to_ask() -> None:
    names = ["amazon", "facebook", "github", "gitlab", "google", "linkedin", "microsoft", "twitch"]
    assert sorted(PROVIDERS) == names
    for each in PROVIDERS.values():
        assert each.issuer.startswith("https://")
        assert each.scopes
        assert ("openid" in each.scopes) is each.discovered
        if each.places is not None:
            assert all(place.startswith("https://") for place in (each.places(each.issuer).authorize,))


def test_a_person_is_read() -> None:
    claims = {
        "sub": "1",
        "email": "a@b.example",
        "email_verified": True,
        "name": "Ada",
        "preferred_username": "ada",
    }
    person = person_of("google", GOOGLE, claims, wants_email=True)
    assert (person.subject, person.email, person.name, person.username) == ("1", "a@b.example", "Ada", "ada")
    joined = person_of("x", "x", {"sub": "1", "given_name": "Ada", "family_name": "L"}, wants_email=False)
    assert joined.name == "Ada L"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({}, 3160),
        ({"sub": ""}, 3160),
        ({"sub": True}, 3160),
        ({"sub": ["1"]}, 3160),
        ({"sub": "x" * 256}, 3160),
        ({"sub": "a\nb"}, 3160),
        ({"sub": "1"}, 3109),
        ({"sub": "1", "email": "none"}, 3109),
        ({"sub": "1", "email": ["a@b.example"]}, 3109),
        ({"sub": "1", "email": "a@b.example", "email_verified": False}, 3104),
        ({"sub": "1", "email": "a@b.example", "email_verified": "false"}, 3104),
        ({"sub": "1", "email": "a@b.example", "email_verified": 1.5}, 3104),
        ({"sub": "1", "email": "a@b.example\r\nX: y", "email_verified": True}, 3109),
    ],
)
def test_what_cannot_be_used_has_its_code(claims: dict[str, Any], code: int) -> None:
    with pytest.raises(Unfit) as raised:
        person_of("google", GOOGLE, claims, wants_email=True)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        (
            {"email": "boss@victim.example", "preferred_username": "eve@evil.example", "tid": "t"},
            "eve@evil.example",
        ),
        ({"email": "boss@victim.example", "tid": "t"}, ""),
        ({"email": "ada@a.example", "preferred_username": "x", "tid": CONSUMERS}, "ada@a.example"),
        ({"email": "ada@a.example", "tid": "t", "xms_edov": True}, "ada@a.example"),
        ({"email": "ada@a.example", "tid": "t", "xms_edov": "0"}, ""),
    ],
)
def test_an_address_that_anybody_can_write_is_not_believed(claims: dict[str, Any], email: str) -> None:
    said = {"sub": "1"} | claims
    assert person_of("microsoft", MICROSOFT, said, wants_email=False).email == email


def test_one_tenant_vouches_for_its_addresses() -> None:
    own = "https://login.microsoftonline.com/tenant/v2.0"
    claims = {"sub": "1", "email": "ada@a.example", "tid": "t"}
    assert person_of("microsoft", own, claims, wants_email=False).email == "ada@a.example"


def test_github_s_list() -> None:
    good = {"email": "a@b.example", "verified": True, "primary": True}
    assert verified_of([{"email": "x@b.example", "verified": True}, good]) == "a@b.example"
    assert verified_of([{"email": "x@b.example", "verified": True}]) == "x@b.example"
    assert verified_of([good | {"verified": "true"}]) == ""
    odd_ones: tuple[Any, ...] = (None, {}, "x", [None, 7, [], {}])
    for odd in odd_ones:
        assert verified_of(odd) == ""


def test_the_issuer_is_the_one_that_was_asked() -> None:
    assert same_issuer("https://a", "https://a")
    assert not same_issuer("https://a", "https://a/")
    common = "https://login.microsoftonline.com/{tenantid}/v2.0"
    tenant = "11111111-2222-3333-4444-555555555555"
    said = f"https://login.microsoftonline.com/{tenant}/v2.0"
    assert same_issuer(common, said, {"tid": tenant})
    assert not same_issuer(common, said, {"tid": CONSUMERS})
    assert not same_issuer(common, said, {})
    assert not same_issuer(common, "https://login.microsoftonline.com/../v2.0", {"tid": ".."})
