"""Where a forwarder sends its connections: the address forms and what they mean.

The same text means different things on different endpoints, so an `Upstream` keeps what it was
given and `resolve` reads it once the endpoint's scheme is known:

=====================  =============================  =========================
form                   on http and https endpoints    on tcp and tls endpoints
=====================  =============================  =========================
``8080``               ``http://localhost:8080``      ``tcp://localhost:8080``
``443``                ``https://localhost:443``      ``tcp://localhost:443``
``host``               ``http://host:80``             refused
``host:port``          ``http``; ``https`` for 443    ``tcp://host:port``
``scheme://``          default port on localhost      refused
``scheme://host``      default port of http, https    refused
``scheme://host:port`` as it is                       as it is
``unix:/path``         HTTP over that Unix socket     the bytes to that Unix socket
``file:///folder``     the files of that folder       refused
=====================  =============================  =========================

``https`` and ``tls`` wrap the bytes in TLS towards the upstream; the others are plain. For an endpoint with
labels URLs mean what they mean on http endpoints, and addresses without a scheme what they mean on tcp ones.
"""

import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from portway.agent.checks import expect, expect_text, require
from portway.agent.dialer import Dialer
from portway.agent.labels import LABELED
from portway.agent.url import DEFAULT_PORTS, URL, join_host_port, parse_port, split_host_port
from portway.errors import ConfigError, Error

SCHEMES = ("http", "https", "tcp", "tls")

Protocol = Literal["http1", "http2"]


class ProxyProtocol(StrEnum):
    """The version of the PROXY header that goes ahead of a visitor's bytes."""

    V1 = "v1"
    V2 = "v2"


def read_proxy_protocol(value: "ProxyProtocol | str | int | None") -> ProxyProtocol | None:
    """Read ``1``, ``"2"``, ``"v2"`` and the like; None, 0 and "" mean none. Raises `ConfigError`."""
    if value in (None, 0, "", "0"):
        return None
    text = str(value).lower()
    if text in ("1", "v1"):
        return ProxyProtocol.V1
    if text in ("2", "v2"):
        return ProxyProtocol.V2
    raise ConfigError(f"PROXY protocol {value!r} is unknown: use 1 or 2")


def read_protocol(value: str | None) -> str:
    """Return "http1", "http2" or "" (not said). Raises `Error` 15003 for what nobody knows."""
    if value in (None, "", "http1", "http2"):
        return value or ""
    raise Error(f"The upstream protocol {value!r} is invalid.", 15003)


@dataclass(frozen=True, slots=True)
class Spec:
    """What an `Upstream` was given, checked as far as it can be without an endpoint."""

    addr: str
    protocol: str
    proxy_protocol: ProxyProtocol | None
    tls_context: ssl.SSLContext | None
    verify: bool
    verify_cas: str | bytes | Path | None
    dialer: Dialer | None = None


