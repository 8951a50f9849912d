"""Event destinations: what the routes' tests do not see."""

import json
from pathlib import Path

from msgspec.structs import replace
from tests.kit.events import TARGETS
from tests.kit.names import refused
from tests.kit.store import opened

from portway.control.certificates.seal import Seal
from portway.control.service import accounts, event_destinations
from portway.model.event_target import MASK


async def test_masks_keep_what_was_sealed(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        context = replace(plain, seal=Seal(tmp_path / "key"))
        account = (await accounts.add(context, "ann")).id
        target = {"datadog": TARGETS["datadog"]}
        made = await event_destinations.create(context, account, target)
        assert made.settings["api_key"] == MASK
        again = {"datadog": made.settings | {"service": "other"}}
        changed = await event_destinations.update(context, account, made.id, target=again)
        assert changed.settings == made.settings | {"service": "other"}
        async with context.database.read() as connection:
            from portway.control.store.event_subscriptions import destinations

            (row,) = await destinations(connection)
        assert event_destinations.opened(context, row).whole["api_key"] == "hush"
        assert json.loads(row.settings)["api_key"] == MASK


async def test_without_a_key_nothing_with_secrets_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        with refused(128):
            await event_destinations.create(context, account, {"datadog": TARGETS["datadog"]})
        await event_destinations.create(context, account, {"stdout": {}})
