"""The guard of requests that this service makes: what the operator allows, and where it listens itself."""

from typing import TYPE_CHECKING

from portway.model.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portway.server.config import EdgeConfig


def guard_of(edge: "EdgeConfig", ports: "Iterable[int]" = ()) -> Guard:
    """Return the guard of a configuration. ``ports`` are those that the kernel chose for port 0."""
    listeners = [edge.listen_agent, edge.listen_http, edge.listen_https]
    if edge.listen_ssh is not None:
        listeners.append(edge.listen_ssh)
    own = [(each.host, each.port) for each in listeners if each.port]
    own += [(edge.listen_http.host, port) for port in range(edge.tcp_ports.low, edge.tcp_ports.high + 1)]
    own += [(edge.listen_http.host, port) for port in ports]
    return Guard((str(each) for each in edge.outgoing_allow), own=own)
