"""The operator's files: small ones made here, and policies that ask them."""

from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from tests.kit.agent import code
from tests.kit.policies import ruled
from tests.kit.service import running_worker, settings

from portway.edge.geoip import open_geoip
from portway.errors import ConfigError
from portway.policy.geo import Geo, Place

CITY = {
    "city": {"names": {"en": "Zürich", "de": "Zürich"}},
    "continent": {"names": {"en": "Europe"}},
    "country": {"iso_code": "CH", "names": {"en": "Switzerland"}},
    "registered_country": {"iso_code": "DE", "names": {"en": "Germany"}, "is_in_european_union": True},
    "location": {"latitude": 47.5, "longitude": 8.5, "accuracy_radius": 20, "time_zone": "Europe/Zurich"},
    "postal": {"code": "8001"},
    "subdivisions": [{"names": {"en": "Zurich"}}],
}
NETWORK = {"autonomous_system_number": 64_500, "autonomous_system_organization": "Example"}


def written(path: Path, entry: dict[str, Any], *networks: str) -> Path:
    """Write a file in which these networks have this entry."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test", int_type="auto")
    writer.insert_network(IPSet(networks), entry)
    writer.to_db_file(str(path))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Make a City and an ASN file."""
    folder = tmp_path_factory.mktemp("geoip")
    return [
        written(folder / "city.mmdb", CITY, "127.0.0.0/8", "2001:db8::/32"),
        written(folder / "asn.mmdb", NETWORK, "127.0.0.1/32"),
    ]


def test_what_several_files_know_is_one_answer(files: list[Path]) -> None:
    look = open_geoip(files)
    place = Place(
        city="Zürich",
        continent="Europe",
        country="Switzerland",
        country_code="CH",
        latitude="47.5",
        longitude="8.5",
        postal_code="8001",
        radius="20",
        subdivision="Zurich",
        timezone="Europe/Zurich",
    )
    registered = Place(continent="Europe", country="Germany", country_code="DE", is_eu=True)
    assert look("127.0.0.1") == Geo(place, registered, 64_500, "Example")
    assert look("2001:db8::1").as_number is None
    assert look("192.0.2.1") == look("no address") == Geo()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mmdb"
    bad.write_bytes(b"nothing")
    for path in (bad, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="--geoip"):
            open_geoip([path])


ASKS = """
on_http_request:
  - expressions: ["conn.geo.country_code == 'CH'"]
    actions:
      - type: custom-response
        config: {body: "${conn.geo.city} ${conn.client_ip.as.number}"}
"""


async def test_a_policy_may_ask(files: list[Path]) -> None:
    async with ruled(ASKS, geo=open_geoip(files)) as on:
        client = await on.stand.visit()
        client.get("/")
        assert (await client.answer())[2].decode() == "Zürich 64500"


async def test_without_a_file_a_policy_that_asks_is_refused(files: list[Path]) -> None:
    async with running_worker() as service, service.connected() as agent:
        assert code(await agent.bind("https", {"URL": "", "TrafficPolicy": ASKS})) == "2200"
    async with running_worker(config=settings(geoip=tuple(files))) as service, service.connected() as agent:
        assert (await agent.bind("https", {"URL": "", "TrafficPolicy": ASKS}))["Error"] == ""
