"""What use cases must know of how this service is set up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Facts of the configuration, as the controller was told them. The defaults are those of a laptop.

    ``tcp_ports`` are the ports that tcp:// endpoints are given; the public ports are those that
    visitors use; ``api_url`` is the base of every URI in an answer of the API, without a final slash.
    """

    domain: str = "portway.localhost"
    region: str = "local"
    tcp_host: str = "localhost"
    tcp_ports: range = range(20_000, 21_000)
    http_port: int = 7080
    https_port: int = 7443
    api_url: str = "http://api.portway.localhost:7080"
