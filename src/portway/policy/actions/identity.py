"""``oauth`` and ``openid-connect``: who does not say who they are does not come in.

The action itself knows no network: it asks the edge for the visitor's session (``Fetch`` of the kind
``identity``) and goes on with what comes back, a :class:`SignedIn` or an answer that leads to the provider.
Who may come in of those who are known is for the rules behind it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from portway.model.identity import ProviderApp, issuer_problem
from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.identity import (
    OLD_PREFIX,
    PATHS,
    PREFIX,
    Asked,
    IdentitySettings,
    NotSignedIn,
    SignedIn,
    Standing,
    check_cookie_domain,
    clean,
)
from portway.policy.phase import HTTP, Phase
from portway.policy.providers import PROVIDERS
from portway.policy.verdict import Failed, Fetch, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.facts import Request
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

WHAT: Final = "identity"
"""The kind of Fetch."""
APPS: Final = "oauth_providers"
"""Under what name ``World.extra`` has the operator's applications; absent: they are not known here."""
SHARED: Final = "shared_domains"
"""The same of domains below which several accounts have endpoints."""

_MARK: Final = "auth_id "

SCOPES: Final = 30
SCOPE_LENGTH: Final = 255
PARAMETERS: Final = 20
ISSUER_LENGTH: Final = 255
REFRESH_LEAST: Final = 5.0
DURATION_MOST: Final = 10 * 365 * 86_400.0
TOKEN_FIELD: Final = 8192
"""Bytes of a token that is still put into a field: upstreams take no head of any size."""

_FIELDS: Final = (
    b"ngrok-auth-user-id", b"ngrok-auth-user-name", b"ngrok-auth-user-email",
    b"ngrok-auth-oauth-access-token", b"ngrok-auth-oauth-refresh-token",
)  # fmt: skip
_OURS: Final = frozenset((
    "client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce", "redirect_uri",
    "request", "request_uri", "response_mode", "response_type", "scope", "state",
))  # fmt: skip
"""Parameters of the authorization URL that a policy may not set."""


@dataclass(frozen=True, slots=True)
class _Identity:
    settings: IdentitySettings
    """What is known with the document."""
    client_id: "Template | None"
    client_secret: "Template | None"
    preflight: bool
    seen: "Mapping[str, object]"
    """What the actions of the document have left for each other: every ``auth_id``, among others."""

    def run(self, run: "Run") -> Verdict | None:
        request = run.request
        request.remove(_FIELDS)
        if self.preflight and _is_preflight(request) and not self._reserves(request.target):
            return None
        others = tuple(each[len(_MARK) :] for each in self.seen if each.startswith(_MARK))
        return Fetch(WHAT, {"settings": self.resolved(run), "asked": _asked(run), "others": others})

    def resume(self, run: "Run", result: object) -> Verdict | None:
        kind = self.settings.kind
        if isinstance(result, SignedIn):
            _enter(run, kind, result, managed=self.settings.managed)
            return None
        run.decisions["oauth.decision"] = "block"
        if isinstance(result, NotSignedIn):
            run.publish(kind, _nobody(result))
            return result.answer
        assert isinstance(result, Failed), result
        raise ActionFailed(result.code, result.message, result.status)

    def _reserves(self, target: str) -> bool:
        """Tell whether a path never reaches the upstream."""
        path, prefix = target.partition("?")[0].rstrip("/"), self.settings.prefix
        return path in PATHS[prefix] or (prefix == OLD_PREFIX and path.startswith(f"{prefix}/"))

    def resolved(self, run: "Run") -> IdentitySettings:
        """Return the settings with what is computed. Raises ActionFailed 2238, or 3125 for nothing."""
        if self.client_id is None or self.client_secret is None:
            return self.settings
        from dataclasses import replace

        client_id, secret = run.text(self.client_id), run.text(self.client_secret)
        if not client_id or not secret:
            raise ActionFailed(3125, "The application of this endpoint at the provider is not set up.")
        return replace(self.settings, client_id=client_id, client_secret=secret)


def issuer_of(action: Action) -> str:
    """Return the issuer that an action of openid-connect names; "" for any other action."""
    return action.settings.issuer if isinstance(action, _Identity) and action.settings.kind == "oidc" else ""


