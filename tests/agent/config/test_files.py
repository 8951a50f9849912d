"""Where files are looked for, what they say together, and ngrok's own files read as they are."""

from pathlib import Path

import pytest

from portway.agent.config.files import chosen_paths, default_path, load
from portway.agent.config.model import Config, Settings
from portway.errors import ConfigError


def loaded(folder: Path, *texts: str) -> Config:
    names: list[str] = []
    for number, text in enumerate(texts):
        file = folder / f"{number}.yml"
        file.write_text(text)
        names.append(str(file))
    return load([",".join(names)])


VERSION_2 = """\
version: 2
authtoken: T_EXAMPLE
tunnels:
  shop:
    proto: http
    addr: 5000
    domain: shop.tunnel.test
    ip_restriction: {allow_cidrs: [10.0.0.0/8]}
  db:
    proto: tcp
    addr: 10.1.1.9:5432
    remote_addr: 1.tcp.tunnel.test:20001
    proxy_proto: 2
"""
VERSION_3 = """\
version: 3
agent:
  authtoken: T_EXAMPLE
  connect_url: connect.tunnel.test:4443
  connect_cas: /etc/tunnel/root.pem
  heartbeat_interval: 5s
endpoints:
  - name: shop
    url: https://shop.tunnel.test
    pooling_enabled: true
    traffic_policy:
      on_http_request:
        - actions: [{type: deny, config: {status_code: 403}}]
          expressions: ["req.url.path.startsWith('/admin')"]
    upstream: {url: 5000, protocol: http2}
  - name: mail
    url: tls://mail.tunnel.test
    agent_tls_termination:
      server_certificate: mail.crt
      server_private_key: mail.key
      mutual_tls_certificate_authorities: [clients.pem]
    upstream: {url: "tcp://127.0.0.1:2525"}
"""


@pytest.mark.row("T-021", "T-032", "T-051", "T-062")
def test_a_file_of_version_2(tmp_path: Path) -> None:
    config = loaded(tmp_path, VERSION_2)
    assert config.version == 2
    assert config.settings == Settings(authtoken="T_EXAMPLE")
    (shop,), (db,) = config.endpoints["shop"], config.endpoints["db"]
    assert (shop.url, shop.upstream, shop.modules) == (
        "shop.tunnel.test",
        "5000",
        {"IPRestriction": {"allow_cidrs": ["10.0.0.0/8"]}},
    )
    assert (db.url, db.upstream, db.proxy_protocol) == (
        "tcp://1.tcp.tunnel.test:20001",
        "10.1.1.9:5432",
        "2",
    )


@pytest.mark.row("T-032", "T-062")
def test_a_file_of_version_3(tmp_path: Path) -> None:
    config = loaded(tmp_path, VERSION_3)
    assert config.settings.connect_url == "connect.tunnel.test:4443"
    assert config.settings.heartbeat_interval == 5.0
    (shop,), (mail,) = config.endpoints["shop"], config.endpoints["mail"]
    assert shop.traffic_policy.startswith('{"on_http_request":[{"actions":[{"type":"deny"')
    assert (shop.pooling_enabled, shop.upstream_protocol) == (True, "http2")
    assert mail.termination is not None
    assert mail.termination.certificate == tmp_path / "mail.crt"


@pytest.mark.row("K-27")
def test_scalars_lists_and_maps_are_merged(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "version: 3\nagent: {log: a, log_level: warn, dns_resolver_ips: [10.0.0.1, 10.0.0.2]}\n"
        "endpoints: [{name: a, upstream: {url: 1}}, {name: b, upstream: {url: 2}}]\n"
        "tunnels: {x: {proto: tcp, addr: 1}, y: {proto: tcp, addr: 2}}\n",
        "version: 3\nagent: {log: b, dns_resolver_ips: [10.0.0.3]}\n"
        "endpoints: [{name: c, upstream: {url: 3}}]\n"
        "tunnels: {y: {proto: tcp, addr: 3}}\n",
    )
    assert (config.settings.log, config.settings.log_level) == ("b", "warn")
    assert config.settings.dns_resolver_ips == ("10.0.0.3",)
    assert {name: each[0].upstream for name, each in config.endpoints.items()} == {
        "c": "3",
        "x": "1",
        "y": "3",
    }


