"""Where events can be sent: the kinds of targets, what each needs, and which parts of them are secret.

A target is one key of an object and that key's settings. Clouds of other vendors are taken and kept as
ngrok's API has them, but nothing is sent there: :func:`undeliverable` says why. Secrets are parted from the
rest here, so they can be sealed; shown again, each is :data:`MASK`, and a client that sends the mask back
means *as it was*.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec

from portway.errors import Error

MASK: Final = "********"

NONE, SEVERAL = 5100, 5115
INVALID: Final = 236
AUTH_INVALID, AUTH_MISSING, AUTH_TWICE = 240, 5107, 5116
ROLE, KEY_ID, KEY = 5104, 5105, 5106
NO_API_KEY: Final = 5133

HEADERS_LIMIT: Final = 50
URL_LIMIT: Final = 2048
FILE_KEEP: Final = 100

_ARN: Final = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:\d*:\S+", re.ASCII)
_HOST: Final = re.compile(r"[0-9A-Za-z_:]([0-9A-Za-z_.:-]{0,252}[0-9A-Za-z_:])?", re.ASCII)
_APP: Final = re.compile(r"[!-~]{1,48}", re.ASCII)
_SITE: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?", re.ASCII)
_FIELD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
_OURS: Final = frozenset({"content-length", "host", "transfer-encoding", "connection", "content-type"})
"""Header fields that a destination cannot set."""

Settings = Mapping[str, Any]


class Target(msgspec.Struct, frozen=True):
    """A target, checked. ``secrets`` are texts, or maps of texts, by the key that they stand under."""

    kind: str
    settings: Settings = msgspec.field(default_factory=dict[str, Any])
    secrets: Settings = msgspec.field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        """Leave the secrets out: reprs end up in logs."""
        return f"Target({self.kind!r}, secrets={sorted(self.secrets)})"

    @property
    def whole(self) -> dict[str, Any]:
        """All settings, secrets among them: for whoever delivers."""
        return _merged(self.settings, self.secrets)

    @property
    def masked(self) -> dict[str, Any]:
        """All settings with a mask for each secret: for answers and events."""
        return _merged(self.settings, _masked(self.secrets))


def parse_target(given: Settings, before: Target | None = None) -> Target:
    """Check a target: an object in which exactly one key is not null.

    ``before`` is what it replaces, whose secrets stand for masks. Raises Error 236, 240 or 5100–5133.
    """
    named = [kind for kind, settings in given.items() if settings is not None]
    if not named:
        raise Error(f"A destination needs one target: {', '.join(KINDS)}.", NONE)
    if len(named) > 1:
        raise Error(f"A destination has one target, not {len(named)}.", SEVERAL)
    kind = named[0]
    settings: dict[str, Any] = {k: v for k, v in given[kind].items() if v is not None}
    if before is not None and before.kind == kind:
        settings = _unmasked(settings, before.whole)
    secret, check = KINDS[kind]
    check(settings)
    open_part, secrets = _parted(settings, secret)
    return Target(kind, open_part, secrets)


def undeliverable(kind: str) -> str:
    """Say why nothing is sent to targets of a kind; "" if it is."""
    if kind not in UNDELIVERABLE:
        return ""
    return f"This service sends nothing to {kind}; use webhook, otlp, syslog, file, stdout, datadog or debug."


# -- what each kind needs


def _aws(name: str) -> Callable[[dict[str, Any]], None]:
    def check(settings: dict[str, Any]) -> None:
        arn = settings.get(name, "")
        if not _ARN.fullmatch(arn):
            raise Error(f"{name} must be an ARN, not {arn[:100]!r}.", INVALID)
        _auth(settings.get("auth"))

    return check


def _auth(auth: Mapping[str, Any] | None) -> None:
    """Check how AWS is to be entered: by a role or by a pair of keys."""
    given: dict[str, Any] = {key: value for key, value in (auth or {}).items() if value is not None}
    if not given:
        raise Error("auth must have role or creds.", AUTH_MISSING)
    if len(given) > 1:
        raise Error("auth has role or creds, not both.", AUTH_TWICE)
    if "role" in given and not _ARN.fullmatch(given["role"].get("role_arn") or ""):
        raise Error("role_arn must be the ARN of a role.", ROLE)
    if "creds" in given:
        if not given["creds"].get("aws_access_key_id"):
            raise Error("creds needs aws_access_key_id.", KEY_ID)
        if not given["creds"].get("aws_secret_access_key"):
            raise Error("creds needs aws_secret_access_key.", KEY)


def _azure(settings: dict[str, Any]) -> None:
    for name in (
        "tenant_id", "client_id", "client_secret", "logs_ingestion_uri", "data_collection_rule_id",
        "data_collection_stream_name",
    ):  # fmt: skip
        if not settings.get(name):
            code = AUTH_INVALID if name in {"tenant_id", "client_id", "client_secret"} else INVALID
            raise Error(f"azure_logs_ingestion needs {name}.", code)


def _datadog(settings: dict[str, Any]) -> None:
    if not settings.get("api_key"):
        raise Error("datadog needs api_key.", NO_API_KEY)
    site = settings.get("ddsite") or ""
    if site.startswith(("http://", "https://")):
        check_url(site, "ddsite")
    elif site and not _SITE.fullmatch(site):
        raise Error(f"ddsite must be a site such as datadoghq.eu, or a URL, not {site[:100]!r}.", INVALID)


def _webhook(settings: dict[str, Any]) -> None:
    check_url(settings.get("url", ""), "url")
    _headers(settings)
    _within(settings, "batch_size", 1, 500)
    _within(settings, "batch_seconds", 0, 60)
    _within(settings, "timeout_seconds", 1, 60)
    if settings.get("body", "array") not in {"array", "ndjson", "single"}:
        raise Error("body must be array, ndjson or single.", INVALID)


def _file(settings: dict[str, Any]) -> None:
    path = settings.get("path", "")
    parts = path.split("/")
    if not path or len(path) > 255 or not path.isprintable() or {"", ".", ".."} & set(parts):
        raise Error(
            "path must be relative, such as requests.jsonl; it lies in the service's folder.", INVALID
        )
    _within(settings, "max_bytes", 4096, 1 << 34)
    _within(settings, "max_age_seconds", 60, 366 * 86_400)
    _within(settings, "keep", 0, FILE_KEEP)


def _otlp(settings: dict[str, Any]) -> None:
    check_url(settings.get("endpoint", ""), "endpoint")
    _headers(settings)
    if settings.get("protocol", "http/json") not in {"http/json", "http/protobuf"}:
        raise Error("protocol must be http/json or http/protobuf.", INVALID)


def _syslog(settings: dict[str, Any]) -> None:
    if not _HOST.fullmatch(settings.get("host", "")):
        raise Error("host must be the name or the address of a syslog receiver.", INVALID)
    if settings.get("protocol", "tcp") not in {"udp", "tcp", "tls"}:
        raise Error("protocol must be udp, tcp or tls.", INVALID)
    _within(settings, "port", 1, 65_535)
    _within(settings, "facility", 0, 23)
    if not _APP.fullmatch(settings.get("app_name", "-")):
        raise Error("app_name must be of 1 to 48 printable ASCII characters, without spaces.", INVALID)


def _debug(settings: dict[str, Any]) -> None:
    if settings.get("callback_url"):
        check_url(settings["callback_url"], "callback_url")


def _stdout(_settings: dict[str, Any]) -> None:
    """Nothing can be wrong."""


def check_url(url: str, name: str) -> None:
    """Refuse what is no URL to post to. Whether it may be reached shows when it is used."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    good = parts.scheme in {"http", "https"} and host and not parts.username and not parts.password
    if not good or len(url) > URL_LIMIT or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise Error(f"{name} must be an http or https URL without user and password.", INVALID)


