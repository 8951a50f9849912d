"""What the data plane knows of the control plane's rows: one small value a row.

The data plane never reads the store. It is given a snapshot of these items and then each change, and
keeps them in memory. An item with ``gone`` set has only its identifiers: the row was deleted or, for
a credential, revoked.

Items travel as JSON objects whose ``kind`` tells them apart; ``msgspec`` reads and writes a
``list[ViewItem]`` directly. No item holds a secret.
"""

import msgspec


class CredentialItem(msgspec.Struct, frozen=True, tag_field="kind", tag="credential"):
    """An authtoken. ``acl`` are rules such as "bind:*.example.com"; none allows everything."""

    id: str
    account_id: str
    acl: tuple[str, ...] = ()
    gone: bool = False


class SshKeyItem(msgspec.Struct, frozen=True, tag_field="kind", tag="ssh_key"):
    """A public key with which OpenSSH may connect. ``acl`` are rules as those of an authtoken."""

    id: str
    account_id: str
    acl: tuple[str, ...] = ()
    gone: bool = False


class AddressItem(msgspec.Struct, frozen=True, tag_field="kind", tag="address"):
    """A reserved TCP address."""

    id: str
    account_id: str
    host: str = ""
    port: int = 0
    gone: bool = False


class DomainItem(msgspec.Struct, frozen=True, tag_field="kind", tag="domain"):
    """A reserved domain, perhaps a wildcard. ``certificate_id`` is "" without an uploaded certificate."""

    id: str
    account_id: str
    domain: str = ""
    certificate_id: str = ""
    gone: bool = False


class CertificateItem(msgspec.Struct, frozen=True, tag_field="kind", tag="certificate"):
    """A certificate: its PEM chain, leaf first. Its key is asked for when it is first needed."""

    id: str
    account_id: str
    chain: str = ""
    gone: bool = False


class AuthorityItem(msgspec.Struct, frozen=True, tag_field="kind", tag="authority"):
    """An authority for the certificates of visitors, PEM."""

    id: str
    account_id: str
    pem: str = ""
    gone: bool = False


class AppSessionItem(msgspec.Struct, frozen=True, tag_field="kind", tag="app_session"):
    """The session of somebody who has signed in at an endpoint. Only its end is told: there may be many."""

    id: str
    account_id: str
    gone: bool = False


class VaultItem(msgspec.Struct, frozen=True, tag_field="kind", tag="vault"):
    """A vault of secrets."""

    id: str
    account_id: str
    name: str = ""
    gone: bool = False


class SecretItem(msgspec.Struct, frozen=True, tag_field="kind", tag="secret"):
    """A secret of a vault. ``sealed`` is its value, sealed under the key of the store, in base64."""

    id: str
    account_id: str
    vault_id: str = ""
    name: str = ""
    sealed: str = ""
    gone: bool = False


class CloudEndpointItem(msgspec.Struct, frozen=True, tag_field="kind", tag="cloud_endpoint"):
    """An endpoint that the service answers itself."""

    id: str
    account_id: str
    url: str = ""
    binding: str = ""
    pooling_enabled: bool = False
    traffic_policy: str = ""
    description: str = ""
    metadata: str = ""
    gone: bool = False


class BackendItem(msgspec.Struct, frozen=True, tag_field="kind", tag="backend"):
    """A backend of edges. ``form`` is its kind, ``spec`` its own fields as JSON."""

    id: str
    account_id: str
    form: str = ""
    spec: str = "{}"
    gone: bool = False


class EdgeItem(msgspec.Struct, frozen=True, tag_field="kind", tag="edge"):
    """An edge: ``form`` is tcp, tls or https, ``modules`` are its modules as JSON."""

    id: str
    account_id: str
    form: str = ""
    modules: str = "{}"
    gone: bool = False


class EdgeRouteItem(msgspec.Struct, frozen=True, tag_field="kind", tag="edge_route"):
    """A route of an https edge, with its modules as JSON."""

    id: str
    account_id: str
    edge_id: str = ""
    match_type: str = ""
    path: str = ""
    modules: str = "{}"
    gone: bool = False


class EdgeEndpointItem(msgspec.Struct, frozen=True, tag_field="kind", tag="edge_endpoint"):
    """An address of an edge, as the URL of an endpoint."""

    id: str
    account_id: str
    edge_id: str = ""
    url: str = ""
    gone: bool = False


class IpPolicyItem(msgspec.Struct, frozen=True, tag_field="kind", tag="ip_policy"):
    """A set of rules about addresses. The rules are items of their own."""

    id: str
    account_id: str
    gone: bool = False


class IpRuleItem(msgspec.Struct, frozen=True, tag_field="kind", tag="ip_rule"):
    """One rule of an IP policy. ``action`` is allow or deny."""

    id: str
    account_id: str
    policy_id: str = ""
    cidr: str = ""
    action: str = ""
    gone: bool = False


class IpRestrictionItem(msgspec.Struct, frozen=True, tag_field="kind", tag="ip_restriction"):
    """Whom an account lets in to all its endpoints. Without ``enforced`` it only warns."""

    id: str
    account_id: str
    enforced: bool = False
    policy_ids: tuple[str, ...] = ()
    gone: bool = False


class EventWishItem(msgspec.Struct, frozen=True, tag_field="kind", tag="event_wish"):
    """The traffic events that a subscription wants: type → whether with the fields of heads."""

    id: str
    account_id: str
    traffic: dict[str, bool] = {}
    gone: bool = False


ViewItem = (
    CredentialItem
    | SshKeyItem
    | AddressItem
    | DomainItem
    | CertificateItem
    | AuthorityItem
    | CloudEndpointItem
    | EventWishItem
    | AppSessionItem
    | BackendItem
    | EdgeItem
    | EdgeRouteItem
    | EdgeEndpointItem
    | IpPolicyItem
    | IpRuleItem
    | IpRestrictionItem
    | VaultItem
    | SecretItem
)
"""Any of them."""
