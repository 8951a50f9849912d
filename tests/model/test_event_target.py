"""Targets of event destinations: what each needs, and which parts are secret."""

from typing import Any

import pytest
from tests.kit.events import ARN, AZURE, CREDS, ROLE
from tests.kit.events import TARGETS as GOOD

from portway.errors import Error
from portway.model.event_target import KINDS, MASK, Target, parse_target, undeliverable


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_taken_and_its_secrets_are_parted_from_it(kind: str) -> None:
    target = parse_target({each: GOOD[kind] if each == kind else None for each in KINDS})
    assert target.kind == kind
    assert target.whole == GOOD[kind]
    for seen in (target.settings, target.masked, repr(target)):
        assert "hush" not in str(seen)
    assert ("hush" in str(target.secrets)) == (MASK in str(target.masked))
    assert bool(undeliverable(kind)) == (
        kind not in {"webhook", "file", "stdout", "otlp", "syslog", "debug", "datadog"}
    )


@pytest.mark.row("EV-11")
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, 5100),
        ({"stdout": None}, 5100),
        ({"stdout": {}, "debug": {}}, 5115),
        ({"kinesis": {"stream_arn": "nonsense", "auth": ROLE}}, 236),
        ({"kinesis": {"stream_arn": ARN}}, 5107),
        ({"kinesis": {"stream_arn": ARN, "auth": ROLE | CREDS}}, 5116),
        ({"kinesis": {"stream_arn": ARN, "auth": {"role": {"role_arn": "x"}}}}, 5104),
        ({"kinesis": {"stream_arn": ARN, "auth": {"creds": {"aws_secret_access_key": "x"}}}}, 5105),
        ({"kinesis": {"stream_arn": ARN, "auth": {"creds": {"aws_access_key_id": "x"}}}}, 5106),
        ({"azure_logs_ingestion": AZURE | {"client_secret": ""}}, 240),
        ({"azure_logs_ingestion": AZURE | {"logs_ingestion_uri": ""}}, 236),
        ({"datadog": {}}, 5133),
        ({"datadog": {"api_key": "x", "ddsite": "a b"}}, 236),
        ({"webhook": {}}, 236),
        ({"webhook": {"url": "ftp://example.com"}}, 236),
        ({"webhook": {"url": "http://user:word@example.com"}}, 236),
        ({"webhook": {"url": "http://example.com:99999"}}, 236),
        ({"webhook": {"url": "http://example.com/" + "x" * 3000}}, 236),
        ({"webhook": {"url": "http://example.com", "batch_size": 501}}, 236),
        ({"webhook": {"url": "http://example.com", "timeout_seconds": 0}}, 236),
        ({"webhook": {"url": "http://example.com", "body": "xml"}}, 236),
        ({"webhook": {"url": "http://example.com", "headers": {"Host": "x"}}}, 236),
        ({"webhook": {"url": "http://example.com", "headers": {"a b": "x"}}}, 236),
        ({"webhook": {"url": "http://example.com", "headers": {"a": "x\ny"}}}, 236),
        ({"webhook": {"url": "http://example.com", "headers": {f"x{n}": "" for n in range(51)}}}, 236),
        ({"file": {"path": "/etc/passwd"}}, 236),
        ({"file": {"path": "../x"}}, 236),
        ({"file": {"path": ""}}, 236),
        ({"file": {"path": "x", "keep": 101}}, 236),
        ({"otlp": {"endpoint": "http://c", "protocol": "grpc"}}, 236),
        ({"debug": {"callback_url": "nowhere"}}, 236),
        ({"syslog": {}}, 236),
        ({"syslog": {"host": "a b"}}, 236),
        ({"syslog": {"host": "a", "protocol": "http"}}, 236),
        ({"syslog": {"host": "a", "port": 0}}, 236),
        ({"syslog": {"host": "a", "facility": 24}}, 236),
        ({"syslog": {"host": "a", "app_name": "a b"}}, 236),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_code(given: dict[str, Any], code: int) -> None:
    with pytest.raises(Error) as caught:
        parse_target(given)
    assert caught.value.code == f"ERR_NGROK_{code}"


def test_a_mask_that_comes_back_means_as_it_was() -> None:
    before = parse_target({"webhook": GOOD["webhook"]})
    again = parse_target({"webhook": before.masked | {"batch_size": 7}}, before)
    assert again.whole == GOOD["webhook"] | {"batch_size": 7}
    other = parse_target({"otlp": {"endpoint": "http://c", "headers": {"x": MASK}}}, before)
    assert other.secrets == {"headers": {"x": MASK}}
    assert parse_target({"stdout": {}}, Target("debug")).whole == {}
