"""What happened → the JSON of exported events: the documented keys, a selection of them, the envelope.

A payload has every documented key always: what is not known, or what no policy decided, is "" or 0. Times
are RFC 3339 in UTC, of traffic with fractions of seconds.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

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
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def whole(seconds: float) -> str:
    """Write whole Unix seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def traffic(event: Traffic) -> Payload:
    """Return the payload of a request or a connection."""
    return _http(event) if isinstance(event, HttpRequestComplete) else _tcp(event)


def select(payload: Mapping[str, Any], fields: Iterable[str]) -> Payload:
    """Return only the chosen leaves, nested as they are in the whole."""
    chosen: Payload = {}
    for field in fields:
        source, target = payload, chosen
        *above, leaf = field.split(".")
        for key in above:
            source, target = source[key], target.setdefault(key, {})
        target[leaf] = source[leaf]
    return chosen


def headers(lines: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return fields of a head as events have them: names capitalised, values in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in lines:
        found.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value.lower())
    return found


def _http(event: HttpRequestComplete) -> Payload:
    path, _, query = event.target.partition("?")
    absolute = event.target.startswith("/")
    raw = f"{event.scheme}://{event.host}{event.target}" if absolute else event.target
    return {
        "conn": {
            "client_ip": event.client_ip,
            "server_ip": event.server_ip,
            "server_name": event.server_name or event.host,
            "server_port": event.server_port,
            "start_ts": moment(event.conn_start_ts or event.start_ts),
        },
        "http": {
            "request": {
                "method": event.method,
                "version": event.version,
                "url": {"raw": raw, "scheme": event.scheme, "host": event.host, "path": path, "query": query},
                "headers": headers(event.request_headers),
                "user_agent": event.user_agent,
                "body_length": event.request_length,
                "first_byte_ts": moment(event.start_ts),
                "last_byte_ts": moment(event.request_end_ts or event.start_ts),
            },
            "response": {
                "status_code": event.status,
                "headers": headers(event.response_headers),
                "body_length": event.response_length,
                "first_byte_ts": moment(event.response_start_ts or event.end_ts),
                "last_byte_ts": moment(event.end_ts),
            },
        },
        "backend": {"connection_reused": event.connection_reused},
        "basic_auth": {"decision": event.basic_auth_decision, "username": event.basic_auth_username},
        "circuit_breaker": {"decision": event.circuit_breaker_decision},
        "compression": {
            "algorithm": event.compression_algorithm or "none",
            "bytes_saved": event.compression_bytes_saved,
        },
        "ip_policy": {"decision": event.ip_policy_decision},
        "webhook_verification": {"decision": event.webhook_verification_decision},
        "oauth": {
            "app_client_id": event.oauth_app_client_id,
            "decision": event.oauth_decision,
            "user": {"id": event.oauth_user_id, "name": event.oauth_user_name},
        },
        "tls": {
            "version": event.tls_version,
            "cipher_suite": event.tls_cipher,
            "client_cert": {
                "serial_number": event.client_certificate_serial,
                "subject": {"cn": event.client_certificate_cn},
            },
        },
        "ja4_fingerprint": event.ja4,
        "traffic_policy": {"logs": list(event.traffic_policy_logs)},
    }


def _tcp(event: TcpConnectionClosed) -> Payload:
    return {
        "conn": {
            "client_ip": event.client_ip,
            "server_ip": event.server_ip,
            "server_name": event.server_name,
            "server_port": event.server_port,
            "bytes_in": event.bytes_in,
            "bytes_out": event.bytes_out,
            "start_ts": moment(event.start_ts),
            "end_ts": moment(event.end_ts),
        },
        "ip_policy": {"decision": event.ip_policy_decision},
        "ja4_fingerprint": event.ja4,
        "traffic_policy": {"logs": list(event.traffic_policy_logs)},
    }


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
