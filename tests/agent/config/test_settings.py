"""The agent's own options: every one has a reader, a default of "not said", and an effect or a sentence."""

import pytest

from portway.agent.config import settings
from portway.agent.config.document import Problems, parse
from portway.agent.config.model import Settings
from portway.agent.config.values import address_and_port, fields
from portway.errors import ConfigError

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


@pytest.mark.row("K-26")
@pytest.mark.parametrize("name", list(settings.VERSION_2))
def test_version_2(name: str) -> None:
    written, value = EXAMPLES[name]
    problems = Problems()
    said = fields(parse(f"{name}: {written}\n", "/f.yml"), settings.VERSION_2, problems)
    problems.check()
    assert said == {name: value}
    Settings(**settings.renamed(said))


@pytest.mark.row("K-26")
@pytest.mark.parametrize("name", list(settings.VERSION_3))
def test_version_3(name: str) -> None:
    written, value = EXAMPLES[name]
    problems = Problems()
    said = fields(parse(f"{name}: {written}\n", "/f.yml"), settings.VERSION_3, problems)
    problems.check()
    assert Settings(**said) == Settings(**{name: value})  # pyright: ignore[reportArgumentType]


def test_what_is_switched_off_asks_for_nothing() -> None:
    assert settings.without_effect(Settings(update_check=False, web_addr="false", inspect_db_size=-1)) == []
    assert settings.without_effect(Settings(web_addr="127.0.0.1:4040", update_check=True)) == [
        "update_check has no effect: portway does not look for updates",
        "web_addr has no effect: there is no web interface in this version",
    ]


@pytest.mark.row("K-26")
@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        (
            "proxy_url",
            "127.0.0.1:3128",
            "the proxy URL must begin with a scheme: http://, https:// or socks5://",
        ),
        ("proxy_url", "ftp://h", "the proxy URL: there are no ftp proxies here"),
        ("crl_url", "/etc/list", "an http:// or https:// URL is wanted"),
        ("connect_url", "https://h", "host:port is wanted, without a scheme"),
        ("connect_url", "h:x", "the connect URL: 'x' is not a port"),
    ],
)
def test_an_address_is_judged_where_it_stands(name: str, written: str, said: str) -> None:
    problems = Problems()
    fields(parse(f"{name}: {written}\n", "/f.yml"), settings.VERSION_3, problems)
    with pytest.raises(ConfigError) as caught:
        problems.check()
    assert str(caught.value).startswith(f"/f.yml:1:{len(name) + 3} {name}: {said}")


@pytest.mark.parametrize(
    "written", ["resolver.test", "[192.0.2.1, '']", "[192.0.2.1:0]", "['[::1]:x']", "[1.2.3]"]
)
def test_what_is_no_name_server(written: str) -> None:
    problems = Problems()
    fields(parse(f"dns_resolver_ips: {written}\n", "/f.yml"), settings.VERSION_3, problems)
    with pytest.raises(ConfigError, match=r"/f.yml:1:19 dns_resolver_ips: '.*' is no IP address"):
        problems.check()


def test_name_servers_with_their_ports() -> None:
    given = ("192.0.2.1", "192.0.2.1:5353", "::1", "[::1]:53")
    found = [("192.0.2.1", 0), ("192.0.2.1", 5353), ("::1", 0), ("::1", 53)]
    assert [address_and_port(each) for each in given] == found


def test_what_has_no_effect_is_known() -> None:
    assert set(settings.WITHOUT_EFFECT) <= set(Settings.__dataclass_fields__)
