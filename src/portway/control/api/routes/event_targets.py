"""The targets of event destinations, as clients send them and as they are shown.

Everything is optional here: what a target needs, and under which code its absence is refused, is the
business of ``model/event_target.py``.
"""

from typing import Literal

from pydantic import Field

from portway.control.api.schema import Answer, Given

Count = int | None
Text = str | None


class RoleGiven(Given):
    """A role of AWS to be taken."""

    role_arn: Text = None


class CredsGiven(Given):
    """A pair of keys of AWS."""

    aws_access_key_id: Text = None
    aws_secret_access_key: Text = None


class AuthGiven(Given):
    """How AWS is entered: one of the two."""

    role: RoleGiven | None = None
    creds: CredsGiven | None = None


class KinesisGiven(Given):
    """A Kinesis stream. It is kept, and nothing is sent there."""

    stream_arn: Text = None
    auth: AuthGiven | None = None


class FirehoseGiven(Given):
    """A Firehose stream. It is kept, and nothing is sent there."""

    delivery_stream_arn: Text = None
    auth: AuthGiven | None = None


class CloudwatchGiven(Given):
    """A log group of CloudWatch. It is kept, and nothing is sent there."""

    log_group_arn: Text = None
    auth: AuthGiven | None = None


class DatadogGiven(Given):
    """Datadog's intake of logs."""

    api_key: Text = None
    ddtags: Text = Field(None, description="Tags for every event, such as env:prod,team:a.")
    service: Text = None
    ddsite: Text = Field(None, description="A site such as datadoghq.eu, or the URL of an intake.")


class AzureGiven(Given):
    """Azure's ingestion of logs. It is kept, and nothing is sent there."""

    tenant_id: Text = None
    client_id: Text = None
    client_secret: Text = None
    logs_ingestion_uri: Text = None
    data_collection_rule_id: Text = None
    data_collection_stream_name: Text = None


class S3Given(Given):
    """A bucket of S3. It is kept, and nothing is sent there."""

    bucket_arn: Text = None
    object_prefix: Text = None
    compression: Text = None
    max_file_size: Count = None
    max_file_age: Count = None
    auth: AuthGiven | None = None


class WebhookGiven(Given):
    """A URL to which events are posted."""

    url: Text = None
    headers: dict[str, str] | None = Field(None, description="Further fields of each request; never shown.")
    secret: Text = Field(None, description="Signs each request; never shown.")
    batch_size: Count = Field(None, description="Events of one request, 1 to 500 (the default).")
    batch_seconds: float | None = Field(None, description="How long a request waits for more; 1 by default.")
    timeout_seconds: float | None = Field(None, description="How long an answer may take; 10 by default.")
    gzip: bool | None = None
    body: Literal["array", "ndjson", "single"] | None = Field(
        None, description="A JSON array (the default), an object a line, or one object a request."
    )


class FileGiven(Given):
    """A file in the service's folder, one JSON object a line."""

    path: Text = Field(None, description="Relative to the folder of the account's event files.")
    max_bytes: Count = Field(None, description="Size at which another file is begun; 64 MiB by default.")
    max_age_seconds: Count = Field(None, description="Age at which another file is begun; never by default.")
    keep: Count = Field(None, description="Former files that are kept, 0 to 100; 5 by default.")


class StdoutGiven(Given):
    """The service's standard output, one JSON object a line."""


class OtlpGiven(Given):
    """A collector of OpenTelemetry, to which events are log records."""

    endpoint: Text = Field(None, description="URL of its logs, such as http://collector:4318/v1/logs.")
    headers: dict[str, str] | None = Field(None, description="Further fields of each request; never shown.")
    protocol: Literal["http/json", "http/protobuf"] | None = Field(None, description="http/json by default.")


class SyslogGiven(Given):
    """A syslog receiver, to which events are messages of RFC 5424."""

    host: Text = Field(None, description="Its name or address.")
    port: Count = Field(None, description="514 for udp, 601 for tcp, 6514 for tls by default.")
    protocol: Literal["udp", "tcp", "tls"] | None = Field(None, description="tcp by default.")
    facility: Count = Field(None, description="Number of the facility, 16 (local0) by default.")
    app_name: Text = Field(None, description="portway by default.")


