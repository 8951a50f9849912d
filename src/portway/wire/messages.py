"""Control messages: one class for each JSON object that agent and service exchange.

`decode` reads both dialects of agents and `encode` writes the exact spelling; how the two differ is
told in `portway.wire.dialect`. The bind's options have a module of their own, `portway.wire.opts`.
What each key means is written in ``docs/spec/wire.md``. A response that carries a non-empty ``error``
is a refusal, and nothing else in it counts.
"""

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from portway.wire.dialect import MAX_BYTES, MAX_DEPTH, encode
from portway.wire.dialect import decode as decode_any_spelling
from portway.wire.opts import Opts, OptsView, answer_opts, new_opts

if TYPE_CHECKING:
    from portway.errors import Error, MessageError

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "NO_CALLBACK",
    "PROTOCOL_VERSIONS",
    "SECOND",
    "Auth",
    "AuthExtra",
    "AuthResp",
    "AuthRespExtra",
    "Bind",
    "BindExtra",
    "BindLabels",
    "BindLabelsResp",
    "BindResp",
    "BindRespExtra",
    "Command",
    "CommandResp",
    "ConnectAddress",
    "Deprecation",
    "Opts",
    "OptsView",
    "Patch",
    "PatchResp",
    "ProxyHeader",
    "SrvInfo",
    "SrvInfoResp",
    "StopTunnel",
    "Unbind",
    "UnbindResp",
    "Update",
    "answer_opts",
    "decode",
    "encode",
    "new_opts",
    "refusal",
]

PROTOCOL_VERSIONS: Final = ("3", "2")
"""Protocol versions that we speak, in order of preference."""

NO_CALLBACK: Final = "the agent has not defined a callback for this operation"
"""What an agent without a handler says of Update, Stop and Restart."""

SECOND: Final = 1_000_000_000
"""Heartbeat times travel in nanoseconds."""

S = TypeVar("S", bound=msgspec.Struct)


# -- from the agent ------------------------------------------------------------------------------------


class AuthExtra(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "os": "OS",
        "arch": "Arch",
        "authtoken": "Authtoken",
        "version": "Version",
        "hostname": "Hostname",
        "user_agent": "UserAgent",
        "metadata": "Metadata",
        "cookie": "Cookie",
        "heartbeat_interval": "HeartbeatInterval",
        "heartbeat_tolerance": "HeartbeatTolerance",
        "fingerprint": "Fingerprint",
        "update_unsupported_error": "UpdateUnsupportedError",
        "stop_unsupported_error": "StopUnsupportedError",
        "restart_unsupported_error": "RestartUnsupportedError",
        "proxy_type": "ProxyType",
        "mutual_tls": "MutualTLS",
        "service_run": "ServiceRun",
        "config_version": "ConfigVersion",
        "custom_interface": "CustomInterface",
        "custom_cas": "CustomCAs",
        "client_type": "ClientType",
        "leg_number": "LegNumber",
        "description": "Description",
    },
):
    """Who the agent is. Heartbeat times are nanoseconds, 0 = default.

    The three ``…_unsupported_error`` are None when the agent does not know the command, "" when it
    supports it, else the text to show. ``description`` is our own key; other agents do not send it.
    """

    os: str = ""
    arch: str = ""
    authtoken: str = ""
    version: str = ""
    hostname: str = ""
    user_agent: str = ""
    metadata: str = ""
    cookie: str = ""
    heartbeat_interval: int = 0
    heartbeat_tolerance: int = 0
    fingerprint: object = None
    update_unsupported_error: str | None = None
    stop_unsupported_error: str | None = None
    restart_unsupported_error: str | None = None
    proxy_type: str = ""
    mutual_tls: bool = False
    service_run: bool = False
    config_version: str = ""
    custom_interface: bool = False
    custom_cas: bool = False
    client_type: str = ""
    leg_number: int = 0
    description: str = ""

    def __repr__(self) -> str:
        """Show who it is; never the authtoken or the cookie."""
        return f"AuthExtra(user_agent={self.user_agent!r}, leg_number={self.leg_number})"


