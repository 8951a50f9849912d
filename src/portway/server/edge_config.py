"""What the edge must know: the service's settings, and the ports that its listeners really have."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from portway.edge.ports import EdgeConfig, Limits
from portway.model.domain import AUTH_LABEL
from portway.server.parsers import Address

if TYPE_CHECKING:
    from portway.server.config import EdgeConfig as Settings

_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})


def edge_config(
    settings: "Settings", limits: Limits | None, *, agents: int, http: int, https: int
) -> EdgeConfig:
    """Put it together. ``limits`` replaces those that settings do not set; ``agents``, ``http`` and ``https``
    are the ports of the listeners.
    """
    given = Limits(drain=settings.drain_timeout, endpoints_per_session=settings.endpoints_per_session)
    return EdgeConfig(
        domain=settings.domain,
        region=settings.region,
        http_port=settings.public_http_port or http,
        https_port=settings.public_https_port or https,
        tcp_host=settings.tcp_host,
        auth_host=settings.auth_host or f"{AUTH_LABEL}.{settings.domain}",
        tcp_ports=range(settings.tcp_ports.low, settings.tcp_ports.high + 1),
        tcp_listen=settings.listen_http.host,
        connect_addresses=connect_addresses(settings, agents),
        trust_forwarded=settings.trust_forwarded,
        access_events=settings.access_events,
        plans=settings.plans,
        min_agent_version=settings.min_agent_version,
        proxy_from=settings.proxy_from,
        geoip=settings.geoip,
        crs=settings.crs,
        policy_limits=settings.policy_limits,
        unreserved_domains=settings.unreserved_domains,
        version=f"portway/{service_version()}",  # the name by which our own agents know their service
        limits=limits or given,
    )


def connect_addresses(settings: "Settings", port: int) -> tuple[str, ...]:
    """Return each ``host:port`` under which agents find this service, the listener's own first."""
    host = settings.listen_agent.host
    if host in _ANY_ADDRESS:
        host = f"connect.{settings.domain}"
    known = [Address(host, port), *settings.connect_addresses]
    return tuple(dict.fromkeys(str(Address(each.host, each.port or port)) for each in known))


def service_version() -> str:
    """Return the version of this program."""
    try:
        return version("portway")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0"