class DebugGiven(Given):
    """The service's log, or a URL, for a look at what is sent."""

    log: bool | None = Field(None, description="Write each event to the service's log.")
    callback_url: Text = Field(None, description="Post each event to this URL, unsigned.")


class TargetGiven(Given):
    """Where events are sent: exactly one of these."""

    kinesis: KinesisGiven | None = None
    firehose: FirehoseGiven | None = None
    cloudwatch_logs: CloudwatchGiven | None = None
    datadog: DatadogGiven | None = None
    azure_logs_ingestion: AzureGiven | None = None
    s3: S3Given | None = None
    webhook: WebhookGiven | None = None
    file: FileGiven | None = None
    stdout: StdoutGiven | None = None
    otlp: OtlpGiven | None = None
    syslog: SyslogGiven | None = None
    debug: DebugGiven | None = None

    def __repr_args__(self) -> list[tuple[str | None, object]]:
        """Leave the settings out of every repr: they hold secrets, and reprs end up in logs."""
        return [(name, "…") for name, value in super().__repr_args__() if value is not None]


class RoleAnswer(Answer):
    """A role of AWS."""

    role_arn: Text


class CredsAnswer(Answer):
    """A pair of keys of AWS; the secret one is masked."""

    aws_access_key_id: Text
    aws_secret_access_key: Text


class AuthAnswer(Answer):
    """How AWS is entered."""

    role: RoleAnswer | None
    creds: CredsAnswer | None


class KinesisAnswer(Answer):
    """A Kinesis stream."""

    auth: AuthAnswer
    stream_arn: Text


class FirehoseAnswer(Answer):
    """A Firehose stream."""

    auth: AuthAnswer
    delivery_stream_arn: Text


class CloudwatchAnswer(Answer):
    """A log group of CloudWatch."""

    auth: AuthAnswer
    log_group_arn: Text


class DatadogAnswer(Answer):
    """Datadog's intake of logs; the key is masked."""

    api_key: Text
    ddtags: Text
    service: Text
    ddsite: Text


class AzureAnswer(Answer):
    """Azure's ingestion of logs; the secret is masked."""

    tenant_id: Text
    client_id: Text
    client_secret: Text
    logs_ingestion_uri: Text
    data_collection_rule_id: Text
    data_collection_stream_name: Text


class S3Answer(Answer):
    """A bucket of S3."""

    bucket_arn: Text
    object_prefix: Text
    compression: Text
    max_file_size: Count
    max_file_age: Count
    auth: AuthAnswer


class WebhookAnswer(Answer):
    """A URL to which events are posted; secret and fields are masked. What is null is as by default."""

    url: Text
    headers: dict[str, str] | None
    secret: Text
    batch_size: Count
    batch_seconds: float | None
    timeout_seconds: float | None
    gzip: bool | None
    body: Text


class FileAnswer(Answer):
    """A file in the service's folder."""

    path: Text
    max_bytes: Count
    max_age_seconds: Count
    keep: Count


class StdoutAnswer(Answer):
    """The service's standard output."""


class OtlpAnswer(Answer):
    """A collector of OpenTelemetry; the fields are masked."""

    endpoint: Text
    headers: dict[str, str] | None
    protocol: Text


class SyslogAnswer(Answer):
    """A syslog receiver."""

    host: Text
    port: Count
    protocol: Text
    facility: Count
    app_name: Text


class DebugAnswer(Answer):
    """The service's log, or a URL."""

    log: bool | None
    callback_url: Text


class TargetAnswer(Answer):
    """Where events are sent: all but one are null."""

    kinesis: KinesisAnswer | None
    firehose: FirehoseAnswer | None
    cloudwatch_logs: CloudwatchAnswer | None
    datadog: DatadogAnswer | None
    azure_logs_ingestion: AzureAnswer | None
    s3: S3Answer | None
    webhook: WebhookAnswer | None
    file: FileAnswer | None
    stdout: StdoutAnswer | None
    otlp: OtlpAnswer | None
    syslog: SyslogAnswer | None
    debug: DebugAnswer | None