class Auth(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"version": "Version", "client_id": "ClientId", "extra": "Extra"},
):
    """The first request of a session. ``client_id`` is "" for a new session, else the one to resume."""

    version: tuple[str, ...] = PROTOCOL_VERSIONS
    client_id: str = ""
    extra: AuthExtra = AuthExtra()


class BindExtra(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "name": "Name",
        "token": "Token",
        "ip_policy_ref": "IPPolicyRef",
        "metadata": "Metadata",
        "description": "Description",
        "bindings": "Bindings",
        "pooling_enabled": "PoolingEnabled",
    },
):
    """What belongs to the endpoint itself. ``token`` is the one of the first answer when rebinding."""

    name: str = ""
    token: str = ""
    ip_policy_ref: str = ""
    metadata: str = ""
    description: str = ""
    bindings: tuple[str, ...] | None = None
    pooling_enabled: bool = False


class Bind(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "id": "Id",
        "proto": "Proto",
        "forwards_to": "ForwardsTo",
        "forwards_proto": "ForwardsProto",
        "opts": "Opts",
        "extra": "Extra",
    },
):
    """Ask for an endpoint. ``id`` is "" for a new one; ``proto`` is http, https, tcp or tls.

    ``opts`` are as received (`OptsView.of` reads them); to write, make them with `new_opts`.
    """

    id: str = ""
    proto: str = ""
    forwards_to: str = ""
    forwards_proto: str = ""
    opts: Opts = {}
    extra: BindExtra = BindExtra()


class BindLabels(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "labels": "Labels",
        "forwards_to": "ForwardsTo",
        "forwards_proto": "ForwardsProto",
        "metadata": "Metadata",
    },
):
    """Offer to serve an edge that is chosen by labels."""

    labels: dict[str, str] = {}
    forwards_to: str = ""
    forwards_proto: str = ""
    metadata: str = ""


class Unbind(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "Id", "extra": "Extra"}):
    """Give up an endpoint. May come several times for the same id."""

    id: str = ""
    extra: object = None


class SrvInfo(msgspec.Struct, frozen=True):
    """Ask where the service is; allowed before Auth."""


class Patch(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "tunnel_id": "TunnelId",
        "name": "Name",
        "description": "Description",
        "metadata": "Metadata",
        "pooling_enabled": "PoolingEnabled",
        "traffic_policy": "TrafficPolicy",
    },
):
    """Change a running endpoint. UNSET leaves a field as it is, "" sets it empty."""

    tunnel_id: str = ""
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    metadata: str | UnsetType = UNSET
    pooling_enabled: bool | UnsetType = UNSET
    traffic_policy: str | UnsetType = UNSET


# -- answers of the service ----------------------------------------------------------------------------


class Deprecation(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"next_min": "NextMin", "next_date": "NextDate", "message": "Msg"},
):
    """The agent is too old. ``next_min`` is the version to have by ``next_date`` (RFC 3339)."""

    next_min: str = ""
    next_date: str = ""
    message: str = ""


class ConnectAddress(
    msgspec.Struct, frozen=True, kw_only=True, rename={"region": "Region", "server_addr": "ServerAddr"}
):
    """Where a further session of the same agent may connect; ``server_addr`` is host:port."""

    region: str = ""
    server_addr: str = ""


class AuthRespExtra(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "version": "Version",
        "region": "Region",
        "cookie": "Cookie",
        "account_name": "AccountName",
        "session_duration": "SessionDuration",
        "plan_name": "PlanName",
        "banner": "Banner",
        "deprecation_warning": "DeprecationWarning",
        "connect_addresses": "ConnectAddresses",
        "agent_session_id": "AgentSessionID",
    },
):
    """What the service says of itself and the session. ``session_duration`` is seconds, 0 = unlimited."""

    version: str = ""
    region: str = ""
    cookie: str = ""
    account_name: str = ""
    session_duration: int = 0
    plan_name: str = ""
    banner: str = ""
    deprecation_warning: Deprecation | None = None
    connect_addresses: tuple[ConnectAddress, ...] | None = None
    agent_session_id: str = ""

    def __repr__(self) -> str:
        """Show the session; never the cookie."""
        return f"AuthRespExtra(agent_session_id={self.agent_session_id!r}, region={self.region!r})"


