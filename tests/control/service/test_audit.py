"""Audit events: written with the change itself, for those who subscribe, once."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.kit.events import journal, journal_everything
from tests.kit.store import opened

from portway.control.service import (
    accounts,
    api_keys,
    audit,
    credentials,
    event_destinations,
    event_subscriptions,
    reserved_domains,
)
from portway.control.service.keys import Texts
from portway.control.service.principal import OPERATOR
from portway.control.store import audit_events
from portway.control.store.rows import Page
from portway.model.event_types import SESSION_START
from portway.model.events import EventSource


async def test_nothing_is_written_where_nobody_subscribes(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        ann, ben = [(await accounts.add(context, name)).id for name in ("ann", "ben")]
        await journal_everything(context, ben)
        await journal_everything(context, ann, ["api_key_created.v0"])
        await credentials.create(context, ann, Texts())
        assert await journal(context) == []
        await api_keys.create(context, ann, Texts())
        assert [each["event_type"] for each in await journal(context)] == ["api_key_created.v0"]


async def test_a_change_that_is_not_made_is_not_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        await journal_everything(context, account)
        with suppress(RuntimeError):
            async with context.database.write() as connection:
                await credentials.add_within(context, connection, account)
                raise RuntimeError
        assert await journal(context) == []


@pytest.mark.row("EV-02", "EV-03")
async def test_the_operator_and_the_service_are_principals(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        await journal_everything(context, account)
        by_hand = replace(context, principal=OPERATOR)
        made = await credentials.add(by_hand)
        await credentials.revoke(by_hand, made.value.id)
        await credentials.revoke(by_hand, made.value.id)
        await reserved_domains.listed(replace(context, principal=OPERATOR), account, Page())
        told = await journal(context)
    assert [(each["event_type"], each["principal"]["source"]) for each in told] == [
        ("tunnel_credential_created.v0", "CLI"),
        ("tunnel_credential_deleted.v0", "CLI"),
        ("domain_created.v0", "System"),
    ]
    assert told[0]["object"]["token"] is None
    assert made.token not in str(told)


async def test_one_event_waits_for_each_destination(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        places = [await journal_everything(context, account) for _ in range(2)]
        await credentials.create(context, account, Texts())
        assert len(await journal(context)) == 1
        async with context.database.read() as connection:
            for place in places:
                (entry,) = await audit_events.waiting(connection, place)
                assert entry.id == (await journal(context))[0]["event_id"]


async def test_a_session_that_is_told_twice_is_written_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        await journal_everything(context, account)
        said: dict[str, Any] = {"session": {"id": "ts_1", "uri": ""}}
        for _ in range(2):
            await audit.note_session(context, SESSION_START, "ev_1", account, said)
        (event,) = await journal(context)
    assert (event["event_id"], event["object"]) == ("ev_1", said)
    assert event["principal"]["source"] == "Agent"


async def test_a_commit_rings_the_bell_of_the_journal(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        await journal_everything(context, account)
        await context.database.journal.wait(0)
        await credentials.create(context, account, Texts())
        await context.database.journal.wait(60)  # returns at once, or the suite is a minute longer


async def test_nothing_waits_for_a_destination_to_which_nothing_is_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        stream = {"bucket_arn": "arn:aws:s3:::b", "auth": {"role": {"role_arn": "arn:aws:iam::1:role/r"}}}
        kept = (await event_destinations.create(context, account, {"s3": stream})).id
        source = EventSource("tunnel_credential_created.v0")
        made = await event_subscriptions.create(context, account, [source], [kept])
        await credentials.create(context, account, Texts())
        assert await journal(context) == []
        sent = (await event_destinations.create(context, account, {"stdout": {}})).id
        await event_subscriptions.update(context, account, made.id, destination_ids=[kept, sent])
        await credentials.create(context, account, Texts())
        async with context.database.read() as connection:
            assert list(await audit_events.behind(connection)) == [sent]
