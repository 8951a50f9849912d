"""What accounts of a plan may have."""

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """Limits of one plan. None: as many as they like, which is how every plan begins. 0: none at all."""

    domains: int | None = None
    """Reserved domains, the dev domain aside."""
    wildcard_domains: int | None = None
    """Wildcards among them."""
    custom_domains: bool = True
    """Names that do not lie below the service's own domain."""
    addresses: int | None = None
    """Reserved TCP addresses."""
    certificates: int | None = None
    """Uploaded TLS certificates."""
    managed_certificates: bool = True
    """Certificates that the service gets by itself for foreign names."""
    authorities: int | None = None
    """Certificate authorities."""
    authtokens: int | None = None
    """Authtokens that are good."""
    api_keys: int | None = None
    """API keys that are good."""
    ssh_keys: int | None = None
    """SSH public keys."""
    ip_policies: int | None = None
    """IP policies."""
    ip_rules: int | None = None
    """Rules of all IP policies together."""
    ip_policy_rules: int | None = None
    """Rules of one IP policy."""
    ip_restrictions: bool = True
    """Restrictions of the account by address."""
    cloud_endpoints: int | None = None
    """Cloud endpoints."""
    pool_size: int | None = None
    """Endpoints of a pool that another may join, itself included."""
    endpoints: int | None = None
    """Endpoints of agents that are online at once; labelled tunnels are not counted."""
    labelled_tunnels: bool = True
    """Tunnels that have labels in the place of a URL."""
    tcp_endpoints: bool = True
    """TCP endpoints, at random addresses and at reserved ones."""
    tls_endpoints: bool = True
    """TLS endpoints."""
    agents: int | None = None
    """Agents that are connected at once, each with all its legs; SSH clients are not counted."""
    health_data: bool = False
    """Its accounts handle data of patients: rules for these forbid connecting by SSH."""
