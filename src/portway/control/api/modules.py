"""Modules of edges and routes in requests and answers: what is written, and how it is shown.

A module is kept as it was written, so what is shown is made of that: identifiers become references. Numbers
and texts that clients send as placeholders for "not given" (0, "") are kept as they are: they mean the same
here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, Field

from portway.control.api.schema import Answer, Given, Ref
from portway.model.edge import BACKEND_PREFIXES

_NOUNS: Final = {prefix: kind for kind, prefix in BACKEND_PREFIXES.items()}


class ModuleGiven(Given):
    """What every module has."""

    enabled: bool | None = Field(None, description="False switches the module off; it is on otherwise.")


class BackendGiven(ModuleGiven):
    """Who serves."""

    backend_id: str | None = Field(None, description="A backend of the account.")


class IpRestrictionGiven(ModuleGiven):
    """From where one may come."""

    ip_policy_ids: list[str] | None = Field(None, description="IP policies of the account.")


class TrafficPolicyGiven(ModuleGiven):
    """Rules of a Traffic Policy, behind those of the other modules."""

    value: str | None = Field(None, description="YAML or JSON.")


class MutualTlsGiven(ModuleGiven):
    """Whose certificates visitors must show."""

    certificate_authority_ids: list[str] | None = Field(None, description="Authorities of the account.")


class TlsTerminationGiven(ModuleGiven):
    """Where TLS ends."""

    terminate_at: str | None = Field(None, description='"edge" or "upstream"; TLS edges only.')
    min_version: str | None = Field(None, description='"1.2" or "1.3".')


class HeadersGiven(ModuleGiven):
    """Headers that are added and removed."""

    add: dict[str, str] | None = Field(None, description="Names and values.")
    remove: list[str] | None = Field(None, description="Names.")


class CompressionGiven(ModuleGiven):
    """Compression of answers."""


class WebsocketTcpConverterGiven(ModuleGiven):
    """WebSockets whose upstream speaks TCP."""


class CircuitBreakerGiven(ModuleGiven):
    """When to spare an upstream that fails."""

    tripped_duration: int | None = Field(None, description="Seconds for which it is spared.")
    rolling_window: int | None = Field(None, description="Seconds over which failures count.")
    num_buckets: int | None = Field(None, description="Parts of the window, at most 128.")
    volume_threshold: int | None = Field(None, description="Requests from which on failures count.")
    error_threshold_percentage: float | None = Field(None, description="Share of failures, 0 to 1.")


class WebhookVerificationGiven(ModuleGiven):
    """Whose webhooks are let in."""

    provider: str | None = Field(None, description="Who signs the webhooks.")
    secret: str | None = Field(None, description="With what they are signed; none for SNS.")


class UserAgentFilterGiven(ModuleGiven):
    """Which programs are let in."""

    allow: list[str] | None = Field(None, description="Regular expressions.")
    deny: list[str] | None = Field(None, description="Regular expressions.")


class ProviderGiven(Given):
    """An application at an OAuth provider, and who may come in."""

    client_id: str | None = None
    client_secret: str | None = None
    scopes: list[str] | None = None
    email_addresses: list[str] | None = None
    email_domains: list[str] | None = None


class GithubGiven(ProviderGiven):
    """An application at GitHub."""

    teams: list[str] | None = None
    organizations: list[str] | None = None


class GoogleGiven(ProviderGiven):
    """An application at Google."""

    groups: list[str] | None = None


class ProvidersGiven(Given):
    """One of the OAuth providers."""

    github: GithubGiven | None = None
    facebook: ProviderGiven | None = None
    microsoft: ProviderGiven | None = None
    google: GoogleGiven | None = None
    linkedin: ProviderGiven | None = None
    gitlab: ProviderGiven | None = None
    twitch: ProviderGiven | None = None
    amazon: ProviderGiven | None = None


class _Session(ModuleGiven):
    """What the login modules have in common; times are seconds."""

    options_passthrough: bool | None = Field(None, description="CORS preflights need no login.")
    cookie_prefix: str | None = Field(None, description="Kept and shown; cookies have names of their own.")
    inactivity_timeout: int | None = None
    maximum_duration: int | None = None


class OauthGiven(_Session):
    """Login at an OAuth provider."""

    provider: ProvidersGiven | None = None
    auth_check_interval: int | None = None


class OidcGiven(_Session):
    """Login at an OpenID provider."""

    issuer: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scopes: list[str] | None = None


class SamlGiven(_Session):
    """Login at a SAML provider: understood, and refused."""

    idp_metadata: str | None = None
    idp_metadata_url: str | None = None
    force_authn: bool | None = None
    allow_idp_initiated: bool | None = None
    authorized_groups: list[str] | None = None
    nameid_format: str | None = None


GIVEN: Final[Mapping[str, type[ModuleGiven]]] = {
    "backend": BackendGiven,
    "ip_restriction": IpRestrictionGiven,
    "mutual_tls": MutualTlsGiven,
    "tls_termination": TlsTerminationGiven,
    "circuit_breaker": CircuitBreakerGiven,
    "compression": CompressionGiven,
    "request_headers": HeadersGiven,
    "response_headers": HeadersGiven,
    "webhook_verification": WebhookVerificationGiven,
    "oauth": OauthGiven,
    "saml": SamlGiven,
    "oidc": OidcGiven,
    "websocket_tcp_converter": WebsocketTcpConverterGiven,
    "user_agent_filter": UserAgentFilterGiven,
    "traffic_policy": TrafficPolicyGiven,
}
"""What is written of each module."""


class _Shown(Answer):
    """What every module shows."""

    enabled: bool


class BackendShown(_Shown):
    """Who serves."""

    backend: Ref


class IpRestrictionShown(_Shown):
    """From where one may come."""

    ip_policies: list[Ref]


class TrafficPolicyShown(_Shown):
    """Rules of a Traffic Policy."""

    value: str


class MutualTlsShown(_Shown):
    """Whose certificates visitors must show."""

    certificate_authorities: list[Ref]


class TlsTerminationShown(_Shown):
    """Where TLS ends, and from which version on it is spoken; of an HTTPS edge ``terminate_at`` is null."""

    terminate_at: str | None
    min_version: str | None


class HeadersShown(_Shown):
    """Headers that are added and removed."""

    add: dict[str, str]
    remove: list[str]


class CompressionShown(_Shown):
    """Compression of answers."""


class WebsocketTcpConverterShown(_Shown):
    """WebSockets whose upstream speaks TCP."""


class CircuitBreakerShown(_Shown):
    """When to spare an upstream that fails."""

    tripped_duration: int
    rolling_window: int
    num_buckets: int
    volume_threshold: int
    error_threshold_percentage: float


class WebhookVerificationShown(_Shown):
    """Whose webhooks are let in."""

    provider: str
    secret: str


class UserAgentFilterShown(_Shown):
    """Which programs are let in."""

    allow: list[str]
    deny: list[str]


class ProviderShown(Answer):
    """An application at an OAuth provider, and who may come in."""

    client_id: str | None
    client_secret: str | None
    scopes: list[str]
    email_addresses: list[str]
    email_domains: list[str]


class GithubShown(ProviderShown):
    """An application at GitHub."""

    teams: list[str]
    organizations: list[str]


class GoogleShown(ProviderShown):
    """An application at Google."""

    groups: list[str]


class ProvidersShown(Answer):
    """One of the OAuth providers; the others are null."""

    github: GithubShown | None
    facebook: ProviderShown | None
    microsoft: ProviderShown | None
    google: GoogleShown | None
    linkedin: ProviderShown | None
    gitlab: ProviderShown | None
    twitch: ProviderShown | None
    amazon: ProviderShown | None


class _SessionShown(_Shown):
    """What the login modules have in common."""

    options_passthrough: bool
    cookie_prefix: str
    inactivity_timeout: int
    maximum_duration: int


class OauthShown(_SessionShown):
    """Login at an OAuth provider."""

    provider: ProvidersShown
    auth_check_interval: int


class OidcShown(_SessionShown):
    """Login at an OpenID provider."""

    issuer: str
    client_id: str
    client_secret: str
    scopes: list[str]


class SamlShown(_SessionShown):
    """Login at a SAML provider; never shown, because it is refused."""

    idp_metadata: str
    force_authn: bool
    allow_idp_initiated: bool
    authorized_groups: list[str]
    nameid_format: str
    entity_id: str
    assertion_consumer_service_url: str
    single_logout_url: str
    request_signing_certificate_pem: str
    metadata_url: str


SHOWN: Final[Mapping[str, type[_Shown]]] = {
    "backend": BackendShown,
    "ip_restriction": IpRestrictionShown,
    "mutual_tls": MutualTlsShown,
    "tls_termination": TlsTerminationShown,
    "circuit_breaker": CircuitBreakerShown,
    "compression": CompressionShown,
    "request_headers": HeadersShown,
    "response_headers": HeadersShown,
    "webhook_verification": WebhookVerificationShown,
    "oauth": OauthShown,
    "saml": SamlShown,
    "oidc": OidcShown,
    "websocket_tcp_converter": WebsocketTcpConverterShown,
    "user_agent_filter": UserAgentFilterShown,
    "traffic_policy": TrafficPolicyShown,
}
"""How each module is shown."""

Kept = Mapping[str, Any]
"""A module as it is kept."""

_DEFAULTS: Final[Mapping[str, Kept]] = {
    "circuit_breaker": {
        "tripped_duration": 10,
        "rolling_window": 10,
        "num_buckets": 10,
        "volume_threshold": 10,
        "error_threshold_percentage": 0.5,
    },
    "oauth": {"cookie_prefix": "ngrok."},
    "oidc": {"cookie_prefix": "ngrok."},
    "saml": {"cookie_prefix": "ngrok."},
}
"""What is shown of a field that was not given, where it is not simply empty."""


F = TypeVar("F", bound=Callable[..., object])


def takes(model: object) -> Callable[[F], F]:
    """Have a route take this model as ``given``: for routes that are made for several kinds of thing."""

    def mark(function: F) -> F:
        function.__annotations__["given"] = model
        return function

    return mark


def kept(given: BaseModel) -> dict[str, Any]:
    """Return a module as it is kept: what was given, ``enabled`` always."""
    made = given.model_dump(exclude_none=True)
    return {**made, "enabled": made.get("enabled", True)}


def show(api_url: str, name: str, module: Kept, model: type[BaseModel]) -> BaseModel:
    """Show a module."""
    told: dict[str, Any] = {**module, **_references(api_url, module)}
    for field, default in _DEFAULTS.get(name, {}).items():
        told[field] = told.get(field) or default
    return _filled(model, told)


def _references(api_url: str, module: Kept) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if "backend_id" in module:
        told["backend"] = backend_ref(api_url, str(module["backend_id"]))
    for field, shown, noun in (
        ("ip_policy_ids", "ip_policies", "ip_policies"),
        ("certificate_authority_ids", "certificate_authorities", "certificate_authorities"),
    ):
        if field in module:
            told[shown] = [Ref(id=each, uri=f"{api_url}/{noun}/{each}") for each in module[field]]
    return told


def backend_ref(api_url: str, backend_id: str) -> Ref:
    """Return the reference to a backend: its identifier tells its kind."""
    kind = _NOUNS.get(backend_id.partition("_")[0], "")
    return Ref(id=backend_id, uri=f"{api_url}/backends/{kind}/{backend_id}")


def _filled(model: type[BaseModel], told: Mapping[str, Any]) -> BaseModel:
    """Make an answer in which every field stands: empty where nothing was given."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        value, kind = told.get(name), field.annotation
        inner = _inner(kind)
        if inner is not None and isinstance(value, Mapping):
            value = _filled(inner, cast("Kept", value))
        elif value is None:
            value = _empty(kind)
        values[name] = value
    return model(**values)


def _inner(kind: Any) -> type[BaseModel] | None:
    for each in (kind, *getattr(kind, "__args__", ())):
        if isinstance(each, type) and issubclass(each, BaseModel) and not issubclass(each, Ref):
            return each
    return None


def _empty(kind: Any) -> Any:
    """Return what an unset field of a type shows."""
    if type(None) in getattr(kind, "__args__", ()):
        return None
    origin = getattr(kind, "__origin__", kind)
    return origin()
