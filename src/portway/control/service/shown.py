"""How things look to clients: what the API answers, and what audit events have as their ``object``.

One function a noun makes both, so they cannot differ. Secrets are in neither: a token is shown by the
route that made it, beside this.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from portway.model.certificate_policy import INTERNAL
from portway.model.domain import ServiceNames, cname_target
from portway.model.event_target import shown_target

if TYPE_CHECKING:
    from portway.control.service.settings import Settings
    from portway.model.address import ReservedAddr
    from portway.model.certificate import CertificateAuthority, TlsCertificate
    from portway.model.domain import ReservedDomain
    from portway.model.entities import ApiKey, Credential, SshCredential
    from portway.model.events import EventDestination, EventSource, EventSubscription
    from portway.model.ip import IpPolicy, IpPolicyRule, IpRestriction
    from portway.model.vault import Secret, Vault

Shown = dict[str, Any]
"""A JSON object."""

UNSUPPORTED: Final = "UNSUPPORTED"
"""The code of a job that this version of the service cannot do."""


def timestamp(seconds: float) -> str:
    """Write Unix seconds as a timestamp: RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ref(settings: "Settings", collection: str, row_id: str) -> Shown:
    """Return a reference to a resource."""
    return {"id": row_id, "uri": f"{settings.api_url}/{collection}/{row_id}"}


