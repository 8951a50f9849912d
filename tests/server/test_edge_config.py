"""What the edge is told of the service's settings and ports."""

from dataclasses import replace

from tests.kit.service import DOMAIN, settings

from portway.edge.ports import Limits
from portway.server.edge_config import connect_addresses, edge_config, service_version
from portway.server.parsers import Address


def test_the_addresses_that_agents_are_told() -> None:
    def told(host: str, domain: str = DOMAIN, *more: Address) -> tuple[str, ...]:
        config = settings(listen_agent=Address(host, 1), domain=domain, connect_addresses=more)
        return connect_addresses(config, 4443)

    assert told("127.0.0.1") == ("127.0.0.1:4443",)
    assert told("::1") == ("[::1]:4443",)
    assert told("0.0.0.0", "example.com") == ("connect.example.com:4443",)
    more = (Address("two.example.com", 0), Address("::1", 443), Address("127.0.0.1", 4443))
    assert told("127.0.0.1", DOMAIN, *more) == ("127.0.0.1:4443", "two.example.com:4443", "[::1]:443")


def test_settings_reach_the_edge() -> None:
    config = replace(settings(), trust_forwarded=False, region="here", unreserved_domains="none")
    edge = edge_config(config, None, agents=1, http=2, https=3)
    assert (edge.region, edge.trust_forwarded, edge.tcp_host) == ("here", False, "localhost")
    assert edge.unreserved_domains == "none"
    assert list(edge.tcp_ports) == list(range(config.tcp_ports.low, config.tcp_ports.high + 1))
    assert edge.version == f"portway/{service_version()}"
    assert service_version()[0].isdigit()
    assert edge.limits.drain == config.drain_timeout
    assert edge.auth_host == f"auth.{config.domain}"


def test_public_ports_go_before_those_of_the_listeners() -> None:
    edge = edge_config(settings(public_https_port=443), None, agents=1, http=2, https=3)
    assert (edge.http_port, edge.https_port) == (2, 443)
    assert edge.connect_addresses[0].endswith(":1")


def test_limits_may_be_given_whole() -> None:
    limits = Limits(drain=1.0)
    assert edge_config(settings(), limits, agents=1, http=2, https=3).limits is limits
