"""What the login modules of a route may say: oauth and oidc."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from portway.errors import Error

PROVIDERS: Final = ("amazon", "facebook", "github", "gitlab", "google", "linkedin", "microsoft", "twitch")
"""Providers of the oauth module."""
COOKIE_PREFIX: Final = 64
"""Bytes of a cookie prefix; more are ERR_NGROK_7136, 7153."""
CLIENT: Final = 512
"""Bytes of a client id (7137, 7148) or secret (7138, 7149)."""
NAME: Final = 255
"""Bytes of an e-mail address (7139), domain (7140), scope (7141, 7151) or issuer (7087)."""
SCOPES: Final = 20
"""Scopes of a module; more are ERR_NGROK_7056, 7150."""
LISTED: Final = 100
"""E-mail addresses (7060) or domains (7061) of a module."""
YEAR: Final = 366 * 86_400
"""Seconds: the longest session (7161, 7162), idle time (7092) and check interval (7158, 7160)."""
INTERVAL: Final = 5
"""Seconds: the shortest check interval; a shorter one is ERR_NGROK_7035, 7159."""

_PREFIX: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*").fullmatch
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+").fullmatch
_DOMAIN: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE).fullmatch

Module = Mapping[str, Any]


def check_oauth(module: Module) -> None:
    """Refuse what an oauth module may not say. Raises Error 7033–7068, 7092 or 7136–7165."""
    providers = cast("Mapping[str, Module | None]", module.get("provider") or {})
    blocks = {name: block for name, block in providers.items() if block is not None}
    if not blocks:
        raise Error("The oauth module needs a provider.", 7037)
    if len(blocks) > 1:
        raise Error(f"The oauth module has one provider; these are {', '.join(blocks)}.", 7036)
    name, block = next(iter(blocks.items()))
    if name not in PROVIDERS:
        raise Error(f"The provider {name[:80]!r} is not one of {', '.join(PROVIDERS)}.", 7165)
    client, secret = str(block.get("client_id") or ""), str(block.get("client_secret") or "")
    if bool(client) != bool(secret):
        raise Error("An application of your own needs its id and its secret.", 7033)
    scopes = _texts(block, "scopes")
    if scopes and not client:
        raise Error("Scopes can be chosen for an application of your own only.", 7034)
    for text, code in ((client, 7137), (secret, 7138)):
        _short(text, CLIENT, code)
    _many(scopes, SCOPES, 7056, "scopes")
    for scope in scopes:
        _short(scope, NAME, 7141)
    _emails(_texts(block, "email_addresses"))
    _domains(_texts(block, "email_domains"))
    _session(module, prefix_code=7136, short=7035, long=7158, session=7161)


def check_oidc(module: Module) -> None:
    """Refuse what an oidc module may not say. Raises Error 7042, 7087–7092 or 7148–7162."""
    issuer = str(module.get("issuer") or "")
    for field, code in (("issuer", 7088), ("client_id", 7089), ("client_secret", 7090)):
        if not module.get(field):
            raise Error(f"The oidc module needs the field {field!r}.", code)
    _short(issuer, NAME, 7087)
    _short(str(module["client_id"]), CLIENT, 7148)
    _short(str(module["client_secret"]), CLIENT, 7149)
    scopes = _texts(module, "scopes")
    _many(scopes, SCOPES, 7150, "scopes")
    for scope in scopes:
        _short(scope, NAME, 7151)
    _session(module, prefix_code=7153, short=7159, long=7160, session=7162)


def _session(module: Module, *, prefix_code: int, short: int, long: int, session: int) -> None:
    prefix = str(module.get("cookie_prefix") or "")
    _short(prefix, COOKIE_PREFIX, prefix_code)
    if not _PREFIX(prefix):
        raise Error(f"{prefix!r} cannot begin the name of a cookie.", 7042)
    interval = int(module.get("auth_check_interval") or 0)
    if interval and interval < INTERVAL:
        raise Error(f"The auth_check_interval is {INTERVAL} seconds at least.", short)
    for field, code in (
        ("auth_check_interval", long),
        ("maximum_duration", session),
        ("inactivity_timeout", 7092),
    ):
        if not 0 <= int(module.get(field) or 0) <= YEAR:
            raise Error(f"The {field} is a number of seconds, a year at most.", code)


def _emails(emails: Sequence[str]) -> None:
    _many(emails, LISTED, 7060, "e-mail addresses")
    for each in emails:
        if not each:
            raise Error("An e-mail address is empty.", 7051)
        _short(each, NAME, 7139)
        if not _EMAIL(each):
            raise Error(f"{each[:80]!r} is not an e-mail address.", 7043)
        if each != each.lower():
            raise Error(f"Write the e-mail address {each!r} in lower case.", 7067)
    _once(emails, 7046, "e-mail address")


def _domains(domains: Sequence[str]) -> None:
    _many(domains, LISTED, 7061, "domains")
    for each in domains:
        if not each:
            raise Error("An e-mail domain is empty.", 7052)
        _short(each, NAME, 7140)
        if not _DOMAIN(each):
            raise Error(f"{each[:80]!r} is not a domain.", 7039)
        if each != each.lower():
            raise Error(f"Write the domain {each!r} in lower case.", 7068)
    _once(domains, 7047, "domain")


def _texts(module: Module, name: str) -> list[str]:
    return [str(each) for each in cast("Sequence[object]", module.get(name) or ())]


def _short(text: str, limit: int, code: int) -> None:
    if len(text.encode()) > limit:
        raise Error(f"{text[:40]!r}… is longer than {limit} bytes.", code)


def _many(texts: Sequence[str], limit: int, code: int, what: str) -> None:
    if len(texts) > limit:
        raise Error(f"There are {len(texts)} {what}; {limit} are allowed.", code)


def _once(texts: Sequence[str], code: int, what: str) -> None:
    twice = [text for text, count in Counter(texts).items() if count > 1]
    if twice:
        raise Error(f"The {what} {twice[0]!r} is given twice.", code)
