"""``terminate-tls``: how the TLS of a connection is ended here, and whether at all."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.phase import Phase
from portway.policy.verdict import Failed, Fetch, Verdict

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

WHAT: Final = "terminate-tls"
"""What the Fetch of this action is called. Its arguments are the fields of :class:`Settings`."""
VERSIONS: Final = ("1.2", "1.3")
STRATEGIES: Final = ("require-and-verify", "require-any", "request")
AUTHORITIES: Final = 10
PEM: Final = 65_536
"""Characters of a certificate chain or a key."""
_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----").search
_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+-----END [A-Z ]*PRIVATE KEY-----").search


@dataclass(frozen=True, slots=True)
class _TerminateTls:
    min_version: str
    max_version: str
    certificate: "Template | None"
    key: "Template | None"
    authorities: "tuple[Template | bytes, ...]"
    strategy: str

    def run(self, run: "Run") -> Verdict:
        """Ask for the handshake; the result is published when it is done.

        Raises ActionFailed where something was to be computed and is nothing: the policy's author wants
        another certificate than the service's, or wants visitors to show one, and must not get neither.
        """
        certificate = run.text(self.certificate).encode() if self.certificate else b""
        authorities = [
            each if isinstance(each, bytes) else run.text(each).encode() for each in self.authorities
        ]
        if self.certificate and not certificate:
            raise ActionFailed(14001, "The certificate of terminate-tls is empty.")
        if not all(each.strip() for each in authorities):
            raise ActionFailed(1695, "An authority of terminate-tls is empty.")
        return Fetch(
            WHAT,
            {
                "min_version": self.min_version,
                "max_version": self.max_version,
                "certificate": certificate,
                "key": run.text(self.key).encode() if self.key else b"",
                "authorities": b"\n".join(authorities),
                "strategy": self.strategy,
            },
        )

    def resume(self, run: "Run", result: object) -> Verdict | None:
        """Go on behind the handshake: what was agreed is in ``facts.connection.tls`` by then."""
        if isinstance(result, Failed):
            raise ActionFailed(result.code, result.message, result.status)
        tls = run.facts.connection.tls
        run.publish(
            "terminate_tls",
            {
                "cipher_suite": tls.cipher_suite if tls else "",
                "sni": tls.sni if tls else "",
                "version": tls.version if tls else "",
                "warnings": [],
                "error": {"code": "", "message": ""},
            },
        )
        return None


def _parse(config: "Fields", compiler: "Compiler") -> Action:
    low = config.choice("min_version", VERSIONS, "1.2")
    high = config.choice("max_version", VERSIONS, "1.3")
    if low > high:
        config.problem(2204, "min_version is above max_version", config.find("min_version"))
    certificate = _pem(config, "server_certificate", _CERTIFICATE, "certificate")
    key = _pem(config, "server_private_key", _KEY, "private key")
    if (certificate is None) != (key is None):
        config.problem(2240, "server_certificate and server_private_key go together")
    strategy = config.choice("mutual_tls_verification_strategy", STRATEGIES, STRATEGIES[0])
    authorities, wanted = _authorities(config, compiler), config.find("mutual_tls_verification_strategy")
    if wanted is not None and strategy == STRATEGIES[0] and not authorities:
        said = "needs mutual_tls_certificate_authorities: without any nobody is asked for a certificate"
        config.problem(2240, f"{strategy} {said}", wanted)
    return _TerminateTls(low, high, certificate, key, authorities, strategy)


def _pem(config: "Fields", name: str, pattern: object, what: str) -> "Template | None":
    node = config.find(name)
    if node is None:
        return None
    template = config.template(name, most=PEM)
    if template.is_constant and callable(pattern) and not pattern(template.literal):
        config.problem(2204, f"{name} holds no {what} in PEM", node)
    return template


def _authorities(config: "Fields", compiler: "Compiler") -> "tuple[Template | bytes, ...]":
    found: list[Template | bytes] = []
    name = "mutual_tls_certificate_authorities"
    least = int(config.find(name) is not None)  # none at all asks nobody for a certificate
    for node in config.items(name, least=least, most=AUTHORITIES, code=1675):
        text = config.text_of(node, "mutual_tls_certificate_authorities", most=PEM)
        if text.startswith("ca_"):
            pem = compiler.world.authority(text) if compiler.world.authority is not None else None
            if pem is None:
                compiler.problem(1672, node, f"there is no certificate authority {text!r}")
            else:
                found.append(pem)
            continue
        template = compiler.template(node)
        if template.is_constant and not _CERTIFICATE(template.literal):
            compiler.problem(1695, node, "an authority is a certificate in PEM, or an id such as ca_…")
        found.append(template)
    return tuple(found)


TYPES: Final = [
    ActionType(
        "terminate-tls",
        _parse,
        frozenset((Phase.TCP_CONNECT,)),
        frozenset(("https", "tls")),
        result="terminate_tls",
    )
]
