"""What the data plane knows of the control plane's rows: one small value a row.

The data plane never reads the store. It is given a snapshot of these items and then each change, and
keeps them in memory. An item with ``gone`` set has only its identifiers: the row was deleted or, for
a credential, revoked.

Items travel as JSON objects whose ``kind`` tells them apart; ``msgspec`` reads and writes a
``list[ViewItem]`` directly. No item holds a secret.
"""

import msgspec


class _Row(msgspec.Struct, frozen=True, tag_field="kind"):
    """What every item begins with."""

    id: str
    account_id: str


class _Item(_Row, frozen=True, kw_only=True):
    """What every item ends with; all else is left out of one that is gone."""

    gone: bool = False


class CredentialItem(_Item, frozen=True, tag="credential"):
    """An authtoken. ``acl`` are rules such as "bind:*.example.com"; none allows everything."""

    acl: tuple[str, ...] = ()


class SshKeyItem(_Item, frozen=True, tag="ssh_key"):
    """A public key with which OpenSSH may connect. ``acl`` are rules as those of an authtoken."""

    acl: tuple[str, ...] = ()


class AddressItem(_Item, frozen=True, tag="address"):
    """A reserved TCP address."""

    host: str = ""
    port: int = 0


class DomainItem(_Item, frozen=True, tag="domain"):
    """A reserved domain, perhaps a wildcard. ``certificate_id`` is "" without an uploaded certificate."""

    domain: str = ""
    certificate_id: str = ""


class CertificateItem(_Item, frozen=True, tag="certificate"):
    """A certificate: its PEM chain, leaf first. Its key is asked for when it is first needed."""

    chain: str = ""


class AuthorityItem(_Item, frozen=True, tag="authority"):
    """An authority for the certificates of visitors, PEM."""

    pem: str = ""


class AppSessionItem(_Item, frozen=True, tag="app_session"):
    """The session of somebody who has signed in at an endpoint. Only its end is told: there may be many."""


class VaultItem(_Item, frozen=True, tag="vault"):
    """A vault of secrets."""

    name: str = ""


class SecretItem(_Item, frozen=True, tag="secret"):
    """A secret of a vault. ``sealed`` is its value, sealed under the key of the store, in base64."""

    vault_id: str = ""
    name: str = ""
    sealed: str = ""


class CloudEndpointItem(_Item, frozen=True, tag="cloud_endpoint"):
    """An endpoint that the service answers itself."""

    url: str = ""
    binding: str = ""
    pooling_enabled: bool = False
    traffic_policy: str = ""
    description: str = ""
    metadata: str = ""


class BackendItem(_Item, frozen=True, tag="backend"):
    """A backend of edges. ``form`` is its kind, ``spec`` its own fields as JSON."""

    form: str = ""
    spec: str = "{}"


class EdgeItem(_Item, frozen=True, tag="edge"):
    """An edge: ``form`` is tcp, tls or https, ``modules`` are its modules as JSON."""

    form: str = ""
    modules: str = "{}"


class EdgeRouteItem(_Item, frozen=True, tag="edge_route"):
    """A route of an https edge, with its modules as JSON."""

    edge_id: str = ""
    match_type: str = ""
    path: str = ""
    modules: str = "{}"


class EdgeEndpointItem(_Item, frozen=True, tag="edge_endpoint"):
    """An address of an edge, as the URL of an endpoint."""

    edge_id: str = ""
    url: str = ""


class IpPolicyItem(_Item, frozen=True, tag="ip_policy"):
    """A set of rules about addresses. The rules are items of their own."""


class IpRuleItem(_Item, frozen=True, tag="ip_rule"):
    """One rule of an IP policy. ``action`` is allow or deny."""

    policy_id: str = ""
    cidr: str = ""
    action: str = ""


class IpRestrictionItem(_Item, frozen=True, tag="ip_restriction"):
    """Whom an account lets in to all its endpoints. Without ``enforced`` it only warns."""

    enforced: bool = False
    policy_ids: tuple[str, ...] = ()


class EventWishItem(_Item, frozen=True, tag="event_wish"):
    """The traffic events that a subscription wants: type → whether with the fields of heads."""

    traffic: dict[str, bool] = {}


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
