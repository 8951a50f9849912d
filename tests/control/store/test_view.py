"""Rows as items of the view, every kind."""

from pathlib import Path

from sqlalchemy import delete, insert, update
from tests.control.store.test_identities import SESSION
from tests.kit.store import opened

from portway.control.store import (
    accounts,
    changes,
    edge_tables,
    event_tables,
    identity_tables,
    ip_tables,
    tables,
    vault_tables,
    view,
)
from portway.control.store.core import AsyncConnection
from portway.model import view as items
from portway.model.entities import Account

COMMON = {"account_id": "ac_1", "description": "d", "metadata": "m", "created_at": 1.0}

ROWS = {
    changes.IP_POLICY: (ip_tables.ip_policies, {"id": "ipp_1"}, items.IpPolicyItem("ipp_1", "ac_1")),
    changes.IP_RULE: (
        ip_tables.ip_policy_rules,
        {"id": "ipr_1", "ip_policy_id": "ipp_1", "cidr": "10.0.0.0/8", "action": "deny"},
        items.IpRuleItem("ipr_1", "ac_1", "ipp_1", "10.0.0.0/8", "deny"),
    ),
    changes.IP_RESTRICTION: (
        ip_tables.ip_restrictions,
        {"id": "ipx_1", "type": "endpoints", "enforced": True, "ip_policy_ids": '["ipp_1"]'},
        items.IpRestrictionItem("ipx_1", "ac_1", True, ("ipp_1",)),
    ),
    changes.VAULT: (
        vault_tables.vaults,
        {"id": "vault_1", "name": "prod", "updated_at": 1.0, "created_by": "", "updated_by": ""},
        items.VaultItem("vault_1", "ac_1", "prod"),
    ),
    changes.SECRET: (
        vault_tables.vault_secrets,
        {
            "id": "secret_1", "name": "key", "updated_at": 1.0, "created_by": "", "updated_by": "",
            "vault_id": "vault_1", "sealed": b"sealed",
        },
        items.SecretItem("secret_1", "ac_1", "vault_1", "key", "c2VhbGVk"),
    ),
    changes.TLS_CERTIFICATE: (
        tables.tls_certificates,
        {
            "id": "cert_1", "certificate_pem": "PEM", "sealed_key": b"sealed", "subject_common_name": "",
            "serial_number": "1", "not_before": 0.0, "not_after": 1.0,
        },
        items.CertificateItem("cert_1", "ac_1", "PEM"),
    ),
    changes.CERTIFICATE_AUTHORITY: (
        tables.certificate_authorities,
        {"id": "ca_1", "ca_pem": "PEM", "subject_common_name": "", "not_before": 0.0, "not_after": 1.0},
        items.AuthorityItem("ca_1", "ac_1", "PEM"),
    ),
    changes.RESERVED_ADDR: (
        tables.reserved_addrs,
        {"id": "ra_1", "region": "local", "host": "localhost", "port": 20_001},
        items.AddressItem("ra_1", "ac_1", "localhost", 20_001),
    ),
    changes.RESERVED_DOMAIN: (
        tables.reserved_domains,
        {"id": "rd_1", "domain": "*.example.com", "is_dev": False, "certificate_id": "cert_1"},
        items.DomainItem("rd_1", "ac_1", "*.example.com", "cert_1"),
    ),
    changes.CLOUD_ENDPOINT: (
        tables.cloud_endpoints,
        {
            "id": "ep_1", "url": "https://a.example.com", "binding": "public", "pooling_enabled": True,
            "traffic_policy": "{}", "updated_at": 1.0, "domain_id": "rd_1",
        },
        items.CloudEndpointItem("ep_1", "ac_1", "https://a.example.com", "public", True, "{}", "d", "m"),
    ),
    changes.BACKEND: (
        edge_tables.backends,
        {"id": "bkdsc_1", "kind": "static", "spec": '{"address":"a:1"}'},
        items.BackendItem("bkdsc_1", "ac_1", "static", '{"address":"a:1"}'),
    ),
    changes.EDGE: (
        edge_tables.edges,
        {"id": "edghts_1", "kind": "https", "modules": "{}"},
        items.EdgeItem("edghts_1", "ac_1", "https", "{}"),
    ),
    changes.EDGE_ROUTE: (
        edge_tables.edge_routes,
        {
            "id": "edghtsrt_1", "edge_id": "edghts_1", "match_type": "exact_path", "path": "/a",
            "modules": "{}",
        },
        items.EdgeRouteItem("edghtsrt_1", "ac_1", "edghts_1", "exact_path", "/a", "{}"),
    ),
    changes.EDGE_ENDPOINT: (
        edge_tables.edge_endpoints,
        {
            "id": "ep_2", "edge_id": "edghts_1", "position": 0, "hostport": "a.example.com:443",
            "url": "https://a.example.com", "place": "tls a.example.com", "domain_id": "rd_1",
        },
        items.EdgeEndpointItem("ep_2", "ac_1", "edghts_1", "https://a.example.com"),
    ),
    changes.EVENT_SUBSCRIPTION: (
        event_tables.event_subscriptions,
        {"id": "esb_1", "traffic": '{"http_request_complete.v0": true}'},
        items.EventWishItem("esb_1", "ac_1", {"http_request_complete.v0": True}),
    ),
    changes.CREDENTIAL: (
        tables.credentials,
        {"id": "cr_1", "token_hash": bytes(32), "acl": '["bind:*.example.com"]'},
        items.CredentialItem("cr_1", "ac_1", ("bind:*.example.com",)),
    ),
    changes.SSH_CREDENTIAL: (
        tables.ssh_credentials,
        {"id": "sshcr_1", "public_key": "ssh-ed25519 A", "fingerprint": "SHA256:a", "acl": '["bind:a.b"]'},
        items.SshKeyItem("sshcr_1", "ac_1", ("bind:a.b",)),
    ),
}  # fmt: skip
"""One row of each kind, and the item that it is."""