@pytest.mark.row("K-27")
def test_a_file_that_says_nothing_of_endpoints_leaves_them(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, "version: 3\nendpoints: [{name: a, upstream: {url: 1}}]\n", "version: 3\nagent: {}\n"
    )
    assert list(config.endpoints) == ["a"]


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (["version: 2\n", "version: 3\n"], "files that are merged have one version"),
        (["agent: {}\n"], "version: missing; write `version: 3` first"),
        (["version: 4\n"], "version 4 is unknown"),
        (["version: [3]\n"], "version a list is unknown"),
        (["version: 3\nauthtoken: x\n"], "no such key; in version 3 it stands under agent:"),
        (["version: 3\nagent: {endpoints: []}\n"], "endpoints stand at the top of the file, not under agent"),
        (["version: 2\nconnect_url: x\n"], "in version 2 it is server_addr"),
        (["version: 2\nhttp_proxy: x\n"], "renamed: say proxy_url"),
        (["version: 2\ntunnels:\na: {proto: tcp, addr: 1}\n"], ":3:1 a: there is no such key; a tunnel is"),
        (["version: 3\ntunnels:\na: {proto: tcp, addr: 1}\n"], ":3:1 a: there is no such key; a tunnel is"),
        (["version: 3\ntunnels: {a: {labels: [x], addr: 1}}\n"], "tunnels.a.labels: the label 'x' is not"),
        (["version: 2\ntunnels: [a]\n"], "each tunnel has its name as key"),
        (["version: 3\nendpoints: [{name: a, upstream: {url: 1}}]\ntunnels: {a: {proto: tcp, addr: 1}}\n"],
         "'a' is the name of an endpoint and of a tunnel"),
    ],
)  # fmt: skip
def test_what_is_wrong(tmp_path: Path, texts: list[str], what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, *texts)
    assert what in str(caught.value)
    assert str(tmp_path) in str(caught.value) or "is the name of" in what


@pytest.mark.parametrize("version", [2, 3])
def test_labelled_tunnels(version: int, tmp_path: Path) -> None:
    text = "tunnels: {a: {labels: [x=y, z=1], addr: 1}, b: {proto: tcp, addr: 1}}\n"
    found = loaded(tmp_path, f"version: {version}\n{text}").endpoints
    assert {name: each.labels for name, (each,) in found.items()} == {"a": {"x": "y", "z": "1"}, "b": {}}


@pytest.mark.parametrize(
    ("environ", "platform", "place"),
    [
        ({"HOME": "/h"}, "linux", "/h/.config/portway/portway.yml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "linux", "/x/portway/portway.yml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "linux", "/h/.config/portway/portway.yml"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Application Support/portway/portway.yml"),
        ({"LOCALAPPDATA": "/l", "HOME": "/h"}, "win32", "/l/portway/portway.yml"),
        ({"HOME": "/h"}, "win32", "/h/AppData/Local/portway/portway.yml"),
    ],
)
def test_the_users_own_file(environ: dict[str, str], platform: str, place: str) -> None:
    assert default_path(environ, platform) == Path(place)


def test_which_files_are_read() -> None:
    assert chosen_paths(["a,b", "c"], {"NGROK_CONFIG": "d"}) == ([Path("a"), Path("b"), Path("c")], True)
    assert chosen_paths([], {"NGROK_CONFIG": "d"}) == ([Path("d")], True)
    assert chosen_paths([], {"PORTWAY_CONFIG": "e", "NGROK_CONFIG": "d"}) == ([Path("e")], True)
    assert chosen_paths([], {"HOME": "/h"}) == ([Path("/h/.config/portway/portway.yml")], False)


def test_a_missing_file_is_an_error_only_where_somebody_named_it(tmp_path: Path) -> None:
    assert load([], {"HOME": str(tmp_path)}) == Config(3, Settings(), {})
    with pytest.raises(ConfigError, match=r"none\.yml: cannot be read"):
        load([str(tmp_path / "none.yml")])