def _headers(settings: dict[str, Any]) -> None:
    headers: dict[str, str] = settings.get("headers") or {}
    if len(headers) > HEADERS_LIMIT:
        raise Error(f"headers may have {HEADERS_LIMIT} fields.", INVALID)
    for name, value in headers.items():
        if not _FIELD.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("portway-"):
            raise Error(f"headers cannot have the field {name[:100]!r}.", INVALID)
        if len(value) > 4096 or any(c < " " or c == "\x7f" for c in value):
            raise Error(f"The value of the header field {name!r} is no field value.", INVALID)


def _within(settings: dict[str, Any], name: str, low: float, high: float) -> None:
    value = settings.get(name)
    if value is not None and not low <= value <= high:
        raise Error(f"{name} must be between {low:g} and {high:g}.", INVALID)


UNDELIVERABLE: Final = ("kinesis", "firehose", "cloudwatch_logs", "azure_logs_ingestion", "s3")
"""Kinds to which nothing is sent; :func:`undeliverable` says why."""

KINDS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], None]]]] = {
    "kinesis": (("auth.creds.aws_secret_access_key",), _aws("stream_arn")),
    "firehose": (("auth.creds.aws_secret_access_key",), _aws("delivery_stream_arn")),
    "cloudwatch_logs": (("auth.creds.aws_secret_access_key",), _aws("log_group_arn")),
    "datadog": (("api_key",), _datadog),
    "azure_logs_ingestion": (("client_secret",), _azure),
    "s3": (("auth.creds.aws_secret_access_key",), _aws("bucket_arn")),
    "webhook": (("secret", "headers"), _webhook),
    "file": ((), _file),
    "stdout": ((), _stdout),
    "otlp": (("headers",), _otlp),
    "syslog": ((), _syslog),
    "debug": ((), _debug),
}
"""Kind → which of its settings are secret, dotted, and what checks them."""


