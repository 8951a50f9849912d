"""The agent's own options: every one has a reader, a default of "not said", and an effect or a sentence."""

import pytest

from portway.agent.config import settings
from portway.agent.config.document import Problems, parse
from portway.agent.config.model import Settings
from portway.agent.config.values import fields

EXAMPLES = {
    "authtoken": ("T", "T"),
    "api_key": ("K", "K"),
    "connect_interface": ("eth0", "eth0"),
    "connect_timeout": ("10s", 10.0),
    "console_ui": ("iftty", "iftty"),
    "console_ui_color": ("transparent", "transparent"),
    "crl_noverify": ("true", True),
    "crl_url": ("http://x", "http://x"),
    "dns_resolver_ips": ("[10.0.0.1]", ("10.0.0.1",)),
    "heartbeat_interval": ("5s", 5.0),
    "heartbeat_tolerance": ("1m", 60.0),
    "inspect_db_size": ("-1", -1),
    "local_storage": ("false", False),
    "log": ("false", "false"),
    "log_format": ("json", "json"),
    "log_level": ("warn", "warn"),
    "metadata": ("m", "m"),
    "proxy_url": ("http://p:1", "http://p:1"),
    "remote_management": ("false", False),
    "update_channel": ("beta", "beta"),
    "update_check": ("false", False),
    "web_addr": ("127.0.0.1:4040", "127.0.0.1:4040"),
    "web_allow_hosts": ("[.x.test]", (".x.test",)),
    "server_addr": ("h:1", "h:1"),
    "root_cas": ("/ca.pem", "/ca.pem"),
    "region": ("eu", "eu"),
    "connect_url": ("h:1", "h:1"),
    "connect_cas": ("host", "host"),
}


@pytest.mark.parametrize("name", list(settings.VERSION_2))
def test_version_2(name: str) -> None:
    written, value = EXAMPLES[name]
    problems = Problems()
    said = fields(parse(f"{name}: {written}\n", "/f.yml"), settings.VERSION_2, problems)
    problems.check()
    assert said == {name: value}
    Settings(**settings.renamed(said))


@pytest.mark.parametrize("name", list(settings.VERSION_3))
def test_version_3(name: str) -> None:
    written, value = EXAMPLES[name]
    problems = Problems()
    said = fields(parse(f"{name}: {written}\n", "/f.yml"), settings.VERSION_3, problems)
    problems.check()
    assert Settings(**said) == Settings(**{name: value})  # pyright: ignore[reportArgumentType]


def test_what_has_no_effect_is_known() -> None:
    assert set(settings.WITHOUT_EFFECT) <= set(Settings.__dataclass_fields__)
