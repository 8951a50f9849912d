"""The bind part of ``-R`` and a command, and the bind that they ask for together."""

import pytest

from portway.edge.binding import read_wish
from portway.edge.ports import EdgeConfig
from portway.edge.ssh_command import read_command
from portway.edge.ssh_request import Forward, bind_of
from portway.errors import Error

CONFIG = EdgeConfig(
    domain="portway.localhost", http_port=7080, https_port=7443, tcp_ports=range(20_000, 21_000)
)


def url_of(command: str, host: str, port: int) -> str:
    bind = bind_of(read_command(command), Forward(host, port), CONFIG)
    wish = read_wish(bind, CONFIG)
    assert wish.url.scheme == bind.proto
    return str(wish.url)


@pytest.mark.parametrize(
    ("command", "host", "port", "url"),
    [
        ("http", "localhost", 0, "https://"),
        ("http", "", 443, "https://"),
        ("http", "*", 7443, "https://"),
        ("http", "localhost", 80, "http://"),
        ("http", "localhost", 7080, "http://"),
        ("http", "App.portway.localhost", 443, "https://app.portway.localhost:7443"),
        ("http", "*.tunnel.test", 443, "https://*.tunnel.test:7443"),
        ("http", "app.tunnel.test", 80, "http://app.tunnel.test:7080"),
        ("http --url https://app.tunnel.test", "localhost", 0, "https://app.tunnel.test:7443"),
        ("http --url http://app.tunnel.test", "localhost", 0, "http://app.tunnel.test:7080"),
        ("http --url http://", "localhost", 0, "http://"),
        ("http --url http://app.tunnel.test", "app.tunnel.test", 80, "http://app.tunnel.test:7080"),
        ("http --domain app.tunnel.test", "localhost", 443, "https://app.tunnel.test:7443"),
        ("http --hostname app.tunnel.test", "localhost", 0, "https://app.tunnel.test:7443"),
        ("http --subdomain app", "localhost", 443, "https://app.portway.localhost:7443"),
        ("tls", "localhost", 0, "tls://"),
        ("tls", "app.tunnel.test", 443, "tls://app.tunnel.test:7443"),
        ("tcp", "localhost", 0, "tcp://"),
        ("tcp", "127.0.0.1", 0, "tcp://"),
        ("tcp", "localhost", 20_001, "tcp://localhost:20001"),
        ("tcp", "1.tcp.tunnel.test", 20_001, "tcp://1.tcp.tunnel.test:20001"),
        ("tcp --remote-addr 1.tcp.tunnel.test:20001", "localhost", 0, "tcp://1.tcp.tunnel.test:20001"),
        ("tcp --url tcp://1.tcp.tunnel.test:20001", "localhost", 0, "tcp://1.tcp.tunnel.test:20001"),
        ("tcp --url tcp://", "localhost", 0, "tcp://"),
    ],
)
def test_what_is_asked_for(command: str, host: str, port: int, url: str) -> None:
    assert url_of(command, host, port) == url


@pytest.mark.row("K-31")
@pytest.mark.parametrize(
    ("command", "host", "port", "code"),
    [
        ("http", "localhost", 8080, 1113),
        ("tls", "localhost", 80, 1113),
        ("http --url http://a.b.test", "localhost", 443, 1113),
        ("tcp --remote-addr one.test:1", "two.test", 0, 1114),
        ("tcp --remote-addr one.test:20001", "one.test", 20_002, 1115),
        ("tcp", "localhost", 4711, 1116),
        ("tcp", "", 20_001, 1116),
        ("tcp", "one.test", 0, 1117),
        ("http --hostname one.test.a", "two.test", 443, 1118),
        ("http --url https://one.test.a", "two.test.a", 443, 1118),
        ("http --subdomain one", "two.test", 443, 1119),
        ("http --hostname one.test --subdomain one", "localhost", 443, 1120),
        ("tcp --url https://one.test", "localhost", 0, 9036),
        ("http --url tcp://one.test:1", "localhost", 0, 9036),
        ("tls --url https://one.test", "localhost", 0, 9036),
    ],
)
def test_parts_that_do_not_fit(command: str, host: str, port: int, code: int) -> None:
    with pytest.raises(Error) as refused:
        url_of(command, host, port)
    assert refused.value.code == f"ERR_NGROK_{code}"


def test_texts_and_options_go_along() -> None:
    asked = read_command("http --name n --metadata m --pooling-enabled --binding internal --compression")
    bind = bind_of(asked, Forward("a.internal", 443), CONFIG)
    assert (bind.extra.name, bind.extra.metadata, bind.extra.pooling_enabled) == ("n", "m", True)
    assert bind.extra.bindings == ("internal",)
    assert bind.opts["Compression"] == {}
