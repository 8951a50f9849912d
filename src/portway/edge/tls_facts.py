"""What is known of a visitor's TLS: for policies, events and the upstream.

A hello is known before it is decided whose TLS it is; what was agreed on is known after the handshake,
and of TLS that is passed through, never.

Upstreams of mutual TLS learn who visits from four header fields, ``ngrok-mtls-…``. They are written for
certificates that were verified, and for no others: what anybody may claim must not look like proof.
"""

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from portway.codec.cipher_suites import registered_name

if TYPE_CHECKING:
    from portway.codec.client_hello import ClientHello
    from portway.edge.policy_connect import Gate
    from portway.edge.ports import CertificatePem
    from portway.edge.tls_settings import TlsSettings
    from portway.net.tls import Agreed

VERSIONS: Final = {0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}
"""What is on the wire, as policies have it."""

_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class Identity(NamedTuple):
    """Who a visitor's certificate says it is: texts, "" for what it does not say; lists with commas."""

    subject_cn: str = ""
    subject_alt_name_dns: str = ""
    email_addresses: str = ""
    serial_number: str = ""


class TlsFacts:
    """One visitor's TLS. ``hello`` is None on a TCP endpoint, where nobody needs to read it."""

    __slots__ = ("_identity", "_ja4", "agreed", "gate", "hello", "settings", "shown")

    def __init__(
        self,
        hello: "ClientHello | None",
        settings: "TlsSettings | None" = None,
        shown: "CertificatePem | None" = None,
    ) -> None:
        """Know what was asked for, how TLS is ended (None: not here), and with which certificate.

        ``shown`` is None where the settings have their own.
        """
        self.hello = hello
        self.settings = settings
        self.shown = shown
        self.agreed: Agreed | None = None
        self.gate: Gate | None = None
        """What a policy decided of the connection, where one was asked before the handshake."""
        self._ja4: str | None = None
        self._identity: Identity | None = None

    def __repr__(self) -> str:
        """Show the name and what was agreed on."""
        return f"<TlsFacts {self.sni or '-'} {self.version or '-'} {self.cipher_suite or '-'}>"

    @property
    def sni(self) -> str:
        """The name that was asked for, or ""."""
        return (self.hello.sni or "") if self.hello is not None else ""

    @property
    def version(self) -> str:
        """``1.2`` or ``1.3``; of TLS that is passed through, the highest that the visitor offers."""
        if self.agreed is not None:
            return self.agreed.version.removeprefix("TLSv")
        return VERSIONS.get(self.hello.version, "") if self.hello is not None else ""

    @property
    def cipher_suite(self) -> str:
        """IANA's name of the suite, or ""."""
        return registered_name(self.agreed.cipher) if self.agreed is not None else ""

    @property
    def alpn(self) -> str:
        """The protocol that was agreed on, or ""."""
        return self.agreed.alpn if self.agreed is not None else ""

    @property
    def ja4(self) -> str:
        """The fingerprint of the hello, or "" where it was not read."""
        if self._ja4 is None:
            self._ja4 = self.hello.ja4 if self.hello is not None else ""
        return self._ja4

    @property
    def verified(self) -> bool:
        """The visitor has shown a certificate that an authority of the endpoint has signed."""
        settings = self.settings
        return bool(settings and settings.authorities and not settings.lax and self.peer_certificate)

    @property
    def identity(self) -> Identity:
        """Who the visitor's certificate says it is, verified or not; all "" without one."""
        if self._identity is None:
            self._identity = _identity(self.peer_certificate) if self.peer_certificate else Identity()
        return self._identity

    @property
    def server_chain(self) -> bytes:
        """The certificates that were shown to the visitor, PEM; b"" where TLS is not ended here."""
        if self.settings is not None and self.settings.chain:
            return self.settings.chain
        return self.shown.chain if self.shown is not None else b""

    @property
    def peer_certificate(self) -> bytes:
        """The visitor's certificate, DER; b"" if it showed none."""
        return self.agreed.peer_certificate if self.agreed is not None else b""


def mtls_fields(facts: TlsFacts) -> list[bytes]:
    """Return the header lines that tell the upstream who visits; none without a verified certificate."""
    if not facts.verified:
        return []
    return [
        f"ngrok-mtls-{name.replace('_', '-')}: {quote(value, safe=_PRINTABLE).strip()}".encode()
        for name, value in facts.identity._asdict().items()
        if value.strip()
    ]


def _identity(der: bytes) -> Identity:
    from cryptography import x509  # big, and rarely needed

    from portway.policy.certificate import unreadable  # likewise

    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        try:
            other = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            other = x509.SubjectAlternativeName([])
        return Identity(
            str(names[0].value) if names else "",
            ",".join(other.get_values_for_type(x509.DNSName)),
            ",".join(other.get_values_for_type(x509.RFC822Name)),
            f"{certificate.serial_number:x}",
        )
    except unreadable():  # OpenSSL could read it; what cannot be told is left out
        return Identity()