def _asked(run: "Run") -> Asked:
    request = run.request
    cookies: list[tuple[str, str]] = []
    for line in request.get(b"cookie"):
        for part in line.decode("latin-1").split(";"):
            name, _, value = part.strip().partition("=")
            if "ngrok." in name:
                cookies.append((name, value))
    cookies.sort(key=lambda each: not each[0].startswith("__Host-"))  # sibling hosts cannot set those
    agent, mode = request.get(b"user-agent"), request.get(b"sec-fetch-mode")
    return Asked(
        request.method,
        request.scheme,
        request.authority,
        request.target,
        tuple(cookies[:32]),
        agent[0].decode("latin-1")[:1024] if agent else "",
        run.facts.connection.client_ip,
        mode[0].decode("latin-1").strip().lower()[:32] if mode else "",
    )


def _is_preflight(request: "Request") -> bool:
    """Tell whether a request only asks whether another may be sent (the Fetch standard, CORS-preflight)."""
    return bool(
        request.method == "OPTIONS"
        and request.get(b"origin")
        and request.get(b"access-control-request-method")
    )


def _enter(run: "Run", kind: str, found: SignedIn, *, managed: bool) -> None:
    session = found.session
    person, tokens = session.person, session.tokens
    shown = ("", "") if managed else (tokens.access, tokens.refresh)
    values: dict[str, object] = {
        "identity": {
            "id": session.user_id,
            "email": person.email,
            "name": person.name,
            "provider_user_id": person.subject,
            "current_provider_session_id": session.id,
            "current_session_id": session.id,
        },
        "access_token": shown[0],
        "refresh_token": shown[1],
        "expires_at": _written(tokens.expires_at),
        "userinfo_refreshed": found.refreshed,
        "user_info_refreshed": found.refreshed,
        **_ended(None),
        "error": {"code": "", "message": ""},
    }
    if kind == "oidc":
        values["identity_token"] = "" if managed else tokens.identity
    run.publish(kind, values)
    texts = (person.subject, person.name, person.email, *shown)
    for name, text in zip(_FIELDS, texts, strict=True):
        value = clean(text, TOKEN_FIELD + 1).encode()
        if value and len(value) <= TOKEN_FIELD:
            run.request.add(name, value)
    run.decisions["oauth.decision"] = "allow"
    run.decisions["oauth.app_client_id"] = found.client_id
    run.decisions["oauth.user.id"] = session.user_id
    run.decisions["oauth.user.name"] = person.name


def _nobody(result: NotSignedIn) -> dict[str, object]:
    code = result.answer.code
    return {
        **_ended(result.standing),
        "userinfo_refreshed": False,
        "user_info_refreshed": False,
        "error": {"code": f"ERR_NGROK_{code}" if code else "", "message": result.answer.message},
    }


def _ended(standing: Standing | None) -> dict[str, object]:
    return {
        "session_timed_out": standing is Standing.IDLE,
        "session_max_duration_reached": standing is Standing.OLD,
    }


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


# -- configuration


def _parse_oauth(config: "Fields", compiler: "Compiler") -> Action:
    provider = config.choice("provider", tuple(PROVIDERS))
    client_id, secret = config.find("client_id"), config.find("client_secret")
    if client_id is not None and secret is None:
        config.problem(383, "client_id needs a client_secret beside it", client_id)
    if secret is not None and client_id is None:
        config.problem(384, "client_secret needs a client_id beside it", secret)
    own = client_id is not None and secret is not None
    scopes = _scopes(config, 368, 391)
    if scopes and not own:
        config.problem(
            390, "scopes need an application of your own: client_id and client_secret", config.find("scopes")
        )
    app = _app(provider, config, compiler, own=own)
    issuer = app.issuer or PROVIDERS[provider].issuer
    return _made(config, compiler, "oauth", provider, issuer, None if own else app, scopes)


def _app(provider: str, config: "Fields", compiler: "Compiler", *, own: bool) -> ProviderApp:
    """Return the operator's application; record 2232 when there is none and none is given."""
    apps = cast("Mapping[str, ProviderApp] | None", compiler.world.extra.get(APPS))
    app = (apps or {}).get(provider, ProviderApp())
    if not own and apps is not None and not app.client_id:
        config.problem(
            2232,
            f"this service has no application at {PROVIDERS[provider].title}: its operator sets"
            f" oauth.providers.{provider}.client_id and .client_secret in the configuration file of"
            " portway serve, or give client_id and client_secret here",
            config.find("provider"),
        )
    return app


