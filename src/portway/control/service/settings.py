"""What use cases must know of how this service is set up."""

from collections.abc import Mapping

import msgspec

from portway.model.agent_version import Demand
from portway.model.plan import Plan
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits


class Settings(msgspec.Struct, frozen=True):
    """Facts of the configuration, as the controller was told them. The defaults are those of a laptop.

    ``tcp_ports`` are the ports that tcp:// endpoints are given; the public ports are those that
    visitors use; ``api_url`` is the base of every URI in an answer of the API, without a final slash.
    ``api_rate`` and ``api_parallel`` bound an account's requests a minute and at once, 0: not at all.
    After ``wrong_keys`` a minute an address waits ``wrong_key_delay`` seconds for each further answer.
    ``plans`` bounds what accounts of a plan may have, by the plan's name; without any, nothing is bounded.
    """

    domain: str = "portway.localhost"
    region: str = "local"
    tcp_host: str = "localhost"
    tcp_ports: range = range(20_000, 21_000)
    http_port: int = 7080
    https_port: int = 7443
    api_url: str = "http://api.portway.localhost:7080"
    api_rate: int = 0
    api_parallel: int = 0
    wrong_keys: int = 10
    wrong_key_delay: float = 5.0
    plans: Mapping[str, Plan] = msgspec.field(default_factory=dict[str, Plan])
    min_agent_version: tuple[Demand, ...] = ()
    """Agents that are older are refused, or warned."""
    admin_cidrs: tuple[str, ...] = ()
    """Networks that no IP restriction keeps out of API and dashboard."""
    outgoing_allow: tuple[str, ...] = ()
    """Networks that the service may send requests to whatever else holds."""
    listeners: tuple[tuple[str, int], ...] = ()
    """Addresses and ports on which the data plane listens: agents, http, https and the others."""
    auth_host: str = "auth.portway.localhost"
    """Host to which identity providers send visitors back."""
    oauth_providers: tuple[str, ...] = ()
    """Those at which the operator has an application."""
    geoip: bool = False
    """The data plane knows where addresses are, so policies may ask."""
    crs: bool = False
    """The data plane has an OWASP Core Rule Set, so policies may have it applied."""
    policy_limits: PolicyLimits = DEFAULT_LIMITS
    """How much a Traffic Policy may be and do."""
