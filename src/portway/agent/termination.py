"""TLS that the agent ends: the service passes it through, and never sees a plain byte.

On a tls or a tcp endpoint with ``agent_tls_termination`` each visitor shakes hands with this agent. Only then
is the connection delivered to a listener or the upstream dialled, so whoever fails the handshake (without a
certificate, where one is demanded) costs the application nothing. A PROXY header comes in clear, ahead of
the handshake, and is delivered ahead of the plain bytes.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from portway.agent.checks import require
from portway.agent.labels import LABELED
from portway.agent.preface import Preface
from portway.errors import ConfigError, ConnectError
from portway.net.tls import TlsPump, service_context
from portway.net.tls_filter import TlsFilter
from portway.pipe import Pipe, Sink
from portway.wire.messages import ProxyHeader

HANDSHAKE_TIMEOUT = 60.0
"""Seconds that a visitor's TLS handshake with an agent may take."""

Pem = str | bytes | Path
"""A PEM file's path, or PEM text itself."""

_RAW = frozenset({"tcp", "tls", LABELED})
"""Endpoints whose bytes are the visitor's own, or may be."""


@dataclass(frozen=True, slots=True)
class TLSTermination:
    """How an agent ends visitors' TLS.

    ``certificate`` is a chain, leaf first. With ``client_cas`` visitors must show a certificate that one
    of these authorities has signed. Each is the path of a PEM file, or PEM itself.
    """

    certificate: Pem
    private_key: Pem = field(repr=False)
    client_cas: Pem | None = None

    def context(self) -> ssl.SSLContext:
        """Make the TLS context. Raises `ConfigError` for what cannot be read or used."""
        context = service_context(read_pem(self.certificate), read_pem(self.private_key))
        if self.client_cas is not None:
            try:
                context.load_verify_locations(cadata=read_pem(self.client_cas).decode("ascii", "ignore"))
            except (ssl.SSLError, ValueError) as error:
                raise ConfigError(f"cannot use the certificate authorities of visitors: {error}") from error
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        return context


def read_pem(source: Pem) -> bytes:
    """Return PEM text, from a file where it is a path. Raises `ConfigError`."""
    require(source, str | bytes | Path, "a certificate or key")
    if isinstance(source, bytes):
        return source
    if isinstance(source, str) and "-----BEGIN" in source:
        return source.encode()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {source}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"cannot read {source!r}: {error}") from error


def read_termination(value: ssl.SSLContext | TLSTermination | None, scheme: str) -> ssl.SSLContext | None:
    """Return the context with which visitors' TLS is ended on an endpoint of this scheme.

    Raises `ConfigError` for a client's context, for files that cannot be used, and on http and https
    endpoints, whose bytes are no TLS any more when they come to the agent.
    """
    if value is None:
        return None
    if scheme not in _RAW:
        raise ConfigError(f"agent_tls_termination: {scheme} endpoints have none; use a tls:// URL")
    if isinstance(value, TLSTermination):
        return value.context()
    if not isinstance(value, ssl.SSLContext):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"agent_tls_termination must be an ssl.SSLContext or a TLSTermination, not {value!r}"
        )
    if value.protocol is ssl.PROTOCOL_TLS_CLIENT:
        raise ConfigError("agent_tls_termination needs a server's context, ssl.PROTOCOL_TLS_SERVER")
    return value


def terminate(
    context: ssl.SSLContext,
    header: ProxyHeader,
    pipe: Pipe,
    take: Callable[[ProxyHeader, Pipe], Sink | None],
    *,
    preceded: bool,
    on_failed: Callable[[ConnectError], None],
) -> Sink:
    """End the TLS of one visitor; return the Sink of its stream.

    ``take`` is called with the plain Pipe when the handshake is complete. ``preceded``: a PROXY header
    comes first. ``on_failed`` hears why there was no handshake.
    """
    plain = msgspec.structs.replace(header, passthrough_tls=False)
    ended = TlsFilter(
        pipe,
        TlsPump(context, server_side=True),
        lambda tls: take(plain, tls),
        timeout=HANDSHAKE_TIMEOUT,
        on_failed=on_failed,
    )
    return Preface(pipe, ended, ended.precede) if preceded else ended
