"""The named providers of ``oauth``: where each is asked, for what, and how it tells who somebody is.

Most speak OpenID Connect: their issuer is all that must be known, the rest stands in their discovery
document. Amazon, Facebook and GitHub do not; theirs are the well-known addresses below. An operator may put
another ``issuer`` in the place of the usual one: a tenant of Microsoft's, a GitLab or GitHub of one's own, a
provider for tests.

What a provider says is not taken as it is: :func:`person_of` bounds and cleans it, and an e-mail address
that the provider says it has not verified is none, because policies decide by it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from portway.model.identity import Person
from portway.policy.identity import NAME_LENGTH, SUBJECT_LENGTH, clean, is_email

Claims = Mapping[str, object]

NO_EMAIL: Final = 3109
UNVERIFIED: Final = 3104
ODD: Final = 3160


class Unfit(Exception):
    """What a provider says of a person cannot be used: the code of the page, and why."""

    def __init__(self, code: int, message: str) -> None:
        """Take n of ERR_NGROK_n and a sentence that a visitor may read."""
        super().__init__(message)
        self.code = code
        self.message = message


class Places(msgspec.Struct, frozen=True):
    """Where a provider without a discovery document is asked; ``emails`` only of GitHub."""

    authorize: str
    token: str
    userinfo: str
    emails: str = ""


class Provider(msgspec.Struct, frozen=True):
    """One of the named providers."""

    name: str
    title: str
    issuer: str
    """Its usual issuer; of one that is not discovered, the base of its addresses."""
    scopes: tuple[str, ...]
    """What is asked for in any case."""
    places: Callable[[str], Places] | None = None
    """Base → addresses, of a provider that has no discovery document."""
    email: Callable[[Claims], str] | None = None
    """The address that it vouches for, where that is not simply the claim ``email``."""
    parameters: tuple[tuple[str, str], ...] = ()
    """More for the authorization URL."""
    again: tuple[tuple[str, str], ...] = (("prompt", "login"),)
    """What makes it ask for the password again."""
    pkce: bool = True
    nonce: bool = True
    """Its id_token repeats the nonce."""

    @property
    def discovered(self) -> bool:
        """Whether it speaks OpenID Connect."""
        return self.places is None


def _github(base: str) -> Places:
    api = "https://api.github.com" if base == "https://github.com" else f"{base}/api/v3"
    return Places(
        f"{base}/login/oauth/authorize",
        f"{base}/login/oauth/access_token",
        f"{api}/user",
        f"{api}/user/emails",
    )


def _facebook(base: str) -> Places:
    usual = base == "https://www.facebook.com"
    graph = "https://graph.facebook.com" if usual else base
    return Places(
        f"{base}/dialog/oauth",
        f"{graph}/oauth/access_token",
        f"{graph}/me?fields=id,name,email",
    )


def _amazon(base: str) -> Places:
    api = "https://api.amazon.com" if base == "https://www.amazon.com" else base
    return Places(f"{base}/ap/oa", f"{api}/auth/o2/token", f"{api}/user/profile")


CONSUMERS: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""Microsoft's tenant of private accounts."""


def _microsoft_email(claims: Claims) -> str:
    """Anybody may write any address into their own tenant: only some of them are known to be true.

    Those of private accounts, and where Microsoft says that the domain's owner was verified
    (``xms_edov``). Else the name for signing in, whose domain a tenant must have proved.
    """
    if claims.get("tid") == CONSUMERS or claims.get("xms_edov") in (True, 1, "1", "true"):
        return _text(claims, "email")
    return _text(claims, "preferred_username") or _text(claims, "upn")


_ASKED: Final = '{"email":null,"email_verified":null,"preferred_username":null}'
_OPENID: Final = ("openid", "email", "profile")

