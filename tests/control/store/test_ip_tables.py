"""Queries on IP policies and restrictions."""

from pathlib import Path

from sqlalchemy import insert
from tests.kit.store import opened

from portway.control.store import accounts, ip_tables
from portway.control.store.edge_tables import edges
from portway.model.entities import Account

COMMON = {"account_id": "ac_1", "description": "", "metadata": "", "created_at": 1.0}
RULES = {"10.0.0.0/8": "allow", "10.1.0.0/16": "deny", "192.0.2.1/32": "allow", "::/0": "allow"}


async def test_an_address_is_asked_for_by_the_networks_around_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        await accounts.add(connection, Account("ac_1", "a", "free", 1.0))
        await connection.execute(insert(ip_tables.ip_policies).values(id="ipp_1", **COMMON))
        for n, (cidr, action) in enumerate(RULES.items()):
            row = {"id": f"ipr_{n}", "ip_policy_id": "ipp_1", "cidr": cidr, "action": action}
            await connection.execute(insert(ip_tables.ip_policy_rules).values(**COMMON, **row))

        async def found(address: str, account: str = "ac_1", policy: str = "ipp_1") -> dict[str, str]:
            rules = await ip_tables.rules_for(connection, account, ["ipp_0", policy], address)
            return {cidr: action for action, cidr in rules}

        assert await found("10.1.2.3") == {"10.0.0.0/8": "allow", "10.1.0.0/16": "deny"}
        assert await found("::ffff:192.0.2.1") == {"192.0.2.1/32": "allow"}
        assert await found("2001:db8::1") == {"::/0": "allow"}
        assert await found("nowhere") == {}
        assert await found("10.1.2.3", account="ac_2") == {}
        assert await found("10.1.2.3", policy="ipp_2") == {}
        assert await ip_tables.known(connection, "ac_1", ["ipp_1", "ipp_2"]) == {"ipp_1"}
        assert await ip_tables.known(connection, "ac_2", ["ipp_1"]) == set()
        assert await ip_tables.rule_of(connection, "ipp_1", "::/0") == "ipr_3"
        assert len(await ip_tables.rule_ids(connection, "ipp_1")) == 4
        assert await ip_tables.named_by(connection, "ac_1", "ipp_1") is None
        modules = '{"ip_restriction": {"ip_policy_ids": ["ipp_1"]}}'
        await connection.execute(insert(edges).values(**COMMON, id="edgtcp_1", kind="tcp", modules=modules))
        assert await ip_tables.named_by(connection, "ac_1", "ipp_1") == "edgtcp_1"
        assert await ip_tables.named_by(connection, "ac_2", "ipp_1") is None
        await ip_tables.remove_rules(connection, "ipp_1")
        assert await ip_tables.rule_ids(connection, "ipp_1") == []