# -- secrets


def _parted(settings: dict[str, Any], secret: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part settings in those that may be shown and those that may not."""
    kept, secrets = _copied(settings), cast("dict[str, Any]", {})
    for path in secret:
        *above, leaf = path.split(".")
        source: dict[str, Any] = kept
        target = secrets
        for key in above:
            source = cast("dict[str, Any]", source.get(key) or {})
        if not source.get(leaf):
            source.pop(leaf, None)
            continue
        for key in above:
            target = target.setdefault(key, {})
        target[leaf] = source.pop(leaf)
    return kept, secrets


def _copied(settings: Settings) -> dict[str, Any]:
    return {
        key: _copied(cast("Settings", value)) if isinstance(value, dict) else value
        for key, value in settings.items()
        if value is not None
    }


def _merged(below: Settings, above: Settings) -> dict[str, Any]:
    made = _copied(below)
    for key, value in above.items():
        inner = made.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict)
        made[key] = _merged(cast("Settings", inner), cast("Settings", value)) if both else value
    return made


def _masked(secrets: Settings) -> dict[str, Any]:
    return {
        key: _masked(cast("Settings", value)) if isinstance(value, dict) else MASK
        for key, value in secrets.items()
    }


def _unmasked(settings: Settings, before: Settings) -> dict[str, Any]:
    """Put what was before in the place of each mask; a mask for nothing stays one, and is a value."""
    made: dict[str, Any] = {}
    for key, value in settings.items():
        old = before.get(key)
        if isinstance(value, dict):
            made[key] = _unmasked(cast("Settings", value), cast("Settings", old or {}))
        else:
            made[key] = old if value == MASK and old is not None else value
    return made


# -- how targets look

_AUTH: Final = "auth"
_CREDS: Final = ("aws_access_key_id", "aws_secret_access_key")
SHAPES: Final[Mapping[str, tuple[str, ...]]] = {
    "kinesis": ("auth", "stream_arn"),
    "firehose": ("auth", "delivery_stream_arn"),
    "cloudwatch_logs": ("auth", "log_group_arn"),
    "datadog": ("api_key", "ddtags", "service", "ddsite"),
    "azure_logs_ingestion": (
        "tenant_id", "client_id", "client_secret", "logs_ingestion_uri", "data_collection_rule_id",
        "data_collection_stream_name",
    ),
    "s3": ("bucket_arn", "object_prefix", "compression", "max_file_size", "max_file_age", "auth"),
    "webhook": (
        "url", "headers", "secret", "batch_size", "batch_seconds", "timeout_seconds", "gzip", "body",
    ),
    "file": ("path", "max_bytes", "max_age_seconds", "keep"),
    "stdout": (),
    "otlp": ("endpoint", "headers", "protocol"),
    "syslog": ("host", "port", "protocol", "facility", "app_name"),
    "debug": ("log", "callback_url"),
}  # fmt: skip
"""Kind → every key of its settings, all of which are always shown."""


def shown_target(kind: str, masked: Settings) -> dict[str, Any]:
    """Return a target as the API shows it: every kind and every key, null where there is nothing."""
    return {each: _shown_settings(each, masked) if each == kind else None for each in SHAPES}


def _shown_settings(kind: str, masked: Settings) -> dict[str, Any]:
    made: dict[str, Any] = {key: masked.get(key) for key in SHAPES[kind]}
    if _AUTH in made:
        auth: Settings = made[_AUTH] or {}
        role, creds = auth.get("role"), auth.get("creds")
        made[_AUTH] = {
            "role": role and {"role_arn": role.get("role_arn")},
            "creds": creds and {key: creds.get(key) for key in _CREDS},
        }
    return made
