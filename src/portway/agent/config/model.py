"""What configuration files and flags say, read: the agent's settings, and its endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Proto = Literal["http", "tcp", "tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of an agent. None: not said. Durations are seconds."""

    authtoken: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    connect_url: str | None = None
    connect_cas: str | None = None
    connect_interface: str | None = None
    connect_timeout: float | None = None
    console_ui: str | None = None
    console_ui_color: str | None = None
    crl_noverify: bool | None = None
    crl_url: str | None = None
    dns_resolver_ips: tuple[str, ...] | None = None
    heartbeat_interval: float | None = None
    heartbeat_tolerance: float | None = None
    inspect_db_size: int | None = None
    local_storage: bool | None = None
    log: str | None = None
    log_format: str | None = None
    log_level: str | None = None
    metadata: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    region: str | None = None
    remote_management: bool | None = None
    update_channel: str | None = None
    update_check: bool | None = None
    web_addr: str | None = None
    web_allow_hosts: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """Visitors' TLS ended by the agent: certificate and key, and whose client certificates are taken."""

    certificate: Path | bytes
    key: Path | bytes
    authorities: tuple[Path | bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """One endpoint as a file or a command line describes it."""

    name: str = ""
    proto: Proto = "http"
    upstream: str = ""
    url: str = ""
    """As it goes to the service; its scheme counts before ``proto``."""
    description: str = ""
    metadata: str = ""
    bindings: tuple[str, ...] = ()
    pooling_enabled: bool = False
    inspect: bool = True
    traffic_policy: str = ""
    """The document itself, JSON or YAML."""
    traffic_policy_file: Path | None = None
    traffic_policy_url: str = ""
    upstream_protocol: Literal["http1", "http2"] | None = None
    proxy_protocol: str = ""
    tls_verify: bool = False
    tls_verify_cas: Path | None = None
    modules: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    """Options of the bind that older agents have, spelled as on the wire."""
    termination: Termination | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """By which an edge finds it; then the edge has the URL and all else that visitors meet."""
    place: str = ""
    """Where it stands in a file, for messages."""

    @property
    def scheme(self) -> str:
        """Return the scheme of the endpoint's URL."""
        if "://" in self.url:
            return self.url.partition("://")[0].lower()
        return "https" if self.proto == "http" else self.proto


@dataclass(frozen=True, slots=True)
class Config:
    """All that the files say together."""

    version: int
    settings: Settings
    endpoints: Mapping[str, tuple[EndpointConfig, ...]]
    """By name; a tunnel of version 2 with two schemes is two endpoints of one name."""
    files: tuple[Path, ...] = ()