async def fill(connection: AsyncConnection) -> None:
    await accounts.add(connection, Account("ac_1", "a", "free", 1.0))
    for table, row, _ in ROWS.values():
        common = {name: value for name, value in COMMON.items() if name in table.c}
        await connection.execute(insert(table).values(**common, **row))


async def test_every_kind_has_a_row_here() -> None:
    assert [each for each in view.SOURCES if each != changes.APP_SESSION] == list(ROWS)


async def test_of_visitors_sessions_only_the_end_is_told(tmp_path: Path) -> None:
    source = view.SOURCES[changes.APP_SESSION]
    async with opened(tmp_path) as context, context.database.write() as connection:
        await accounts.add(connection, Account("ac_1", "a", "free", 1.0))
        texts = dict.fromkeys(("provider", "provider_url", "subject", "email", "name", "username"), "x")
        times = dict.fromkeys(("created_at", "last_active", "last_login"), 1.0)
        user = {"id": "appusr_1", "account_id": "ac_1", **texts, **times}
        await connection.execute(insert(identity_tables.application_users).values(user))
        ids = {"id": "appsess_1", "account_id": "ac_1", "user_id": "appusr_1"}
        more = {"token_hash": "h", "expires_at": 9e9}
        await connection.execute(insert(source.table).values({**SESSION, **ids, **more}))
        assert await view.rows_after(connection, changes.APP_SESSION, "") == []
        noted = [changes.Change(1, changes.APP_SESSION, "ac_1", "appsess_1")]
        assert await view.rows_of(connection, noted) == [items.AppSessionItem("appsess_1", "ac_1", gone=True)]


async def test_rows_become_items(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await fill(connection)
        for kind, (_, row, item) in ROWS.items():
            assert await view.rows_after(connection, kind, "") == [item]
            assert await view.rows_after(connection, kind, str(row["id"])) == []


async def test_what_is_not_there_any_more_is_gone(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await fill(connection)
        for kind, (table, row, item) in reversed(ROWS.items()):
            other = changes.Change(2, kind, "ac_1", "zz")
            named = [changes.Change(1, kind, "ac_1", str(row["id"])), other]
            present, absent = await view.rows_of(connection, named)
            assert present == item
            assert absent == type(item)("zz", "ac_1", gone=True)
            await connection.execute(delete(table))
            assert (await view.rows_of(connection, named))[0] == type(item)(item.id, "ac_1", gone=True)


async def test_a_revoked_credential_is_gone(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await fill(connection)
        await connection.execute(update(tables.credentials).values(revoked_at=5.0))
        assert await view.rows_after(connection, changes.CREDENTIAL, "") == []
        (item,) = await view.rows_of(connection, [changes.Change(1, changes.CREDENTIAL, "ac_1", "cr_1")])
        assert item.gone


async def test_the_edge_hears_of_restrictions_of_endpoints_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await fill(connection)
        await connection.execute(update(ip_tables.ip_restrictions).values(type="api"))
        assert await view.rows_after(connection, changes.IP_RESTRICTION, "") == []
