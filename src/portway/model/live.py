"""What is online now: the values that the data plane tells the control plane.

A session and an endpoint are told whole each time they change; what is over is told by its
identifier alone. A :class:`LiveNote` carries some of both. They travel as plain JSON objects, with
the fields as they stand here. Times are Unix seconds; an empty text means *not said*.
"""

import msgspec


class LiveSession(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is connected. ``ip`` is where it connected from.

    ``agent_version`` is the version of its outermost program, ``transport`` how it speaks.
    """

    id: str
    account_id: str
    credential_id: str
    agent_version: str = ""
    user_agent: str = ""
    ip: str = ""
    metadata: str = ""
    description: str = ""
    os: str = ""
    arch: str = ""
    region: str = ""
    transport: str = "ngrok/v2"
    started_at: float


class LiveEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that an agent has online. ``session_id`` is the session that serves it now.

    ``forwards_to`` and ``upstream_protocol`` are what the agent said of its upstream. ``labels`` are those of
    a labelled tunnel, which serves edges: it is no endpoint and has no URL.
    """

    id: str
    account_id: str
    session_id: str
    url: str
    binding: str = "public"
    name: str = ""
    description: str = ""
    metadata: str = ""
    region: str = ""
    forwards_to: str = ""
    upstream_protocol: str = ""
    pooling_enabled: bool = False
    traffic_policy: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    created_at: float
    updated_at: float


class LiveNote(msgspec.Struct, frozen=True, kw_only=True):
    """One message: what is new or changed, and the identifiers of what is gone.

    ``reset``: forget everything first. ``complete``: nothing is left to tell; it is False while a
    control plane that has just started is still being told of all that was there before it.
    """

    reset: bool = False
    complete: bool = True
    sessions: tuple[LiveSession, ...] = ()
    endpoints: tuple[LiveEndpoint, ...] = ()
    gone: tuple[str, ...] = ()
