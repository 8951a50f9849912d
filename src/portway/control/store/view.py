"""Rows as the data plane is told of them (``portway.model.view``).

For each kind of change that concerns the data plane there is one row in :data:`SOURCES`: which
columns are read, and how they make an item.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Column, ColumnElement, Select, Table, false, select

from portway.control.store import (
    changes,
    edge_tables,
    event_tables,
    identity_tables,
    ip_tables,
    tables,
    vault_tables,
)
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import AnyRow
from portway.model import view
from portway.model.view import ViewItem


class Source(msgspec.Struct, frozen=True):
    """Where the items of one kind come from. ``batch``: rows read at once, fewer where texts are long."""

    table: Table
    columns: tuple[Column[Any], ...]
    item: type[ViewItem]
    batch: int
    read: Callable[[AnyRow], ViewItem] | None = None
    alive: ColumnElement[bool] | None = None

    def query(self) -> Select[Any]:
        """Return the query for all rows that are not gone."""
        query = select(self.table.c.id, self.table.c.account_id, *self.columns)
        return query if self.alive is None else query.where(self.alive)

    def make(self, row: AnyRow) -> ViewItem:
        """Make the item of a row."""
        return self.read(row) if self.read else self.item(*row)


def _credential(row: AnyRow) -> ViewItem:
    return view.CredentialItem(row[0], row[1], tuple(json.loads(row[2])))


def _ssh_key(row: AnyRow) -> ViewItem:
    return view.SshKeyItem(row[0], row[1], tuple(json.loads(row[2])))


def _domain(row: AnyRow) -> ViewItem:
    return view.DomainItem(row[0], row[1], row[2], row[3] or "")


def _restriction(row: AnyRow) -> ViewItem:
    return view.IpRestrictionItem(row[0], row[1], row[2], tuple(json.loads(row[3])))


def _wish(row: AnyRow) -> ViewItem:
    return view.EventWishItem(row[0], row[1], json.loads(row[2]))


def _secret(row: AnyRow) -> ViewItem:
    return view.SecretItem(row[0], row[1], row[2], row[3], b64encode(row[4]).decode("ascii"))


_MANY: Final = 2000
_LONG: Final = 50
_endpoints = tables.cloud_endpoints.c
_rules = ip_tables.ip_policy_rules.c
_restrictions = ip_tables.ip_restrictions.c

SOURCES: Final[dict[str, Source]] = {
    changes.IP_POLICY: Source(ip_tables.ip_policies, (), view.IpPolicyItem, _MANY),
    changes.IP_RULE: Source(
        ip_tables.ip_policy_rules,
        (_rules.ip_policy_id, _rules.cidr, _rules.action),
        view.IpRuleItem,
        _MANY,
    ),
    changes.IP_RESTRICTION: Source(
        ip_tables.ip_restrictions,
        (_restrictions.enforced, _restrictions.ip_policy_ids),
        view.IpRestrictionItem,
        _MANY,
        read=_restriction,
        alive=_restrictions.type == "endpoints",
    ),
    changes.VAULT: Source(vault_tables.vaults, (vault_tables.vaults.c.name,), view.VaultItem, _MANY),
    changes.SECRET: Source(
        vault_tables.vault_secrets,
        (
            vault_tables.vault_secrets.c.vault_id,
            vault_tables.vault_secrets.c.name,
            vault_tables.vault_secrets.c.sealed,
        ),
        view.SecretItem,
        _LONG,
        read=_secret,
    ),
    changes.TLS_CERTIFICATE: Source(
        tables.tls_certificates,
        (tables.tls_certificates.c.certificate_pem,),
        view.CertificateItem,
        _LONG,
    ),
    changes.CERTIFICATE_AUTHORITY: Source(
        tables.certificate_authorities,
        (tables.certificate_authorities.c.ca_pem,),
        view.AuthorityItem,
        _LONG,
    ),
    changes.RESERVED_ADDR: Source(
        tables.reserved_addrs,
        (tables.reserved_addrs.c.host, tables.reserved_addrs.c.port),
        view.AddressItem,
        _MANY,
    ),
    changes.RESERVED_DOMAIN: Source(
        tables.reserved_domains,
        (tables.reserved_domains.c.domain, tables.reserved_domains.c.certificate_id),
        view.DomainItem,
        _MANY,
        read=_domain,
    ),
    changes.CLOUD_ENDPOINT: Source(
        tables.cloud_endpoints,
        (
            _endpoints.url,
            _endpoints.binding,
            _endpoints.pooling_enabled,
            _endpoints.traffic_policy,
            _endpoints.description,
            _endpoints.metadata,
        ),
        view.CloudEndpointItem,
        _LONG,
    ),
    changes.BACKEND: Source(
        edge_tables.backends,
        (edge_tables.backends.c.kind, edge_tables.backends.c.spec),
        view.BackendItem,
        _LONG,
    ),
    changes.EDGE: Source(
        edge_tables.edges,
        (edge_tables.edges.c.kind, edge_tables.edges.c.modules),
        view.EdgeItem,
        _LONG,
    ),
    changes.EDGE_ROUTE: Source(
        edge_tables.edge_routes,
        (
            edge_tables.edge_routes.c.edge_id,
            edge_tables.edge_routes.c.match_type,
            edge_tables.edge_routes.c.path,
            edge_tables.edge_routes.c.modules,
        ),
        view.EdgeRouteItem,
        _LONG,
    ),
    changes.EDGE_ENDPOINT: Source(
        edge_tables.edge_endpoints,
        (edge_tables.edge_endpoints.c.edge_id, edge_tables.edge_endpoints.c.url),
        view.EdgeEndpointItem,
        _MANY,
    ),
    changes.APP_SESSION: Source(
        identity_tables.application_sessions,
        (),
        view.AppSessionItem,
        _MANY,
        alive=false(),  # of all that stand the data plane asks for those that it meets
    ),
    changes.EVENT_SUBSCRIPTION: Source(
        event_tables.event_subscriptions,
        (event_tables.event_subscriptions.c.traffic,),
        view.EventWishItem,
        _MANY,
        read=_wish,
    ),
    changes.CREDENTIAL: Source(
        tables.credentials,
        (tables.credentials.c.acl,),
        view.CredentialItem,
        _MANY,
        read=_credential,
        alive=tables.credentials.c.revoked_at.is_(None),
    ),
    changes.SSH_CREDENTIAL: Source(
        tables.ssh_credentials,
        (tables.ssh_credentials.c.acl,),
        view.SshKeyItem,
        _MANY,
        read=_ssh_key,
    ),
}
"""Kinds of change that the data plane hears of. In this order a snapshot tells them: what others refer
to comes first."""


async def rows_after(connection: AsyncConnection, kind: str, last_id: str) -> list[ViewItem]:
    """Return the next batch of one kind, in the order of identifiers; fewer than a batch: the last."""
    source = SOURCES[kind]
    query = source.query().where(source.table.c.id > last_id).order_by(source.table.c.id).limit(source.batch)
    return [source.make(row) for row in await connection.execute(query)]


async def rows_of(connection: AsyncConnection, named: Sequence[changes.Change]) -> list[ViewItem]:
    """Return what changes of one kind come to: rows as they are now; ``gone`` for those that are not."""
    source = SOURCES[named[0].kind]
    query = source.query().where(source.table.c.id.in_([each.subject_id for each in named]))
    found = {row[0]: source.make(row) for row in await connection.execute(query)}
    return [
        found.get(each.subject_id) or source.item(each.subject_id, each.account_id, gone=True)
        for each in named
    ]
