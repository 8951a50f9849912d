"""portway: put a local service on the internet through your own server.

::

    import asyncio, portway


    async def main() -> None:
        async with portway.Agent() as agent:
            forwarder = await agent.forward("localhost:8080")
            print(forwarder.url)
            await forwarder.wait()


    asyncio.run(main())

The names below are loaded when they are first used, so that importing portway costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.builder import (
        HttpEndpointBuilder,
        LabeledListenerBuilder,
        Session,
        SessionBuilder,
        TcpEndpointBuilder,
        TlsEndpointBuilder,
    )
    from portway.agent.connection import Connection
    from portway.agent.default import default_agent
    from portway.agent.diagnose import (
        DiagnoseFailure,
        Diagnoser,
        DiagnoseResult,
        is_muxado_diagnose_failure,
        is_tcp_diagnose_failure,
        is_tls_diagnose_failure,
    )
    from portway.agent.dialer import Dialer
    from portway.agent.dual import Forwarding, Listening
    from portway.agent.endpoint import Endpoint, EndpointListener
    from portway.agent.events import (
        AgentConnectSucceeded,
        AgentDisconnected,
        AgentHeartbeatReceived,
        ConnectionClosed,
        ConnectionOpened,
        Event,
        EventType,
        HTTPRequestComplete,
    )
    from portway.agent.forwarder import EndpointForwarder
    from portway.agent.info import AgentSession
    from portway.agent.options import ClientInfo
    from portway.agent.rpc import RPCRequest
    from portway.agent.serve import serve
    from portway.agent.sync import SyncAgent, SyncConnection, SyncForwarder, SyncListener
    from portway.agent.termination import TLSTermination
    from portway.agent.upstream import ProxyProtocol, Upstream
    from portway.agent.url import URL
    from portway.agent.v1 import forward, listen, listen_and_forward
    from portway.errors import (
        AlreadyConnected,
        ConfigError,
        ConnectError,
        Error,
        ListenerClosed,
        NotConnected,
        PortwayError,
        SessionClosed,
        StreamReset,
    )

    __version__: str

__all__ = [
    "URL",
    "Agent",
    "AgentConnectSucceeded",
    "AgentDisconnected",
    "AgentHeartbeatReceived",
    "AgentSession",
    "AlreadyConnected",
    "ClientInfo",
    "ConfigError",
    "ConnectError",
    "Connection",
    "ConnectionClosed",
    "ConnectionOpened",
    "DiagnoseFailure",
    "DiagnoseResult",
    "Diagnoser",
    "Dialer",
    "Endpoint",
    "EndpointForwarder",
    "EndpointListener",
    "Error",
    "Event",
    "EventType",
    "Forwarding",
    "HTTPRequestComplete",
    "HttpEndpointBuilder",
    "LabeledListenerBuilder",
    "ListenerClosed",
    "Listening",
    "NotConnected",
    "PortwayError",
    "ProxyProtocol",
    "RPCRequest",
    "Session",
    "SessionBuilder",
    "SessionClosed",
    "StreamReset",
    "SyncAgent",
    "SyncConnection",
    "SyncForwarder",
    "SyncListener",
    "TLSTermination",
    "TcpEndpointBuilder",
    "TlsEndpointBuilder",
    "Upstream",
    "__version__",
    "default_agent",
    "forward",
    "is_muxado_diagnose_failure",
    "is_tcp_diagnose_failure",
    "is_tls_diagnose_failure",
    "listen",
    "listen_and_forward",
    "serve",
]

_HOME = {
    "agent.agent": ("Agent",),
    "agent.builder": (
        "HttpEndpointBuilder",
        "LabeledListenerBuilder",
        "Session",
        "SessionBuilder",
        "TcpEndpointBuilder",
        "TlsEndpointBuilder",
    ),
    "agent.connection": ("Connection",),
    "agent.default": ("default_agent",),
    "agent.diagnose": (
        "Diagnoser",
        "DiagnoseFailure",
        "DiagnoseResult",
        "is_muxado_diagnose_failure",
        "is_tcp_diagnose_failure",
        "is_tls_diagnose_failure",
    ),
    "agent.dialer": ("Dialer",),
    "agent.dual": ("Forwarding", "Listening"),
    "agent.endpoint": ("Endpoint", "EndpointListener"),
    "agent.events": (
        "AgentConnectSucceeded",
        "AgentDisconnected",
        "AgentHeartbeatReceived",
        "ConnectionClosed",
        "ConnectionOpened",
        "Event",
        "EventType",
        "HTTPRequestComplete",
    ),
    "agent.forwarder": ("EndpointForwarder",),
    "agent.info": ("AgentSession",),
    "agent.options": ("ClientInfo",),
    "agent.rpc": ("RPCRequest",),
    "agent.serve": ("serve",),
    "agent.sync": ("SyncAgent", "SyncConnection", "SyncForwarder", "SyncListener"),
    "agent.termination": ("TLSTermination",),
    "agent.upstream": ("ProxyProtocol", "Upstream"),
    "agent.url": ("URL",),
    "agent.v1": ("forward", "listen", "listen_and_forward"),
    "errors": (
        "AlreadyConnected",
        "ConfigError",
        "ConnectError",
        "Error",
        "ListenerClosed",
        "NotConnected",
        "PortwayError",
        "SessionClosed",
        "StreamReset",
    ),
}
"""Where each public name lives."""

_MODULE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name on its first use."""
    if name == "__version__":
        found: object = import_module("portway.agent.version").own_version()
    elif name in _MODULE:
        found = getattr(import_module(f"portway.{_MODULE[name]}"), name)
    else:
        raise AttributeError(f"module 'portway' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
