"""What an agent and an endpoint are told, and how that is said to the service.

Values are checked here only as far as no service could accept them; lengths and rights are the
service's to judge, so that its codes reach the caller.
"""

import logging
import os
import platform
import re
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

import msgspec

from portway.agent.checks import (
    Duration,
    expect,
    expect_call,
    expect_mapping,
    expect_text,
    limit,
    listed,
    require,
)
from portway.agent.dialer import Dialer
from portway.agent.events import EventHandler
from portway.agent.labels import LABELED, Labels, read_labels, refuse_beside_labels
from portway.agent.resume import Resumption
from portway.agent.rpc import METHODS, RPCHandler, RPCMethod
from portway.agent.termination import TLSTermination, read_termination
from portway.agent.upstream import ProxyProtocol
from portway.agent.version import PRODUCT, own_version
from portway.errors import ConfigError, Error, LocalProtocolError
from portway.wire.messages import NO_CALLBACK, SECOND, Auth, AuthExtra, Bind, BindExtra, BindLabels, new_opts

HEARTBEAT_INTERVAL = 10.0
"""Seconds between two heartbeats, unless said otherwise."""
HEARTBEAT_TOLERANCE = 15.0
"""Seconds that the answer to a heartbeat may take, unless said otherwise."""
TRUSTED = "trusted"
"""As ``connect_cas``, in code and in files: the authorities that hold when nothing is said."""

Binding = Literal["public", "internal", "kubernetes"]
Proto = Literal["http", "https", "tcp", "tls", "labeled"]
PROTOS = ("http", "https", "tcp", "tls")
TLSConfig: TypeAlias = Callable[[ssl.SSLContext], ssl.SSLContext | None]
"""Changes the TLS settings towards the service, or returns others."""

_NOT_TOKEN = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
_SYSTEMS = {"win32": "windows", "cygwin": "windows"}
_MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i686": "386",
    "armv7l": "arm",
    "armv6l": "arm",
}


class ClientInfo:
    """A program that uses the agent: its product name, its version and comments on it.

    Characters that a product token cannot hold are replaced in ``type`` and ``version``; comments
    go as they are, and the service refuses ill-formed ones (ERR_NGROK_124).
    """

    __slots__ = ("comments", "type", "version")

    def __init__(self, type: str, version: str = "", *comments: str) -> None:  # noqa: A002 - as in ngrok-go
        """Keep the three parts. Raises `ConfigError` for what is no text."""
        for part in (type, version, *comments):
            expect_text(part, "a part of ClientInfo")
        self.type = type
        self.version = version
        self.comments = comments

    def __repr__(self) -> str:
        """Show the parts."""
        return f"ClientInfo({', '.join(map(repr, (self.type, self.version, *self.comments)))})"

    def __str__(self) -> str:
        """Return ``type/version (comment; comment)``."""
        product = _token(self.type)
        if self.version:
            product += f"/{_token(self.version)}"
        return f"{product} ({'; '.join(self.comments)})" if self.comments else product


def read_infos(given: ClientInfo | Sequence[ClientInfo]) -> tuple[ClientInfo, ...]:
    """Return one program or several as several. Raises `ConfigError`."""
    return listed((given,) if isinstance(given, ClientInfo) else given, ClientInfo, "client_info")


def _token(text: str) -> str:
    return _NOT_TOKEN.sub("#", text.replace("/", "-"))