class _Resource(Protocol):
    """What every resource has."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def description(self) -> str: ...
    @property
    def metadata(self) -> str: ...


def _head(settings: "Settings", collection: str, each: _Resource) -> Shown:
    """Return what is shown of every resource."""
    return {
        **ref(settings, collection, each.id),
        "created_at": timestamp(each.created_at),
        "description": each.description,
        "metadata": each.metadata,
    }


def api_key(settings: "Settings", each: "ApiKey") -> Shown:
    """Show an API key; its token is null."""
    return {
        **_head(settings, "api_keys", each),
        "token": None,
        "owner_id": each.owner_id or None,
    }


def credential(settings: "Settings", each: "Credential") -> Shown:
    """Show an authtoken; its token is null."""
    return {
        **_head(settings, "credentials", each),
        "token": None,
        "acl": list(each.acl),
        "owner_id": each.owner_id or None,
    }


def ssh_credential(settings: "Settings", each: "SshCredential") -> Shown:
    """Show a registered public key."""
    return {
        **_head(settings, "ssh_credentials", each),
        "public_key": each.public_key,
        "acl": list(each.acl),
        "owner_id": each.owner_id or None,
    }


def reserved_addr(settings: "Settings", each: "ReservedAddr") -> Shown:
    """Show a TCP address."""
    return {
        **_head(settings, "reserved_addrs", each),
        "addr": each.addr,
        "region": each.region,
        "endpoint_configuration": None,
    }


def certificate_authority(settings: "Settings", each: "CertificateAuthority") -> Shown:
    """Show an authority."""
    return {
        **_head(settings, "certificate_authorities", each),
        "ca_pem": each.pem,
        "subject_common_name": each.facts.subject_common_name,
        "not_before": timestamp(each.facts.not_before),
        "not_after": timestamp(each.facts.not_after),
        "key_usages": list(each.facts.key_usages),
        "extended_key_usages": list(each.facts.extended_key_usages),
    }


def tls_certificate(settings: "Settings", each: "TlsCertificate") -> Shown:
    """Show a certificate without its key."""
    facts = each.facts
    return {
        **_head(settings, "tls_certificates", each),
        "certificate_pem": each.chain,
        "subject_common_name": facts.subject_common_name,
        "subject_alternative_names": {"dns_names": list(facts.dns_names), "ips": list(facts.ips)},
        "issued_at": None if each.issued_at is None else timestamp(each.issued_at),
        "not_before": timestamp(facts.not_before),
        "not_after": timestamp(facts.not_after),
        "key_usages": list(facts.key_usages),
        "extended_key_usages": list(facts.extended_key_usages),
        "private_key_type": facts.key_type,
        "issuer_common_name": facts.issuer_common_name,
        "serial_number": facts.serial_number,
        "subject_organization": facts.subject_organization,
        "subject_organizational_unit": facts.subject_organizational_unit,
        "subject_locality": facts.subject_locality,
        "subject_province": facts.subject_province,
        "subject_country": facts.subject_country,
    }


def ip_policy(settings: "Settings", each: "IpPolicy") -> Shown:
    """Show an IP policy; its rules are things of their own."""
    return _head(settings, "ip_policies", each)


def ip_policy_rule(settings: "Settings", each: "IpPolicyRule") -> Shown:
    """Show a rule of an IP policy."""
    return {
        **_head(settings, "ip_policy_rules", each),
        "cidr": each.cidr,
        "ip_policy": ref(settings, "ip_policies", each.ip_policy_id),
        "action": each.action,
    }


def ip_restriction(settings: "Settings", each: "IpRestriction") -> Shown:
    """Show an IP restriction."""
    return {
        **_head(settings, "ip_restrictions", each),
        "type": each.type,
        "enforced": each.enforced,
        "ip_policies": [ref(settings, "ip_policies", policy) for policy in each.ip_policy_ids],
    }


def reserved_domain(settings: "Settings", each: "ReservedDomain") -> Shown:
    """Show a reserved domain."""
    policy = each.authority and {"authority": each.authority, "private_key_type": each.key_type or ""}
    certificate = each.certificate_id and ref(settings, "tls_certificates", each.certificate_id)
    names = ServiceNames(settings.domain, settings.tcp_host)
    return {
        **_head(settings, "reserved_domains", each),
        "domain": each.domain,
        "region": "",
        "cname_target": cname_target(each.id, each.domain, names),
        "certificate": certificate or None,
        "certificate_management_policy": policy or None,
        "certificate_management_status": _management(each),
        "acme_challenge_cname_target": None,
        "resolves_to": [{"value": region} for region in each.resolves_to],
        "is_dev": each.is_dev,
        "http_endpoint_configuration": None,
        "https_endpoint_configuration": None,
        "error_redirect_url": None,
    }


def event_destination(settings: "Settings", each: "EventDestination") -> Shown:
    """Show an event destination; the secrets of its target are masked."""
    return {
        **_head(settings, "event_destinations", each),
        "format": each.format,
        "target": shown_target(each.kind, each.settings),
        "durable": each.durable,
    }


def event_subscription(settings: "Settings", each: "EventSubscription") -> Shown:
    """Show an event subscription."""
    return {
        **_head(settings, "event_subscriptions", each),
        "sources": [event_source(settings, each.id, source) for source in each.sources],
        "destinations": [ref(settings, "event_destinations", to) for to in each.destination_ids],
    }


def event_source(settings: "Settings", subscription_id: str, each: "EventSource") -> Shown:
    """Show a source of a subscription."""
    return {
        "type": each.type,
        "uri": f"{settings.api_url}/event_subscriptions/{subscription_id}/sources/{each.type}",
        "filter": each.filter or None,
        "fields": None if each.fields is None else list(each.fields),
        "sample": each.sample,
    }


def _management(each: "ReservedDomain") -> Shown | None:
    """Say how automatic certificates fare; the service's own authority issues whenever one is needed."""
    if each.authority is None:
        return None
    if each.authority == INTERNAL:
        return {"renews_at": None, "provisioning_job": None}
    job = {
        "error_code": UNSUPPORTED,
        "msg": f"This version of the service cannot ask {each.authority} for certificates. Until a version"
        " that can is running, visitors are shown one of the service's own authority.",
        "started_at": timestamp(each.created_at),
        "retries_at": None,
    }
    return {"renews_at": None, "provisioning_job": job}


def vault(settings: "Settings", each: "Vault") -> Shown:
    """Show a vault."""
    return {
        **_head(settings, "vaults", each),
        "updated_at": timestamp(each.updated_at),
        "name": each.name,
        "created_by": each.created_by,
        "last_updated_by": each.updated_by,
    }


def secret(settings: "Settings", each: "Secret") -> Shown:
    """Show a secret without its value."""
    return {
        **_head(settings, "vault_secrets", each),
        "updated_at": timestamp(each.updated_at),
        "name": each.name,
        "created_by": _who(settings, each.created_by),
        "last_updated_by": _who(settings, each.updated_by),
        "vault": ref(settings, "vaults", each.vault_id),
        "vault_name": each.vault_name,
    }


def _who(settings: "Settings", who: str) -> Shown:
    """Return a reference to who made a change: an API key, or a user, who has no address here."""
    return ref(settings, "api_keys", who) if who.startswith("ak_") else {"id": who, "uri": ""}
