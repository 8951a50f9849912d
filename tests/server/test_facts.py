"""What the controller is told of its service."""

from pathlib import Path

import pytest

from portway.control.service.settings import Settings
from portway.edge.ports import EdgeConfig
from portway.errors import ConfigError
from portway.model.plan import Plan
from portway.server import facts

EDGE = EdgeConfig(http_port=7080, https_port=7443)


def test_the_edge_says_its_names_and_real_ports() -> None:
    assert facts.facts_of(EDGE) == Settings()


def test_the_api_is_https_except_on_this_machine() -> None:
    real = EdgeConfig(domain="tunnel.example.com", https_port=443)
    assert facts.facts_of(real).api_url == "https://api.tunnel.example.com"
    assert facts.facts_of(EdgeConfig(domain="localhost", http_port=81)).api_url == "http://api.localhost:81"


def test_settings_survive_the_command_line() -> None:
    plans = {"free": Plan(domains=1, custom_domains=False)}
    settings = Settings(domain="example.com", tcp_ports=range(5, 9), region="eu", plans=plans)
    assert facts.read(facts.written(settings)) == settings


@pytest.mark.parametrize("text", ["", "{", '{"tcp_ports":5}', '{"domain":1}'])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--settings"):
        facts.read(text)


def test_settings_are_kept_for_commands_without_the_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="start the service once"):
        facts.kept(tmp_path)
    settings = Settings(domain="example.com", tcp_ports=range(5, 9))
    facts.keep(tmp_path, settings)
    assert facts.kept(tmp_path) == settings
    (tmp_path / facts.KEPT).write_text("{")
    with pytest.raises(ConfigError, match=r"settings\.json: "):
        facts.kept(tmp_path)
    facts.keep(tmp_path / "nowhere", settings)
    assert "cannot be written" in caplog.text