class Upstream:
    """The service that a forwarder forwards to. Opaque; may be used for several forwarders."""

    __slots__ = ("_spec",)

    def __init__(
        self,
        addr: str | int,
        *,
        protocol: Protocol | None = None,
        proxy_protocol: ProxyProtocol | str | int | None = None,
        tls_context: ssl.SSLContext | None = None,
        verify: bool = True,
        verify_cas: str | bytes | Path | None = None,
        dialer: Dialer | None = None,
    ) -> None:
        """Keep the address and the options; no network activity.

        ``addr`` is a port, ``host:port`` or a URL (the table in `portway.agent.upstream`).
        ``protocol`` is what the upstream of an http or https endpoint speaks: "http1" (also for None) or
        "http2", with prior knowledge in clear and by ALPN over TLS: gRPC needs it.
        ``proxy_protocol`` (1 or 2) asks for a PROXY header ahead of every connection's bytes. For
        ``https`` and ``tls`` upstreams the certificate is verified against the system's roots or those
        in ``verify_cas`` (PEM file or bytes); ``verify=False`` turns that off; ``tls_context`` replaces
        all three. The server name is the upstream's host.
        Every connection is made by the ``dialer``, if one is given (`portway.agent.dialer`).

        Raises `ConfigError` for what is wrong whatever the endpoint, `Error` 15003 for an unknown
        protocol.
        """
        if isinstance(addr, bool) or not isinstance(addr, str | int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the upstream's address is {addr!r}: it must be a text or a port")
        _check_address(str(addr))
        expect(tls_context, ssl.SSLContext, "tls_context")
        if tls_context is not None and tls_context.protocol is ssl.PROTOCOL_TLS_SERVER:
            raise ConfigError("tls_context must be a client's context, ssl.PROTOCOL_TLS_CLIENT")
        require(verify, bool, "verify")
        expect(verify_cas, str | bytes | Path, "verify_cas")
        expect(dialer, Dialer, "dialer")
        self._spec = Spec(
            str(addr).strip(),
            read_protocol(protocol),
            read_proxy_protocol(proxy_protocol),
            tls_context,
            verify,
            verify_cas,
            dialer,
        )

    def __repr__(self) -> str:
        """Show the address as given."""
        return f"Upstream({self._spec.addr!r})"


@dataclass(frozen=True, slots=True)
class Target:
    """What an `Upstream` means on a given endpoint: where to dial, and whether with TLS."""

    scheme: str
    host: str
    port: int
    spec: Spec
    path: str = ""
    """Of a Unix socket; host and port mean nothing then."""
    folder: Path | None = None
    """Of the files that the agent serves itself; nothing is dialled then."""

    @property
    def url(self) -> URL:
        """Return the normalised URL; the port is always written."""
        if self.folder is not None:
            return URL(self.folder.as_uri())
        if self.path:
            return URL(f"unix:{self.path}")
        return URL(f"{self.scheme}://{join_host_port(self.host, self.port)}")

    @property
    def protocol(self) -> str:
        """Return what is spoken to the upstream: the scheme, unless the option says otherwise."""
        return self.scheme if self.spec.protocol in ("", "http1") else self.spec.protocol

    @property
    def http2(self) -> bool:
        """Whether the service speaks HTTP/2 through the stream, which this agent passes on unread."""
        return self.spec.protocol == "http2"

    @property
    def tls(self) -> bool:
        """Whether the bytes are wrapped in TLS towards the upstream."""
        return self.scheme in ("https", "tls")


def spec_of(upstream: Upstream) -> Spec:
    """Return what an upstream was given; for the agent only."""
    return upstream._spec  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - opaque to others only


def resolve(upstream: Upstream, endpoint_scheme: str) -> Target:
    """Return what ``upstream`` means on an endpoint of this scheme. Raises `ConfigError`."""
    spec = spec_of(upstream)
    http = endpoint_scheme in ("http", "https")
    if endpoint_scheme == LABELED:  # an edge may be of any kind
        http = "://" in spec.addr or spec.addr.lower().startswith("file:")
    if spec.addr.lower().startswith("file:"):
        return Target("file", "localhost", 0, spec, folder=_folder(spec, http))
    if spec.addr.startswith("unix:"):
        return Target("http" if http else "tcp", "localhost", 0, spec, _path(spec.addr))
    scheme, host, port = _url(spec.addr, http) if "://" in spec.addr else _bare(spec.addr, http)
    return Target(scheme, host, port, spec)


def _check_address(addr: str) -> None:
    """Refuse what stands for no upstream on any endpoint. Raises ConfigError."""
    expect_text(addr, "the upstream's address")
    if not addr.strip():
        raise ConfigError("the upstream's address is empty")
    if not addr.strip().isprintable():
        raise _wrong(addr, "it holds a control character")
    if addr.removeprefix("-").isdigit():
        parse_port(addr, "upstream")


def _folder(spec: Spec, http: bool) -> Path:
    """Return the folder of a file upstream. Raises ConfigError."""
    from portway.agent.files import folder_of  # only who serves files needs it

    if not http:
        raise _wrong(spec.addr, "files are served on http and https endpoints only")
    if spec.proxy_protocol is not None or spec.protocol == "http2":
        raise _wrong(spec.addr, "files need neither a PROXY header nor another protocol")
    return folder_of(spec.addr)


def _path(text: str) -> str:
    path = text.removeprefix("unix:")
    path = path.removeprefix("//")
    if not path.startswith("/") or "\0" in path:
        raise _wrong(text, "a Unix socket needs its absolute path, unix:/path")
    return path


def _bare(text: str, http: bool) -> tuple[str, str, int]:
    if text.isdigit():
        host, port = "localhost", parse_port(text, "upstream")
    else:
        host, given = split_host_port(text, "upstream")
        if given is None and not http:
            raise _wrong(text, "a TCP or TLS endpoint needs host:port")
        port = given or 80
    if not http:
        return "tcp", host, port
    return ("https" if port == 443 else "http"), host, port


def _url(text: str, http: bool) -> tuple[str, str, int]:
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise _wrong(text, f"scheme {scheme!r} is not one of {', '.join(SCHEMES)}")
    rest = rest.removesuffix("/")
    if any(c in rest for c in "/?#@"):
        raise _wrong(text, "no user, path or query may be given: the bytes are passed on as they are")
    host, port = split_host_port(rest, "upstream") if rest else ("localhost", None)
    if port is None and http and scheme in ("http", "https"):
        port = DEFAULT_PORTS[scheme]
    if port is None:
        raise _wrong(text, "a port is needed here, scheme://host:port")
    return scheme, host, port


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"upstream {text!r}: {why}")
