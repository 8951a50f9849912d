"""What happened → the JSON of exported events: the documented keys, a selection of them, the envelope.

A payload has every documented key always: what is not known, or what no policy decided, is "" or 0. Times
are RFC 3339 in UTC, of traffic with fractions of seconds.

Of traffic, each key is computed by an entry of a table, and only where somebody selects it: most
subscriptions want a few of the forty.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, cast

from portway.model.event import (
    AgentSessionStarted,
    AgentSessionStopped,
    Deprecated,
    HttpRequestComplete,
    TcpConnectionClosed,
)
from portway.model.event_types import HTTP, SESSION_START, SESSION_STOP, TCP

Payload = dict[str, Any]
"""The ``object`` of an event."""

Traffic = HttpRequestComplete | TcpConnectionClosed
Session = AgentSessionStarted | AgentSessionStopped

TYPE_OF: Final[Mapping[type, str]] = {
    HttpRequestComplete: HTTP,
    TcpConnectionClosed: TCP,
    AgentSessionStarted: SESSION_START,
    AgentSessionStopped: SESSION_STOP,
}
"""The type under which a happening is exported; the others are not."""


def moment(seconds: float) -> str:
    """Write Unix seconds with their fractions; "" for 0, which is not known."""
    if not seconds:
        return ""
    second = int(seconds)
    fraction = round((seconds - second) * 1e6)
    if not 0 <= fraction < 1_000_000:  # before 1970, or rounded up
        second, fraction = divmod(second * 1_000_000 + fraction, 1_000_000)
    return f"{_second(second)}.{fraction:06}Z"


def whole(seconds: float) -> str:
    """Write whole Unix seconds."""
    return f"{_second(int(seconds))}Z"


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def envelope(event_id: str, kind: str, at: float, account_id: str, payload: object) -> dict[str, Any]:
    """Return a whole traffic event: it has no principal."""
    return {
        "event_id": event_id,
        "event_type": kind,
        "event_timestamp": whole(at),
        "account_id": account_id,
        "principal": None,
        "object": payload,
    }


def traffic(event: Traffic, fields: tuple[str, ...] | None = None) -> Payload:
    """Return the payload of a request or a connection: all of it, or the chosen leaves, nested as in it.

    Raises KeyError for what is no field of its type.
    """
    return _made(_plan(type(event), fields), event)


@lru_cache(maxsize=1024)
def _plan(kind: type[Traffic], fields: tuple[str, ...] | None) -> "_Plan":
    """Return what makes these fields: their getters, nested as they shall be."""
    getters = _GETTERS[kind]
    nested: dict[str, Any] = {}
    for field in getters if fields is None else fields:
        part = nested
        *above, leaf = field.split(".")
        for key in above:
            part = part.setdefault(key, {})
        part[leaf] = getters[field]
    return _listed(nested)


def _listed(nested: dict[str, Any]) -> "_Plan":
    return [
        (key, None, _listed(cast("dict[str, Any]", it))) if isinstance(it, dict) else (key, it, [])
        for key, it in nested.items()
    ]


def _made(plan: "_Plan", event: Traffic) -> Payload:
    payload: Payload = {}
    for key, get, below in plan:
        payload[key] = _made(below, event) if get is None else get(event)
    return payload


def headers(lines: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return fields of a head as events have them: names capitalised, values in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in lines:
        found.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value.lower())
    return found


def _raw(event: HttpRequestComplete) -> str:
    if event.target.startswith("/"):
        return f"{event.scheme}://{event.host}{event.target}"
    return event.target


_Get = Callable[[Any], object]
_Plan = list[tuple[str, _Get | None, "_Plan"]]
"""Keys with what computes them, or the plan of the keys below them."""

_HTTP: Final[dict[str, _Get]] = {
    "conn.client_ip": attrgetter("client_ip"),
    "conn.server_ip": attrgetter("server_ip"),
    "conn.server_name": lambda event: event.server_name or event.host,
    "conn.server_port": attrgetter("server_port"),
    "conn.start_ts": lambda event: moment(event.conn_start_ts or event.start_ts),
    "http.request.method": attrgetter("method"),
    "http.request.version": attrgetter("version"),
    "http.request.url.raw": _raw,
    "http.request.url.scheme": attrgetter("scheme"),
    "http.request.url.host": attrgetter("host"),
    "http.request.url.path": lambda event: event.target.partition("?")[0],
    "http.request.url.query": lambda event: event.target.partition("?")[2],
    "http.request.headers": lambda event: headers(event.request_headers),
    "http.request.user_agent": attrgetter("user_agent"),
    "http.request.body_length": attrgetter("request_length"),
    "http.request.first_byte_ts": lambda event: moment(event.start_ts),
    "http.request.last_byte_ts": lambda event: moment(event.request_end_ts or event.start_ts),
    "http.response.status_code": attrgetter("status"),
    "http.response.headers": lambda event: headers(event.response_headers),
    "http.response.body_length": attrgetter("response_length"),
    "http.response.first_byte_ts": lambda event: moment(event.response_start_ts or event.end_ts),
    "http.response.last_byte_ts": lambda event: moment(event.end_ts),
    "backend.connection_reused": attrgetter("connection_reused"),
    "basic_auth.decision": attrgetter("basic_auth_decision"),
    "basic_auth.username": attrgetter("basic_auth_username"),
    "circuit_breaker.decision": attrgetter("circuit_breaker_decision"),
    "compression.algorithm": lambda event: event.compression_algorithm or "none",
    "compression.bytes_saved": attrgetter("compression_bytes_saved"),
    "ip_policy.decision": attrgetter("ip_policy_decision"),
    "webhook_verification.decision": attrgetter("webhook_verification_decision"),
    "oauth.app_client_id": attrgetter("oauth_app_client_id"),
    "oauth.decision": attrgetter("oauth_decision"),
    "oauth.user.id": attrgetter("oauth_user_id"),
    "oauth.user.name": attrgetter("oauth_user_name"),
    "tls.version": attrgetter("tls_version"),
    "tls.cipher_suite": attrgetter("tls_cipher"),
    "tls.client_cert.serial_number": attrgetter("client_certificate_serial"),
    "tls.client_cert.subject.cn": attrgetter("client_certificate_cn"),
    "ja4_fingerprint": attrgetter("ja4"),
    "traffic_policy.logs": lambda event: list(event.traffic_policy_logs),
}

_TCP: Final[dict[str, _Get]] = {
    "conn.client_ip": attrgetter("client_ip"),
    "conn.server_ip": attrgetter("server_ip"),
    "conn.server_name": attrgetter("server_name"),
    "conn.server_port": attrgetter("server_port"),
    "conn.bytes_in": attrgetter("bytes_in"),
    "conn.bytes_out": attrgetter("bytes_out"),
    "conn.start_ts": lambda event: moment(event.start_ts),
    "conn.end_ts": lambda event: moment(event.end_ts),
    "ip_policy.decision": attrgetter("ip_policy_decision"),
    "ja4_fingerprint": attrgetter("ja4"),
    "traffic_policy.logs": lambda event: list(event.traffic_policy_logs),
}

_GETTERS: Final[Mapping[type, dict[str, _Get]]] = {HttpRequestComplete: _HTTP, TcpConnectionClosed: _TCP}
"""Each field of a type, in the order of the whole payload."""


def session(event: Session, api_url: str) -> Payload:
    """Return the payload of an agent's session: ``error`` is why it was refused, or why it ended."""
    stopped = event.stopped_at if isinstance(event, AgentSessionStopped) else None
    expires = event.expires_at if isinstance(event, AgentSessionStarted) else None
    return {
        "session": _ref(api_url, "tunnel_sessions", event.session_id),
        "credential": _ref(api_url, _collection(event.credential_id), event.credential_id),
        "agent_ip": event.agent_ip,
        "ingress_server_ip": event.ingress_server_ip,
        "ingress_hostname": event.ingress_hostname,
        "region": event.region,
        "user_agent": event.user_agent,
        "metadata": event.metadata,
        "os": event.os,
        "arch": event.arch,
        "transport": event.transport,
        "started_at": whole(event.started_at),
        "expires_at": None if expires is None else whole(expires),
        "stopped_at": None if stopped is None else whole(stopped),
        "deprecated": _deprecated(event.deprecated if isinstance(event, AgentSessionStarted) else None),
        "error": event.error,
    }


def _deprecated(warning: Deprecated | None) -> dict[str, str | None]:
    return {
        "upcoming_minimum_version": warning.upcoming if warning else None,
        "upcoming_enforcement_date": warning.day or None if warning else None,
        "message": warning.message if warning else None,
    }


def _collection(credential_id: str) -> str:
    return "ssh_credentials" if credential_id.startswith("sshcr_") else "credentials"


def _ref(api_url: str, collection: str, row_id: str) -> dict[str, str]:
    return {"id": row_id, "uri": f"{api_url}/{collection}/{row_id}" if row_id else ""}
