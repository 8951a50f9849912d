"""The catalogue of exported events: every type, the fields of those that have a choice of them."""

from typing import Final

STEMS: Final = (
    "api_key",
    "certificate_authority",
    "domain",
    "event_destination",
    "event_subscription",
    "ip_policy",
    "ip_policy_rule",
    "ip_restriction",
    "secret",
    "ssh_certificate_authority",
    "ssh_host_certificate",
    "ssh_public_key",
    "ssh_user_certificate",
    "tcp_address",
    "tls_certificate",
    "tunnel_credential",
    "vault",
)
"""Things of which audit events tell that they were created, updated and deleted."""

ACTIONS: Final = ("created", "updated", "deleted")

HTTP: Final = "http_request_complete.v0"
TCP: Final = "tcp_connection_closed.v0"
SESSION_START: Final = "agent_session_start.v0"
SESSION_STOP: Final = "agent_session_stop.v0"

SESSION_TYPES: Final = (SESSION_START, SESSION_STOP)

AUDIT_TYPES: Final = frozenset(
    {f"{stem}_{action}.v0" for stem in STEMS for action in ACTIONS} | {*SESSION_TYPES}
)
"""All audit types: they have neither fields nor filters."""

TCP_FIELDS: Final = (
    "conn.bytes_in",
    "conn.bytes_out",
    "conn.client_ip",
    "conn.end_ts",
    "conn.server_ip",
    "conn.server_name",
    "conn.server_port",
    "conn.start_ts",
    "ip_policy.decision",
    "ja4_fingerprint",
    "traffic_policy.logs",
)
"""What may be selected of a closed connection."""

HTTP_FIELDS: Final = (
    "backend.connection_reused",
    "basic_auth.decision",
    "basic_auth.username",
    "circuit_breaker.decision",
    "compression.algorithm",
    "compression.bytes_saved",
    "conn.client_ip",
    "conn.server_ip",
    "conn.server_name",
    "conn.server_port",
    "conn.start_ts",
    "http.request.body_length",
    "http.request.first_byte_ts",
    "http.request.headers",
    "http.request.last_byte_ts",
    "http.request.method",
    "http.request.url.host",
    "http.request.url.path",
    "http.request.url.query",
    "http.request.url.raw",
    "http.request.url.scheme",
    "http.request.user_agent",
    "http.request.version",
    "http.response.body_length",
    "http.response.first_byte_ts",
    "http.response.headers",
    "http.response.last_byte_ts",
    "http.response.status_code",
    "ip_policy.decision",
    "ja4_fingerprint",
    "oauth.app_client_id",
    "oauth.decision",
    "oauth.user.id",
    "oauth.user.name",
    "tls.cipher_suite",
    "tls.client_cert.serial_number",
    "tls.client_cert.subject.cn",
    "tls.version",
    "traffic_policy.logs",
    "webhook_verification.decision",
)
"""What may be selected of a finished request."""

FIELDS: Final = {HTTP: frozenset(HTTP_FIELDS), TCP: frozenset(TCP_FIELDS)}
"""The fields of each traffic type."""

TRAFFIC_TYPES: Final = frozenset(FIELDS)
TYPES: Final = AUDIT_TYPES | TRAFFIC_TYPES
"""Every type that a source may have."""
