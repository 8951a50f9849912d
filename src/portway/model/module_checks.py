"""What a module of an edge or a route may say, module by module, each fault with its code.

Only what can be said of a module by itself stands here. What it names is looked for by the control plane, and
whether its rules can be carried out is the policy compiler's to say.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from portway.errors import Error
from portway.model.login_checks import check_oauth, check_oidc
from portway.model.modules import LOGINS

IP_POLICIES: Final = 10
"""IP policies of one module; more are ERR_NGROK_7013."""
AUTHORITIES: Final = 100
"""Authorities of mutual TLS; more are ERR_NGROK_7075."""
BUCKETS: Final = 128
"""Buckets of a circuit breaker; more, or none, are ERR_NGROK_7018."""
HEADERS: Final = 5
"""Headers that one module adds, and those that it removes; more are ERR_NGROK_7015."""
HEADER_NAME: Final = 128
"""Bytes of a header's name; more are ERR_NGROK_7105."""
HEADER_VALUE: Final = 1024
"""Bytes of a header's value; more are ERR_NGROK_7106."""
SECRET: Final = 1024
"""Bytes of a webhook's secret; more are ERR_NGROK_7154."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch

Module = Mapping[str, Any]


def check_module(name: str, module: Module, form: str) -> None:
    """Refuse what a module may not say. ``form`` is tcp, tls, https or route. Raises Error 2090, 7007…"""
    check = _CHECKS.get(name)
    if check is not None:
        check(module, form)


def check_logins(modules: Mapping[str, Module]) -> None:
    """Refuse more than one login module. Raises Error 7079."""
    logins = [name for name in LOGINS if name in modules]
    if len(logins) > 1:
        raise Error(f"A route has one login module at most; these are {', '.join(logins)}.", 7079)


def check_together(form: str, modules: Mapping[str, Module]) -> None:
    """Refuse modules that do not go together. Raises Error 7062 or 7079."""
    check_logins(modules)
    if form == "tls" and "mutual_tls" in modules:
        termination = modules.get("tls_termination")
        if termination is None or termination.get("terminate_at") == "upstream":
            raise Error("Mutual TLS at the edge needs TLS that ends at the edge.", 7062)


def _backend(module: Module, _form: str) -> None:
    if not module.get("backend_id"):
        raise Error("The backend module needs a backend_id.", 6514)


def _addresses(module: Module, _form: str) -> None:
    ids = cast("Sequence[str]", module.get("ip_policy_ids") or ())
    if not ids:
        raise Error("The IP restriction module needs at least one IP policy.", 7025)
    if len(ids) > IP_POLICIES:
        raise Error(f"The IP restriction module has at most {IP_POLICIES} IP policies.", 7013)


def _authorities(module: Module, _form: str) -> None:
    ids = cast("Sequence[str]", module.get("certificate_authority_ids") or ())
    if not ids:
        raise Error("Mutual TLS needs at least one certificate authority.", 7072)
    if len(ids) > AUTHORITIES:
        raise Error(f"Mutual TLS has at most {AUTHORITIES} certificate authorities.", 7075)


def _termination(module: Module, form: str) -> None:
    place, version = module.get("terminate_at"), module.get("min_version")
    if place and form == "https":
        raise Error("TLS of an https edge ends at the edge: it takes no terminate_at.", 7109)
    if place not in {None, "", "edge", "upstream"}:
        raise Error(f"TLS cannot end at {str(place)[:80]!r}; use edge or upstream.", 7002)
    if version not in {None, "", "1.2", "1.3"}:
        raise Error(f"The TLS version {str(version)[:80]!r} is not 1.2 or 1.3.", 7002)
    if version and place == "upstream":
        raise Error("TLS that ends at the upstream has no minimum version here.", 7032)


def _breaker(module: Module, _form: str) -> None:
    ratio = module.get("error_threshold_percentage")
    if ratio is not None and not 0 <= ratio <= 1:
        raise Error("The error threshold of a circuit breaker is between 0 and 1.", 7011)
    for field, code in (("tripped_duration", 7016), ("rolling_window", 7017)):
        if (module.get(field) or 0) < 0:
            raise Error(f"The {field} of a circuit breaker is a positive number of seconds.", code)
    if not 0 <= (module.get("num_buckets") or 0) <= BUCKETS:
        raise Error(f"A circuit breaker has 1 to {BUCKETS} buckets.", 7018)


def _headers(module: Module, _form: str) -> None:
    added = cast("Mapping[str, str]", module.get("add") or {})
    removed = cast("Sequence[str]", module.get("remove") or ())
    if len(added) > HEADERS or len(removed) > HEADERS:
        raise Error(f"A module adds at most {HEADERS} headers, and removes as many.", 7015)
    for name in (*added, *removed):
        if len(name.encode()) > HEADER_NAME:
            raise Error(f"A header name has at most {HEADER_NAME} bytes.", 7105)
        if not _TOKEN(name):
            raise Error(f"{name[:80]!r} is not the name of a header.", 7023)
    for name, value in added.items():
        if len(value.encode()) > HEADER_VALUE:
            raise Error(f"The value of a header has at most {HEADER_VALUE} bytes.", 7106)
        if any(ord(each) < 0x20 or ord(each) == 0x7F for each in value):
            raise Error(f"The value of the header {name!r} holds a control character.", 7024)
    folded = [name.lower() for name in added]
    if len(set(folded)) < len(folded):
        raise Error("A header is added twice, in different cases.", 7069)
    if "host" in {name.lower() for name in removed} and "host" not in folded:
        raise Error("The header host cannot be removed alone: add another in its place.", 7164)


def _webhook(module: Module, _form: str) -> None:
    provider, secret = str(module.get("provider") or ""), str(module.get("secret") or "")
    if not provider:
        raise Error("Webhook verification needs a provider.", 7029)
    if provider == "sns" and secret:
        raise Error("The webhooks of SNS are signed without a secret: give none.", 7026)
    if provider != "sns" and not secret:
        raise Error(f"The webhooks of {provider[:80]} are signed with a secret: give it.", 7027)
    if len(secret.encode()) > SECRET:
        raise Error(f"The secret of a webhook has at most {SECRET} bytes.", 7154)


def _user_agents(module: Module, _form: str) -> None:
    for field in ("allow", "deny"):
        for each in cast("Sequence[str]", module.get(field) or ()):
            try:
                re.compile(each)
            except re.error as error:
                raise Error(f"The expression {each[:80]!r} cannot be read: {error}", 2090) from error


def _saml(_module: Module, _form: str) -> None:
    raise Error("SAML is not provided by this version of the service; use oidc.", 2201)


_CHECKS: Final[Mapping[str, Callable[[Module, str], None]]] = {
    "backend": _backend,
    "ip_restriction": _addresses,
    "mutual_tls": _authorities,
    "tls_termination": _termination,
    "circuit_breaker": _breaker,
    "request_headers": _headers,
    "response_headers": _headers,
    "webhook_verification": _webhook,
    "user_agent_filter": _user_agents,
    "oauth": lambda module, _form: check_oauth(module),
    "oidc": lambda module, _form: check_oidc(module),
    "saml": _saml,
}