PROVIDERS: Final = {
    each.name: each
    for each in (
        Provider("amazon", "Amazon", "https://www.amazon.com", ("profile",), _amazon, again=()),
        Provider(
            "facebook", "Facebook", "https://www.facebook.com", ("email",), _facebook,
            again=(("auth_type", "reauthenticate"),),
        ),
        Provider(
            "github", "GitHub", "https://github.com", ("read:org", "read:user", "user:email"), _github,
            again=(("prompt", "select_account"),),
        ),
        Provider("gitlab", "GitLab", "https://gitlab.com", _OPENID),
        Provider("google", "Google", "https://accounts.google.com", _OPENID),
        Provider(
            "linkedin", "LinkedIn", "https://www.linkedin.com/oauth", _OPENID,
            again=(), pkce=False, nonce=False,
        ),
        Provider(
            "microsoft", "Microsoft", "https://login.microsoftonline.com/common/v2.0",
            (*_OPENID, "User.Read"), email=_microsoft_email,
        ),
        Provider(
            "twitch", "Twitch", "https://id.twitch.tv/oauth2", ("openid", "user:read:email"),
            parameters=(("claims", f'{{"id_token":{_ASKED},"userinfo":{_ASKED}}}'),),
            again=(("force_verify", "true"),),
        ),
    )
}  # fmt: skip


def person_of(provider: str, url: str, claims: Claims, *, wants_email: bool) -> Person:
    """Read who somebody is. ``provider`` is a name of the table, or an issuer.

    Raises Unfit: 3109 and 3104 when an address is wanted and none that is verified was told, 3160 when there
    is no subject.
    """
    known = PROVIDERS.get(provider)
    subject = _subject(claims)
    email, unverified = _email(known, claims, usual=known is not None and url == known.issuer)
    if wants_email and not email:
        if unverified:
            raise Unfit(UNVERIFIED, "The provider has not verified your e-mail address.")
        raise Unfit(NO_EMAIL, "The provider did not tell your e-mail address.")
    username = next(
        (found for key in ("preferred_username", "login", "username") if (found := _text(claims, key))), ""
    )
    name = _text(claims, "name") or _joined(claims) or username
    return Person(provider, url, subject, email, clean(name, NAME_LENGTH), clean(username, NAME_LENGTH))


def _subject(claims: Claims) -> str:
    for key in ("sub", "id", "user_id"):
        value = claims.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value:
            if len(value) > SUBJECT_LENGTH or not value.isprintable():
                break
            return value
    raise Unfit(ODD, "The provider did not say who you are.")


def _email(known: Provider | None, claims: Claims, *, usual: bool) -> tuple[str, bool]:
    """Return the address, and whether there is one that is not verified."""
    if known is not None and known.email is not None and usual:
        found = known.email(claims)
        return (found, False) if is_email(found) else ("", False)
    found = _text(claims, "email")
    if not is_email(found):
        return "", False
    if "email_verified" in claims and claims["email_verified"] not in (True, "true"):
        return "", True
    return found, False


def _text(claims: Claims, key: str) -> str:
    value = claims.get(key)
    return value.strip() if isinstance(value, str) else ""


def _joined(claims: Claims) -> str:
    return " ".join(each for key in ("given_name", "family_name") if (each := _text(claims, key)))


def verified_of(listed: object) -> str:
    """Return the primary verified address of GitHub's list; "" if there is none."""
    if not isinstance(listed, list):
        return ""
    found = ""
    for each in listed:  # pyright: ignore[reportUnknownVariableType]
        if isinstance(each, dict) and each.get("verified") is True:  # pyright: ignore[reportUnknownMemberType]
            address = str(each.get("email") or "")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            if is_email(address) and (each.get("primary") is True or not found):  # pyright: ignore[reportUnknownMemberType]
                found = address
                if each.get("primary") is True:  # pyright: ignore[reportUnknownMemberType]
                    break
    return found


_TENANT: Final = re.compile(r"[0-9a-fA-F-]{36}", re.ASCII)


def issuer_fits(wanted: str, said: str) -> bool:
    """Tell whether an issuer is the wanted one, or of Microsoft's common one that of some tenant."""
    if said == wanted or "{tenantid}" not in wanted:
        return said == wanted
    before, _, after = wanted.partition("{tenantid}")
    tenant = said.removeprefix(before).removesuffix(after)
    return said == f"{before}{tenant}{after}" and _TENANT.fullmatch(tenant) is not None


def same_issuer(wanted: str, said: str, claims: Claims | None = None) -> bool:
    """Tell whether an issuer is the wanted one. Microsoft's common one names each person's tenant instead."""
    tenant = (claims or {}).get("tid")
    return issuer_fits(wanted, said) and (said == wanted or said == wanted.replace("{tenantid}", str(tenant)))
