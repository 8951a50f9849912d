"""Which service an agent connects to, and as whom.

The address, the authtoken and the certificate authorities are each the first that is found of: the
agent's option; the environment (``PORTWAY_CONNECT_URL``, ``PORTWAY_AUTHTOKEN`` and then
``NGROK_AUTHTOKEN``, ``PORTWAY_CONNECT_CAS``); ``bootstrap.json``, which a service of the same user
leaves in its data folder. Everything is read at the time of connecting; an empty variable counts as
unset. portway contacts no host that is not named in one of these places.

The way there may lead through a proxy: the option, ``PORTWAY_PROXY_URL``, or ``http_proxy`` as other programs
read it. That last one is for the world: a service on this machine, or one that ``no_proxy`` names, is not
looked for through it. As an option, "" means no proxy, whatever the environment says.

What `bootstrap.json` says of the authtoken and the authorities belongs to the service that wrote it:
they are used only when the address is that service's, so that they never reach another host.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import cast

from portway.agent.options import AgentOptions
from portway.agent.url import join_host_port, split_host_port
from portway.errors import ConfigError
from portway.net.no_proxy import bypasses
from portway.net.proxy_url import Proxy, parse_proxy_url

CONNECT_PORT = 443
"""The port of a connect URL that names none."""

SYSTEM_CAS = "host"
"""In place of a file of authorities: those of this machine."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Service:
    """Where to connect and by what way, whom to trust and what to say. ``authtoken`` may be ""."""

    host: str
    port: int
    authtoken: str = field(repr=False)
    cas: str | bytes | Path | ssl.SSLContext | None = field(repr=False)
    proxy: Proxy | None = None
    server_name: str = ""

    @property
    def name(self) -> str:
        """Return whom the certificate must be for: the host, unless another name is given."""
        return self.server_name or self.host

    def __str__(self) -> str:
        """Return ``host:port``."""
        return join_host_port(self.host, self.port)


def discover(options: AgentOptions, environ: Mapping[str, str], bootstrap: Path, *, at: str = "") -> Service:
    """Return the service to connect to.

    ``at`` is another address of the same service: its certificate is still that of the one configured.

    Raises `ConfigError` when no address is known, or what is known cannot be read.
    """
    known = read_bootstrap(bootstrap)
    address = options.connect_url or environ.get("PORTWAY_CONNECT_URL") or known.get("connect_url") or at
    if not address:
        raise ConfigError(
            "no service to connect to: set PORTWAY_CONNECT_URL to its host:port (or say --connect-url, or"
            " connect_url=… in code)"
            f", or start one on this machine with `portway serve` (it would leave {bootstrap})"
        )
    host, port = _split(address)
    host = regional(host, options.region)
    own = "connect_url" in known and _same(_split(known["connect_url"]), (host, port))
    token = options.authtoken
    if token is None:
        token = token_from_env(environ) or (known.get("authtoken") if own else None)
    name = host if at else ""
    host, port = _split(at) if at else (host, port)
    cas = options.cas or environ.get("PORTWAY_CONNECT_CAS") or (known.get("ca_cert") if own else None)
    proxy = find_proxy(options, environ, host)
    return Service(host, port, (token or "").strip(), None if cas == SYSTEM_CAS else cas, proxy, name)


def regional(host: str, region: str) -> str:
    """Return the service's host in a region: ``connect.eu.example.com`` for ``connect.example.com``.

    Other hosts, an address or localhost, name one machine and stay.
    """
    return f"connect.{region}.{host[8:]}" if region and host.startswith("connect.") else host


def find_proxy(options: AgentOptions, environ: Mapping[str, str], host: str) -> Proxy | None:
    """Return the proxy through which `host` is reached, or None.

    Raises `ConfigError`, naming where the URL stands, when it cannot be read.
    """
    if options.proxy_url is not None:
        return parse_proxy_url(options.proxy_url, "the proxy URL") if options.proxy_url else None
    if said := environ.get("PORTWAY_PROXY_URL"):
        return parse_proxy_url(said, "the variable PORTWAY_PROXY_URL")
    if said := world_proxy(environ, host):
        return parse_proxy_url(said, "the variable http_proxy")
    return None


def world_proxy(environ: Mapping[str, str], host: str) -> str:
    """Return what ``http_proxy`` says; "" where nothing, or `host` is this machine or in ``no_proxy``."""
    own = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return "" if _is_loopback(host) or bypasses(own, host) else environ.get("http_proxy", "")


def _is_loopback(host: str) -> bool:
    """Say whether a host is this machine, as far as can be told without asking for its address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == "localhost" or name.endswith(".localhost")  # RFC 6761 section 6.3


def token_from_env(environ: Mapping[str, str]) -> str:
    """Return the authtoken of the environment alone, or ""."""
    return environ.get("PORTWAY_AUTHTOKEN") or environ.get("NGROK_AUTHTOKEN") or ""


def _split(address: str) -> tuple[str, int]:
    if "://" in address:
        raise ConfigError(f"the connect URL: {address.strip()!r} must be host:port, without a scheme")
    host, port = split_host_port(address.strip(), "the connect URL")
    return host, port or CONNECT_PORT


def _same(one: tuple[str, int], other: tuple[str, int]) -> bool:
    if one[0] in _LOOPBACK and other[0] in _LOOPBACK:
        return one[1] == other[1]
    return one == other


def read_bootstrap(path: Path) -> dict[str, str]:
    """Return the texts in ``bootstrap.json``; nothing when there is none."""
    try:
        loaded: object = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} cannot be read: it is no JSON object")
    items = cast("dict[str, object]", loaded).items()
    return {key: value for key, value in items if isinstance(value, str) and value}