def _parse_openid(config: "Fields", compiler: "Compiler") -> Action:
    issuer = ""
    node = config.find("issuer_url")
    if node is None:
        config.problem(387, "the field 'issuer_url' is required")
    else:
        issuer = config.text_of(node, "issuer_url")
        if len(issuer) > ISSUER_LENGTH:
            config.problem(1687, f"issuer_url is longer than {ISSUER_LENGTH} characters", node)
        elif said := issuer_problem(issuer):
            config.problem(2226, f"issuer_url {said}", node)
    for name, code in (("client_id", 385), ("client_secret", 386)):
        if config.find(name) is None:
            config.problem(code, f"the field {name!r} is required")
    return _made(config, compiler, "oidc", "", issuer, None, _scopes(config, 388, 392))


def _made(
    config: "Fields",
    compiler: "Compiler",
    kind: Literal["oauth", "oidc"],
    provider: str,
    issuer: str,
    app: ProviderApp | None,
    scopes: tuple[str, ...],
) -> Action:
    client_id = config.template("client_id", "", most=1024) if app is None else None
    secret = config.template("client_secret", "", most=4096) if app is None else None
    idle = ("idle_session_timeout", "idle_session_duration")
    settings = IdentitySettings(
        kind,
        provider,
        issuer,
        client_id="" if app is None else app.client_id,
        client_secret="" if app is None else app.client_secret,
        managed=app is not None,
        scopes=scopes,
        parameters=_parameters(config),
        auth_id=config.string("auth_id", "", most=255),
        most=config.duration("max_session_duration", 0.0, low=0.0, high=DURATION_MOST),
        idle=config.duration(idle[0], 0.0, idle[1], low=0.0, high=DURATION_MOST),
        refresh=_interval(config),
        cookie_domain=_cookie_domain(config, compiler),
        prefix=OLD_PREFIX
        if config.choice("path_prefix", (PREFIX, OLD_PREFIX), PREFIX) == OLD_PREFIX
        else PREFIX,
    )
    _check_only_one(config, compiler, settings)
    preflight = config.boolean("allow_cors_preflight", default=False)
    return _Identity(settings, client_id, secret, preflight, compiler.seen)


def _scopes(config: "Fields", many: int, long: int) -> tuple[str, ...]:
    found: list[str] = []
    for node in config.items("scopes", most=SCOPES, code=many):
        text = config.text_of(node, "scopes", least=1)
        if len(text) > SCOPE_LENGTH:
            config.problem(long, f"a scope is longer than {SCOPE_LENGTH} characters", node)
        elif any(not "!" <= c <= "~" or c in '"\\' for c in text):
            config.problem(2204, f"{text[:60]!r} is no scope: it has no spaces, quotes or backslashes", node)
        found.append(text)
    return tuple(dict.fromkeys(found))


def _parameters(config: "Fields") -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name, node in config.entries("authz_url_params", most=PARAMETERS):
        if name.lower() in _OURS:
            config.problem(2204, f"the parameter {name!r} is set by the service", node)
        found.append((name, config.text_of(node, name, most=2048)))
    return tuple(found)


def _interval(config: "Fields") -> float:
    seconds = config.duration("userinfo_refresh_interval", 0.0, low=0.0, high=DURATION_MOST)
    if 0 < seconds < REFRESH_LEAST:
        config.problem(
            1635,
            f"userinfo_refresh_interval is shorter than {REFRESH_LEAST:g} seconds",
            config.find("userinfo_refresh_interval"),
        )
    return seconds


def _cookie_domain(config: "Fields", compiler: "Compiler") -> str:
    node = config.find("auth_cookie_domain")
    if node is None:
        return ""
    shared = cast("tuple[str, ...]", compiler.world.extra.get(SHARED, ()))
    domain, problem = check_cookie_domain(
        config.text_of(node, "auth_cookie_domain"), getattr(compiler.target, "host", ""), shared
    )
    if problem is not None:
        config.problem(problem[0], problem[1], node)
    return domain


def _check_only_one(config: "Fields", compiler: "Compiler", settings: IdentitySettings) -> None:
    """Record 2239 for a second action that would use the cookies of the first for somebody else."""
    seen: dict[str, Any] = compiler.seen
    what = (settings.kind, settings.provider, settings.issuer)
    if seen.setdefault(f"{_MARK}{settings.auth_id}", what) != what:
        config.problem(2239, "another action of this policy signs visitors in: give each its own auth_id")


TYPES: Final = [
    ActionType(
        name,
        parse,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        result=result,
        guards=True,
    )
    for name, parse, result in (
        ("oauth", _parse_oauth, "oauth"),
        ("openid-connect", _parse_openid, "oidc"),
    )
]
