"""What the controller is told of its service."""

import pytest

from portway.control.service.settings import Settings
from portway.edge.ports import EdgeConfig
from portway.errors import ConfigError
from portway.server import facts

EDGE = EdgeConfig(http_port=7080, https_port=7443)


def test_the_edge_says_its_names_and_real_ports() -> None:
    assert facts.facts_of(EDGE) == Settings()


def test_the_api_is_https_except_on_this_machine() -> None:
    real = EdgeConfig(domain="tunnel.example.com", https_port=443)
    assert facts.facts_of(real).api_url == "https://api.tunnel.example.com"
    assert facts.facts_of(EdgeConfig(domain="localhost", http_port=81)).api_url == "http://api.localhost:81"


def test_settings_survive_the_command_line() -> None:
    settings = Settings(domain="example.com", tcp_ports=range(5, 9), region="eu")
    assert facts.read(facts.written(settings)) == settings


@pytest.mark.parametrize("text", ["", "{", '{"tcp_ports":5}', '{"domain":1}'])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--settings"):
        facts.read(text)