def seconds(value: Duration, default: float, what: str) -> float:
    """Return a duration in seconds; 0 means the default. Raises `ConfigError`, naming ``what``."""
    require(value, int | float | timedelta, what)
    number = limit(value, what)
    if number is None or not 0 <= number <= 86_400:
        raise ConfigError(
            f"{what} is {'endless' if number is None else f'{number:g} s'}: it must lie between 0 and a day"
        )
    return number or default


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """Everything an `Agent` was told. None: not said, so that the environment may say it."""

    authtoken: str | None = field(default=None, repr=False)
    connect_url: str | None = None
    connect_cas: str | bytes | Path | ssl.SSLContext | None = None
    proxy_url: str | None = field(default=None, repr=False)
    metadata: str = ""
    description: str = ""
    heartbeat_interval: float = HEARTBEAT_INTERVAL
    heartbeat_tolerance: float = HEARTBEAT_TOLERANCE
    connect_timeout: float | None = None
    auto_connect: bool = True
    client_info: tuple[ClientInfo, ...] = ()
    rpc_handler: RPCHandler | None = field(default=None, repr=False)
    rpc_unsupported: Mapping[RPCMethod, str] = field(default_factory=dict[RPCMethod, str])
    resume: Resumption | None = None
    dialer: Dialer | None = field(default=None, repr=False)
    tls_config: TLSConfig | None = field(default=None, repr=False)
    multi_leg: bool = False
    region: str = ""

    @property
    def cas(self) -> str | bytes | Path | ssl.SSLContext | None:
        """Return the authorities that were asked for, None where none were: "trusted" asks for none."""
        return None if self.connect_cas == TRUSTED else self.connect_cas

    def __post_init__(self) -> None:
        """Check what has a wrong type. Raises `ConfigError`, naming it."""
        for name in ("authtoken", "connect_url", "proxy_url"):
            if getattr(self, name) is not None:
                expect_text(getattr(self, name), name)
        for name in ("metadata", "description", "region"):
            expect_text(getattr(self, name), name)
        expect(self.connect_cas, str | bytes | Path | ssl.SSLContext, "connect_cas")
        for name in ("auto_connect", "multi_leg"):
            require(getattr(self, name), bool, name)
        for method, why in self.rpc_unsupported.items():
            if method not in METHODS.values():
                raise ConfigError(f"rpc_unsupported: {method!r} is not one of {', '.join(METHODS.values())}")
            expect_text(why, "rpc_unsupported")
        expect(self.resume, Resumption, "resume")
        expect(self.dialer, Dialer, "dialer")
        expect_call(self.rpc_handler, "rpc_handler")
        expect_call(self.tls_config, "tls_config")

    def auth(self, authtoken: str, client_id: str = "", cookie: str = "", leg: int = 0) -> Auth:
        """Return the first request of a session; id and cookie are those of the one to resume.

        ``leg`` is the number among the sessions of an agent that has several.
        """
        products = (*self.client_info, ClientInfo(PRODUCT, own_version()))
        return Auth(
            client_id=client_id,
            extra=AuthExtra(
                os=_SYSTEMS.get(sys.platform, sys.platform),
                arch=_MACHINES.get(platform.machine().lower(), platform.machine().lower()),
                authtoken=authtoken,
                version=products[0].version,
                user_agent=" ".join(map(str, products)),
                metadata=self.metadata,
                description=self.description,
                cookie=cookie,
                heartbeat_interval=round(self.heartbeat_interval * SECOND),
                heartbeat_tolerance=round(self.heartbeat_tolerance * SECOND),
                update_unsupported_error=self._unsupported("UpdateAgent"),
                stop_unsupported_error=self._unsupported("StopAgent"),
                restart_unsupported_error=self._unsupported("RestartAgent"),
                custom_cas=self.cas is not None,
                client_type=products[0].type,
                leg_number=leg,
            ),
        )

    def _unsupported(self, method: RPCMethod) -> str:
        """Return why the service need not ask for this, "" if it may."""
        return NO_CALLBACK if self.rpc_handler is None else self.rpc_unsupported.get(method, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """Everything an endpoint was told. ``scheme`` is the URL's or stands for it; `LABELED` with labels."""

    url: str = ""
    scheme: str = "https"
    name: str = ""
    description: str = ""
    metadata: str = ""
    bindings: tuple[str, ...] = ()
    pooling_enabled: bool = False
    traffic_policy: str = ""
    proxy_protocol: ProxyProtocol | None = None
    agent_tls_termination: ssl.SSLContext | None = None
    modules: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    """Further options of the bind, spelled as on the wire: modules of older agents."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def bind(self, forwards_to: str, forwards_proto: str = "") -> Bind | BindLabels:
        """Return the request for a new endpoint."""
        if self.labels:
            return BindLabels(
                labels=dict(self.labels),
                forwards_to=forwards_to,
                forwards_proto=forwards_proto,
                metadata=self.metadata,
            )
        return Bind(
            proto=self.scheme,
            forwards_to=forwards_to,
            forwards_proto=forwards_proto,
            opts=new_opts(
                self.scheme,
                {
                    "URL": self.url,
                    "ProxyProto": {None: 0, ProxyProtocol.V1: 1, ProxyProtocol.V2: 2}[self.proxy_protocol],
                    "TrafficPolicy": self.traffic_policy,
                    **self.modules,
                },
            ),
            extra=BindExtra(
                name=self.name,
                description=self.description,
                metadata=self.metadata,
                bindings=self.bindings or None,
                pooling_enabled=self.pooling_enabled,
            ),
        )


def endpoint_options(
    url: str,
    *,
    proto: str | None = None,
    name: str = "",
    description: str = "",
    metadata: str = "",
    bindings: str | Sequence[str] = (),
    pooling_enabled: bool = False,
    traffic_policy: str = "",
    proxy_protocol: ProxyProtocol | None = None,
    agent_tls_termination: ssl.SSLContext | TLSTermination | None = None,
    modules: Mapping[str, object] | None = None,
    labels: Labels | None = None,
) -> EndpointOptions:
    """Read the options of an endpoint.

    ``url`` goes to the service as it is, and the service judges it; only its scheme is needed here.
    Without one it is ``proto``, or https. Raises `Error` 9036 for a scheme that no endpoint has.
    """
    given = (("url", url), ("name", name), ("description", description))
    for what, value in (*given, ("metadata", metadata), ("traffic_policy", traffic_policy)):
        expect_text(value, what)
    require(pooling_enabled, bool, "pooling_enabled")
    expect(proto, str, "proto")
    expect_mapping(modules, "modules")
    bindings = listed((bindings,) if isinstance(bindings, str) else bindings, str, "bindings")
    spec, labelled = str(url).strip(), read_labels(labels)
    if labelled or proto == LABELED:
        others = {"name": name, "description": description, "bindings": bindings, "modules": modules}
        policy = {"pooling_enabled": pooling_enabled, "traffic_policy": traffic_policy}
        refuse_beside_labels(labelled, proto, url=spec, proxy_protocol=proxy_protocol, **others, **policy)
        ended = read_termination(agent_tls_termination, LABELED)
        return EndpointOptions(
            scheme=LABELED, metadata=metadata, agent_tls_termination=ended, labels=labelled
        )
    scheme = spec.partition("://")[0].lower() if "://" in spec else (proto or "https").lower()
    if scheme not in PROTOS:
        raise Error(f"unsupported endpoint URL scheme: {scheme}", 9036)
    _check_modules(scheme, modules or {})
    if proto and "://" not in spec:
        spec = f"{scheme}://{spec}"
    elif proto and scheme != proto.lower():
        raise ConfigError(f"proto={proto!r} contradicts the URL {spec!r}")
    return EndpointOptions(
        url=spec,
        scheme=scheme,
        name=name,
        description=description,
        metadata=metadata,
        bindings=bindings,
        pooling_enabled=pooling_enabled,
        traffic_policy=traffic_policy,
        proxy_protocol=proxy_protocol,
        agent_tls_termination=read_termination(agent_tls_termination, scheme),
        modules=dict(modules or {}),
    )


def _check_modules(scheme: str, modules: Mapping[str, object]) -> None:
    """Refuse what cannot be said. Raises `ConfigError`."""
    try:
        msgspec.json.encode(new_opts(scheme, modules))
    except (LocalProtocolError, TypeError, ValueError) as error:
        raise ConfigError(f"modules: {error}") from error


class EndpointKeywords(TypedDict, total=False):
    """The keyword options of `Agent.forward`; its docstring says what they mean."""

    url: str
    proto: Proto | None
    name: str
    description: str
    metadata: str
    bindings: str | Sequence[str]
    pooling_enabled: bool
    traffic_policy: str
    agent_tls_termination: ssl.SSLContext | TLSTermination | None
    modules: Mapping[str, object] | None
    labels: Labels | None


class ListenKeywords(TypedDict, total=False):
    """The keyword options of `Agent.listen` beside the URL; its docstring says what they mean."""

    proto: Proto | None
    name: str
    description: str
    metadata: str
    bindings: str | Sequence[str]
    pooling_enabled: bool
    traffic_policy: str
    proxy_protocol: ProxyProtocol | str | int | None
    agent_tls_termination: ssl.SSLContext | TLSTermination | None
    modules: Mapping[str, object] | None
    labels: Labels | None


class UpdateKeywords(TypedDict, total=False):
    """What `Endpoint.update` can change; its docstring says more."""

    name: str | None
    description: str | None
    metadata: str | None
    traffic_policy: str | None
    pooling_enabled: bool | None
    timeout: Duration | None


class AgentKeywords(TypedDict, total=False):
    """The options of `Agent`; its docstring says what they mean."""

    authtoken: str | None
    connect_url: str | None
    connect_cas: str | bytes | Path | ssl.SSLContext | None
    proxy_url: str | None
    metadata: str
    description: str
    heartbeat_interval: Duration
    heartbeat_tolerance: Duration
    connect_timeout: Duration
    auto_connect: bool
    client_info: ClientInfo | Sequence[ClientInfo]
    event_handlers: Iterable[EventHandler]
    rpc_handler: RPCHandler | None
    rpc_unsupported: Mapping[RPCMethod, str]
    resume: Resumption | None
    logger: logging.Logger | None
    dialer: Dialer | None
    tls_config: TLSConfig | None
    multi_leg: bool
    region: str


def app_address() -> str:
    """Return what a listener says it forwards to: ``app://HOST/PROGRAM?pid=N``."""
    return f"app://{platform.node()}/{sys.argv[0] if sys.argv else ''}?pid={os.getpid()}"