class AuthResp(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"version": "Version", "client_id": "ClientId", "error": "Error", "extra": "Extra"},
):
    """The answer to Auth: the version chosen and the id by which the session may be resumed."""

    version: str = PROTOCOL_VERSIONS[0]
    client_id: str = ""
    error: str = ""
    extra: AuthRespExtra = AuthRespExtra()


class BindRespExtra(
    msgspec.Struct, frozen=True, kw_only=True, rename={"token": "Token", "tunnel_id": "TunnelID"}
):
    """``token`` proves the right to rebind; ``tunnel_id`` is the endpoint's resource id."""

    token: str = ""
    tunnel_id: str = ""


class BindResp(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "id": "Id",
        "url": "URL",
        "proto": "Proto",
        "opts": "Opts",
        "error": "Error",
        "extra": "Extra",
    },
):
    """The answer to a bind. The service makes ``opts`` with `answer_opts`."""

    id: str = ""
    url: str = ""
    proto: str = ""
    opts: Opts = {}
    error: str = ""
    extra: BindRespExtra = BindRespExtra()


class BindLabelsResp(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "Id", "error": "Error"}):
    """The answer to BindLabels."""

    id: str = ""
    error: str = ""


class UnbindResp(msgspec.Struct, frozen=True, kw_only=True, rename={"error": "Error", "extra": "Extra"}):
    """The answer to Unbind."""

    error: str = ""
    extra: dict[str, object] = {}


class SrvInfoResp(msgspec.Struct, frozen=True, kw_only=True, rename={"region": "Region"}):
    """The answer to SrvInfo."""

    region: str = ""


class PatchResp(msgspec.Struct, frozen=True, kw_only=True, rename={"error": "Error"}):
    """The answer to Patch."""

    error: str = ""


# -- from the service ----------------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True):
    """Stop or Restart: the stream's type says which."""


class Update(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"version": "Version", "permit_major_version": "PermitMajorVersion"},
):
    """Ask the agent to update itself; ``version`` "" means the newest."""

    version: str = ""
    permit_major_version: bool = False


class CommandResp(msgspec.Struct, frozen=True, kw_only=True, rename={"error": "Error"}):
    """The agent's answer to Stop, Restart and Update; ``error`` "" means done or begun."""

    error: str = ""


class StopTunnel(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"id": "Id", "message": "Message", "error_code": "ErrorCode"},
):
    """Tell the agent that an endpoint is gone, and why. Never answered."""

    id: str = ""
    message: str = ""
    error_code: str = ""


class ProxyHeader(
    msgspec.Struct,
    frozen=True,
    rename={
        "id": "Id",
        "client_addr": "ClientAddr",
        "proto": "Proto",
        "edge_type": "EdgeType",
        "passthrough_tls": "PassthroughTLS",
    },
):
    """What comes before a visitor's bytes: all five keys are always written.

    ``id`` is the bind's, ``client_addr`` the visitor's ``ip:port`` (IPv6 in brackets).
    ``edge_type`` is a string: "0" or "" plain, "1" TCP, "2" TLS, "3" HTTPS edge.
    """

    id: str
    client_addr: str
    proto: str
    edge_type: str
    passthrough_tls: bool


# -- reading and answering -----------------------------------------------------------------------------


def decode(cls: type[S], body: bytes | bytearray | memoryview) -> S:
    """Read one message in any dialect. Raises MessageError, which names the key that is wrong."""
    if cls is ProxyHeader:
        # One for each visitor, and nearly always spelled exactly: that reads in a tenth of the time.
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # another spelling, or an error to be explained
    return decode_any_spelling(cls, body)


def refusal(error: "Error | MessageError") -> bytes:
    """Write the answer that refuses any request: its text under ``Error``, and nothing else."""
    return msgspec.json.encode({"Error": str(error)})
