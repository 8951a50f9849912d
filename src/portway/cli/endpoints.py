"""From flags to an endpoint's description, and from that to an endpoint that is online."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import click

from portway.cli.fetch import fetched
from portway.errors import ConfigError, Error

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.config.model import EndpointConfig
    from portway.agent.forwarder import EndpointForwarder
    from portway.agent.termination import TLSTermination

POLICY_LIMIT: Final = 262_144
"""Bytes of a traffic policy that is read from a file or fetched."""
FETCH_TIMEOUT: Final = 10.0
"""Seconds that a traffic policy may take to be fetched."""
COMMAND_LINE: Final = "command_line"
"""Name of an endpoint that was given none."""


def from_flags(
    proto: Literal["http", "tcp", "tls"], flags: Mapping[str, Any]
) -> "tuple[EndpointConfig, ...]":
    """Return the endpoints that a command line describes: one, or two for two schemes.

    Raises ConfigError and Error for flags that make no sense together.
    """
    from portway.agent.config.version2 import endpoints_of

    _one_name(flags)
    said = {
        **{name: flags.get(name) for name in _SAME},
        "addr": flags["address"],
        "schemes": _schemes(flags.get("scheme") or ()),
        "ip_restriction": {
            "allow_cidrs": flags.get("cidr_allow") or (),
            "deny_cidrs": flags.get("cidr_deny") or (),
        },
        "oauth": _login(flags, "oauth", "provider"),
        "oidc": _login(flags, "oidc", "issuer"),
        "request_header": {
            "add": flags.get("request_header_add"),
            "remove": flags.get("request_header_remove"),
        },
        "response_header": {
            "add": flags.get("response_header_add"),
            "remove": flags.get("response_header_remove"),
        },
        "user_agent_filter": {"allow": flags.get("ua_filter_allow"), "deny": flags.get("ua_filter_deny")},
        "verify_webhook": {
            "provider": flags.get("verify_webhook"),
            "secret": flags.get("verify_webhook_secret"),
        },
    }
    return tuple(endpoints_of(str(flags.get("name") or ""), proto, said))


_SAME: Final = (
    "url", "description", "metadata", "binding", "pooling_enabled", "inspect", "traffic_policy_file",
    "policy_file", "traffic_policy_url", "upstream_proxy_protocol", "proxy_proto", "upstream_protocol",
    "app_protocol", "upstream_tls_verify", "upstream_tls_verify_cas", "domain", "hostname", "subdomain",
    "remote_addr", "basic_auth", "circuit_breaker", "compression", "host_header", "mutual_tls_cas",
    "websocket_tcp_converter", "crt", "key", "terminate_at",
)  # fmt: skip
"""Flags whose name is that of the option in a file."""


def _one_name(flags: Mapping[str, Any]) -> None:
    given = [name for name in ("domain", "hostname", "subdomain") if flags.get(name)]
    if len(given) > 1:
        raise Error(f"only one of --{' and --'.join(given)} may be given", 9021)
    for name in (*given, *(("remote_addr",) if flags.get("remote_addr") else ())):
        if flags.get("url"):
            raise click.UsageError(
                f"--{name.replace('_', '-')} and --url name the same thing; give --url alone"
            )
    if flags.get("traffic_policy_url") and (flags.get("traffic_policy_file") or flags.get("policy_file")):
        raise click.UsageError("--traffic-policy-file and --traffic-policy-url: give one of the two")


def _schemes(given: "tuple[str, ...]") -> list[str]:
    found = [each.strip().lower() for value in given for each in value.split(",") if each.strip()]
    for scheme in found:
        if scheme not in ("http", "https"):
            raise ConfigError(f"--scheme {scheme}: use http, https or both")
    return found


def _login(flags: Mapping[str, Any], family: str, whom: str) -> dict[str, Any]:
    names = {"client_id": "client_id", "client_secret": "client_secret", "scopes": "scope"}
    lists = {"allow_domains": "allow_domain", "allow_emails": "allow_email"}
    said = {name: flags.get(f"{family}_{flag}") for name, flag in (names | lists).items()}
    return {whom: flags.get(family), **said}


def check(endpoint: "EndpointConfig") -> None:
    """Find what is wrong with an endpoint before anything is connected: its upstream, files that it names.

    Raises ConfigError, and Error for a URL of a scheme that there is not.
    """
    from portway import Upstream
    from portway.agent.options import endpoint_options
    from portway.agent.upstream import resolve

    upstream = Upstream(
        endpoint.upstream, protocol=endpoint.upstream_protocol, proxy_protocol=endpoint.proxy_protocol or None
    )
    labels = endpoint.labels or None
    url, proto = ("", None) if labels else (endpoint.url, endpoint.proto)
    options = endpoint_options(url, proto=None if proto == "http" else proto, labels=labels)
    resolve(upstream, options.scheme)
    termination_of(endpoint)
    if endpoint.tls_verify_cas is not None:
        _upstream_tls(endpoint)
    if endpoint.traffic_policy_file is not None:
        _text_of(_read(endpoint.traffic_policy_file), str(endpoint.traffic_policy_file))


async def put_online(agent: "Agent", endpoint: "EndpointConfig") -> "EndpointForwarder":
    """Put one endpoint online. Raises what `Agent.forward` raises, and ConfigError for its policy."""
    from portway import Upstream

    upstream = Upstream(
        endpoint.upstream,
        protocol=endpoint.upstream_protocol,
        proxy_protocol=endpoint.proxy_protocol or None,
        tls_context=_upstream_tls(endpoint),
    )
    if endpoint.labels:
        ends = termination_of(endpoint)
        return await agent.forward(
            upstream, labels=endpoint.labels, metadata=endpoint.metadata, agent_tls_termination=ends
        )
    return await agent.forward(
        upstream,
        url=endpoint.url,
        proto=None if endpoint.proto == "http" else endpoint.proto,
        name=endpoint.name,
        description=endpoint.description,
        metadata=endpoint.metadata,
        bindings=endpoint.bindings,
        pooling_enabled=endpoint.pooling_enabled,
        traffic_policy=await policy_of(endpoint),
        agent_tls_termination=termination_of(endpoint),
        modules=endpoint.modules,
    )


def _upstream_tls(endpoint: "EndpointConfig") -> ssl.SSLContext:
    """Verification is off unless asked for: the upstream is the user's own machine."""
    if endpoint.tls_verify or endpoint.tls_verify_cas:
        cas = endpoint.tls_verify_cas
        try:
            return ssl.create_default_context(cafile=str(cas) if cas else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{cas}: these CA certificates cannot be used: {error}") from error
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def termination_of(endpoint: "EndpointConfig") -> "TLSTermination | None":
    """Return how this agent ends visitors' TLS, None where it does not. Raises ConfigError."""
    ends = endpoint.termination
    if ends is None:
        return None
    from portway.agent.config.modules import read_pem
    from portway.agent.termination import TLSTermination

    authorities = b"\n".join(read_pem(each) for each in ends.authorities)
    return TLSTermination(read_pem(ends.certificate), read_pem(ends.key), authorities or None)


async def policy_of(endpoint: "EndpointConfig") -> str:
    """Return the text of an endpoint's policy, from a file or an address where one is named.

    Raises ConfigError when it cannot be had, is too large or no text.
    """
    if endpoint.traffic_policy_file is not None:
        return _text_of(_read(endpoint.traffic_policy_file), str(endpoint.traffic_policy_file))
    if endpoint.traffic_policy_url:
        return await _fetch(endpoint.traffic_policy_url)
    return endpoint.traffic_policy


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(POLICY_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"traffic policy {path}: cannot be read: {error.strerror}") from error


async def _fetch(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"traffic policy {url}: an http:// or https:// URL is wanted")
    try:
        data = await fetched(url, POLICY_LIMIT, FETCH_TIMEOUT)
    except (OSError, ValueError) as error:
        raise ConfigError(f"traffic policy {url}: cannot be fetched: {error}") from error
    return _text_of(data, url)


def _text_of(data: bytes, source: str) -> str:
    if len(data) > POLICY_LIMIT:
        raise ConfigError(f"traffic policy {source}: larger than {POLICY_LIMIT} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"traffic policy {source}: not UTF-8 at byte {error.start}") from error
