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


ViewItem = (
    CredentialItem
    | SshKeyItem
    | AddressItem
    | DomainItem
    | CertificateItem
    | AuthorityItem
    | CloudEndpointItem
)
"""Any of them."""
