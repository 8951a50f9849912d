"""Events in tests: who subscribes to what, and what the journal of audit events holds."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert, select

from portway.control.service.context import Context
from portway.control.store.event_tables import (
    audit_events,
    event_destinations,
    event_links,
    event_sources,
    event_subscriptions,
)
from portway.model.event_types import AUDIT_TYPES
from portway.model.ids import new_id

ARN = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/x"
ROLE = {"role": {"role_arn": "arn:aws:iam::123456789012:role/x"}}
CREDS = {"creds": {"aws_access_key_id": "AK", "aws_secret_access_key": "hush"}}
AZURE = {
    "tenant_id": "t", "client_id": "c", "client_secret": "hush", "logs_ingestion_uri": "https://x.azure.com",
    "data_collection_rule_id": "d", "data_collection_stream_name": "s",
}  # fmt: skip

TARGETS: dict[str, dict[str, Any]] = {
    "kinesis": {"stream_arn": ARN, "auth": ROLE},
    "firehose": {"delivery_stream_arn": ARN, "auth": CREDS},
    "cloudwatch_logs": {"log_group_arn": ARN, "auth": ROLE},
    "datadog": {"api_key": "hush", "ddsite": "datadoghq.eu", "service": "s", "ddtags": "a:b"},
    "azure_logs_ingestion": AZURE,
    "s3": {"bucket_arn": "arn:aws:s3:::bucket", "auth": CREDS},
    "webhook": {"url": "https://example.com/x?y=1", "secret": "hush", "headers": {"Authorization": "hush"}},
    "file": {"path": "a/b.jsonl", "keep": 3},
    "stdout": {},
    "otlp": {"endpoint": "http://collector:4318/v1/logs", "headers": {"x-key": "hush"}},
    "syslog": {"host": "logs.example.com", "protocol": "tls"},
    "debug": {"log": True, "callback_url": "http://example.com"},
}
"""A target of every kind; each secret is "hush"."""


async def journal_everything(
    context: Context, account_id: str, types: Iterable[str] = tuple(sorted(AUDIT_TYPES))
) -> str:
    """Subscribe an account to events, past the API; return the identifier of the destination."""
    now = context.now()
    common = {"account_id": account_id, "description": "", "created_at": now}
    to, by = new_id("ed", context.random, now), new_id("esb", context.random, now)
    async with context.database.write() as connection:
        await connection.execute(
            insert(event_destinations).values(
                common | {"id": to, "format": "json", "kind": "debug", "settings": "{}"}
            )
        )
        await connection.execute(insert(event_subscriptions).values(common | {"id": by}))
        await connection.execute(insert(event_links).values(subscription_id=by, destination_id=to, place=0))
        rows = [
            {"subscription_id": by, "type": kind, "account_id": account_id, "place": place}
            for place, kind in enumerate(types)
        ]
        await connection.execute(insert(event_sources), rows)
    return to


async def journal(context: Context) -> list[dict[str, Any]]:
    """Return every audit event of the journal, oldest first."""
    async with context.database.read() as connection:
        found = await connection.execute(select(audit_events.c.body).order_by(audit_events.c.seq))
        return [json.loads(body) for body in found.scalars()]
