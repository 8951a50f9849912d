"""How the edge ends a visitor's TLS: what can be set, whether it can be done, and the context made of it.

:class:`TlsSettings` is what an endpoint says: by bind options (``edge/tls_options.py``) or by the action
``terminate-tls`` of a traffic policy. :func:`check` judges it once, when the endpoint is made, with the
codes that people get; :class:`Contexts` keeps the contexts that visitors are served with.

Who must show a certificate gets no tickets: in TLS 1.3 it is looked at anew in every connection. In TLS
1.2 a session may be resumed for two hours by whoever has shown it; the standard library cannot forbid that.
An authority may be an intermediate one: what it signed is good though its own issuer is not known here.
"""

import ssl
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from portway.errors import ConfigError, Error
from portway.net.tls import service_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portway.edge.ports import CertificatePem
    from portway.net.tls import Context

    _Key = tuple["TlsSettings", CertificatePem | None, tuple[str, ...]]

Version = Literal["1.2", "1.3"]
Strategy = Literal["require-and-verify", "require-any", "request"]

AUTHORITIES: Final = 100
"""Authorities of one endpoint; more are ERR_NGROK_1675."""
AUTHORITY_BYTES: Final = 262_144
"""All of them together, as PEM; more is ERR_NGROK_1614."""
CERTIFICATE_BYTES: Final = 262_144
"""A certificate chain with its key, likewise ERR_NGROK_14001: no TLS peer takes a longer one."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to end TLS. All of it as it stands: the certificate of the name, TLS 1.2 and 1.3, no client's."""

    min_version: Version = "1.2"
    max_version: Version = "1.3"
    chain: bytes = b""
    """Certificates to show, PEM, leaf first; b"": those that the service has for the name."""
    key: bytes = field(default=b"", repr=False)
    authorities: bytes = b""
    """Who signs clients' certificates: PEM, concatenated; b"": nobody."""
    strategy: Strategy = "require-and-verify"
    """What is asked of them: one that is verified, any one, or one if they have one."""

    @property
    def mutual(self) -> bool:
        """Visitors are asked for a certificate."""
        return bool(self.authorities) or self.strategy != "require-and-verify"

    @property
    def lax(self) -> bool:
        """Visitors' certificates are not judged."""
        return self.strategy != "require-and-verify"


PLAIN: Final = TlsSettings()
"""Nothing special."""


def check(settings: TlsSettings) -> None:
    """Refuse settings with which no visitor could be served. Takes a few milliseconds.

    Raises Error 14001 (certificate or key), 2240 (one of them without the other), 1614, 1675 (too much),
    1695 (no PEM), 14002 (broken) or 1696 (no authority).
    """
    if bool(settings.chain) != bool(settings.key):
        raise Error("A certificate needs its private key, and a key its certificate.", 2240)
    if len(settings.chain) + len(settings.key) > CERTIFICATE_BYTES:
        raise Error(f"Certificate and key are longer than {CERTIFICATE_BYTES} bytes.", 14001)
    if settings.authorities:
        check_authorities(settings.authorities)
    if settings.chain:
        try:
            service_context(settings.chain, settings.key)
        except ConfigError as error:
            raise Error(f"The TLS certificate and key cannot be used: {error}", 14001) from error


def check_authorities(pem: bytes) -> None:
    """Refuse what are no certificates of authorities. Raises Error 1614, 1675, 1695, 1696 or 14002."""
    from cryptography import x509  # big, and few endpoints ask for mutual TLS

    if len(pem) > AUTHORITY_BYTES:
        raise Error(f"The mutual TLS authorities are longer than {AUTHORITY_BYTES} bytes.", 1614)
    count = pem.count(b"-----BEGIN CERTIFICATE-----")
    if not count:
        raise Error("The mutual TLS authorities hold no PEM certificate.", 1695)
    if count > AUTHORITIES:
        raise Error(f"More than {AUTHORITIES} mutual TLS authorities are given.", 1675)
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Error(f"A mutual TLS authority cannot be read: {error}", 14002) from error
    for each in found:
        try:
            is_authority = each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            is_authority = False
        except ValueError as error:
            raise Error(f"A mutual TLS authority cannot be read: {error}", 14002) from error
        if not is_authority:
            name = each.subject.rfc4514_string()
            raise Error(f"The certificate of {name!r} is not an authority's: it needs cA=true.", 1696)


def make_context(
    settings: TlsSettings, managed: "CertificatePem | None" = None, alpn: "Sequence[str]" = ()
) -> "Context":
    """Make a context. ``managed`` is the service's certificate of the name, to show if settings have none.

    ``alpn`` are the protocols to agree on, best first; empty: none. Raises ConfigError.
    """
    if settings.chain:
        chain, key = settings.chain, settings.key
    else:
        assert managed is not None
        chain, key = managed.chain, managed.key
    if settings.lax:
        return _lax(settings, chain, key, alpn)
    context = service_context(chain, key, alpn=alpn)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.maximum_version = _VERSIONS[settings.max_version]
    if settings.authorities:
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        try:
            context.load_verify_locations(cadata=settings.authorities.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(f"cannot use the mutual TLS authorities: {error}") from error
    return context


def _lax(settings: TlsSettings, chain: bytes, key: bytes, alpn: "Sequence[str]") -> "Context":
    from OpenSSL import SSL  # loaded by who asks for it alone

    from portway.edge.lax_tls import LaxContext  # likewise

    try:
        return LaxContext(
            chain,
            key,
            required=settings.strategy == "require-any",
            versions=(settings.min_version, settings.max_version),
            authorities=settings.authorities,
            alpn=alpn,
        )
    except (SSL.Error, ValueError, TypeError) as error:
        raise ConfigError(f"cannot use the certificate: {error}") from error


class Contexts:
    """Contexts by settings, certificate and protocols; those not used for longest are forgotten."""

    def __init__(self, limit: int) -> None:
        """Keep so many."""
        self._limit = limit
        self._made: OrderedDict[_Key, Context] = OrderedDict()

    def __len__(self) -> int:
        """Count them."""
        return len(self._made)

    def get(
        self, settings: TlsSettings, managed: "CertificatePem | None" = None, alpn: tuple[str, ...] = ()
    ) -> "Context":
        """Return the context that `make_context` makes of this, made if need be (1 ms)."""
        key = (settings, None if settings.chain else managed, alpn)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = make_context(*key)
            if len(self._made) > self._limit:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(key)
        return found
