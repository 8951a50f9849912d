"""Modules of edges, checked whole before anything is stored."""

from pathlib import Path

from tests.kit.edge_store import with_account
from tests.kit.names import refused

from portway.control.service import edge_modules


async def test_the_rules_of_all_modules_are_compiled(tmp_path: Path) -> None:
    deny = {"value": "on_tcp_connect: [{actions: [{type: deny}]}]"}
    async with with_account(tmp_path) as (context, account):
        await edge_modules.check(context, account, "tcp", {"traffic_policy": deny})
        with refused(2248):
            await edge_modules.check(context, account, "route", {"traffic_policy": deny})
        breaker = {"error_threshold_percentage": 0.5, "rolling_window": 100_000}
        with refused(2225):
            await edge_modules.check(context, account, "route", {"circuit_breaker": breaker})
        off = {"enabled": False, "value": "nonsense: ["}
        await edge_modules.check(context, account, "tcp", {"traffic_policy": off})


async def test_what_modules_name_is_looked_for_in_the_account(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account), context.database.read() as connection:
        for modules, code in (
            ({"backend": {"backend_id": "bkdtg_1"}}, 6501),
            ({"ip_restriction": {"ip_policy_ids": ["ipp_1"]}}, 7007),
            ({"mutual_tls": {"certificate_authority_ids": ["ca_1"]}}, 7072),
        ):
            with refused(code):
                await edge_modules.check_names(connection, account, "https", modules)
