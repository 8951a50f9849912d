"""Older files become newer ones, and their comments come along."""

from pathlib import Path

import pytest

from portway.agent.config.files import load
from portway.agent.config.upgrade import upgrade
from portway.errors import ConfigError

VERSION_1 = """\
# My tunnels

authtoken: abc   # from the dashboard
http_proxy: http://p:1
tunnels:
  # the shop
  shop:
    addr: 5000  # flask
    proto: http
    bind_tls: true
    auth: "bob:secretpw"
  db:
    proto: tcp
    # the port
    addr: 5432
    remote_addr: 1.tcp.x.test:20001
    proxy_proto: "2"
  site: # my page
    proto: http
    addr: 80
    hostname: www.x.test
    inspect: false
    traffic_policy:
      on_http_request:
        # nobody
        - actions:
            - type: deny

# the log
log: stdout
"""
VERSION_2 = """\
# My tunnels

version: 2
region: us
authtoken: abc   # from the dashboard
proxy_url: http://p:1
tunnels:
  # the shop
  shop:
    addr: 5000  # flask
    proto: http
    schemes: [https]
    basic_auth: [bob:secretpw]
  db:
    proto: tcp
    # the port
    addr: 5432
    remote_addr: 1.tcp.x.test:20001
    proxy_proto: "2"
  site: # my page
    proto: http
    addr: 80
    hostname: www.x.test
    inspect: false
    traffic_policy:
      on_http_request:
        # nobody
        - actions:
            - type: deny

# the log
log: stdout
"""
VERSION_3 = """\
# My tunnels

version: 3
agent:
  authtoken: abc   # from the dashboard
  proxy_url: http://p:1

  # the log
  log: stdout
endpoints:
  - name: db
    url: tcp://1.tcp.x.test:20001
    upstream:
      # the port
      url: 5432
      proxy_protocol: "2"
  - name: site  # my page
    url: https://www.x.test
    inspect: false
    traffic_policy:
      on_http_request:
        # nobody
        - actions:
            - type: deny
    upstream:
      url: 80
tunnels:
  # the shop
  shop:
    addr: 5000  # flask
    proto: http
    schemes: [https]
    basic_auth: [bob:secretpw]
"""


def test_1_becomes_2() -> None:
    done = upgrade(VERSION_1, "f", 2)
    assert (done.was, done.warnings) == (1, [])
    assert done.text == VERSION_2


def test_2_becomes_3() -> None:
    done = upgrade(VERSION_2, "f")
    assert done.text == VERSION_3
    assert done.warnings == [
        "region: version 3 has none; connect_url says where to connect",
        "tunnels.shop stays a tunnel: basic_auth must become a traffic_policy first",
    ]


def test_1_becomes_3() -> None:
    assert upgrade(VERSION_1, "f").text == VERSION_3


def test_what_comes_out_means_the_same(tmp_path: Path) -> None:
    old, new = tmp_path / "2.yml", tmp_path / "3.yml"
    old.write_text(VERSION_2)
    new.write_text(VERSION_3)
    was, now = load([str(old)]), load([str(new)])
    assert was.endpoints.keys() == now.endpoints.keys()
    for name, (one,) in was.endpoints.items():
        (other,) = now.endpoints[name]
        for field in ("upstream", "proto", "proxy_protocol", "traffic_policy", "inspect", "modules"):
            assert getattr(one, field) == getattr(other, field)


@pytest.mark.parametrize(
    ("tunnel", "endpoint"),
    [
        ("proto: tcp\n    addr: 22", "url: tcp://"),
        ("proto: tls\n    addr: 443\n    domain: a.test", "url: tls://a.test"),
        ("proto: http\n    addr: 80\n    schemes: [http]\n    domain: a.test", "url: http://a.test"),
        ("proto: http\n    addr: 80\n    url: http://a.test", "url: http://a.test"),
        ("proto: http\n    addr: 80\n    binding: internal", "bindings: [internal]"),
        ("proto: http\n    addr: 80\n    app_protocol: http2", "protocol: http2"),
        ("proto: tls\n    addr: 80\n    crt: a.pem\n    key: b.pem", "server_certificate: a.pem"),
        ("proto: http\n    addr: 80\n    policy:\n      inbound: []", "traffic_policy:\n      inbound: []"),
    ],
)
def test_options_of_tunnels(tunnel: str, endpoint: str) -> None:
    done = upgrade(f"version: 2\ntunnels:\n  a:\n    {tunnel}\n", "f")
    assert endpoint in done.text
    assert done.warnings == []


@pytest.mark.parametrize(
    ("tunnel", "why"),
    [
        ("\n    addr: 1\n    labels: [a=b]", "endpoints have no labels, tunnels have"),
        ("{proto: tcp, addr: 1, subdomain: x}", "version 3 has no subdomain"),
        ("\n    hostname: a.test\n    proto: {https: 3000}", "it has no addr and proto of one word each"),
        ("{}", "it has no addr and proto of one word each"),
        ("\n    proto: http\n    addr: 1\n    schemes: [http, https]", "two schemes are two endpoints"),
        ("\n    proto: http\n    addr: 1\n    compression: true", "compression must become a traffic_policy"),
        ("\n    proto: tls\n    addr: 1\n    terminate_at: edge", "terminate-tls"),
    ],
)
def test_what_version_3_cannot_say_stays(tunnel: str, why: str) -> None:
    done = upgrade(f"version: 2\ntunnels:\n  a: {tunnel}\n", "f")
    assert why in done.warnings[0]
    assert "\ntunnels:\n  a:" in done.text
    assert "endpoints:" not in done.text


def test_what_is_done_already() -> None:
    assert upgrade(VERSION_3, "f").text == VERSION_3
    assert upgrade(VERSION_2, "f", 2).text == VERSION_2


@pytest.mark.parametrize(
    ("text", "to", "what"),
    [
        (VERSION_3, 2, "it cannot be taken back"),
        (VERSION_2, 4, "version 4 is unknown"),
        ("version: 9\n", 3, "unknown"),
        ("version: 2\nx: &y {proto: tcp, addr: 1}\ntunnels: {a: *y}\n", 3, "what is in braces"),
        ("version: 2\nx: &y {a: {addr: 1}}\ntunnels: *y\n", 3, "f:3:10 tunnels: an alias stands here"),
        ("version: 2\nx: &y {proto: tcp, addr: 1}\ntunnels:\n  a: *y\n", 3, "f:4:6 tunnels.a: an alias"),
    ],
)
def test_refusals(text: str, to: int, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        upgrade(text, "f", to)


IN_BRACES = """\
version: 2
tunnels: # all
  # one
  a: {proto: http, addr: 80, traffic_policy: {on_http_request: []}} # tail
  b: {proto: tcp, addr: 22,  # the port
      # mine
      description: "two
         lines"
      # behind
      }
"""
ON_LINES = """\
version: 3
agent: {}
endpoints:  # all
  # one
  - name: a  # tail
    traffic_policy: {on_http_request: []}
    upstream:
      url: 80
  - name: b
    url: tcp://
    # mine
    description: "two
      lines"
    upstream:
      url: 22  # the port
    # behind
"""


def test_what_is_in_braces_is_written_on_lines() -> None:
    assert upgrade(IN_BRACES, "f").text == ON_LINES


@pytest.mark.parametrize(
    "text",
    [
        "version: 2\nlog: x\ntunnels: {a: {proto: tcp, addr: 22}}\n",
        "{version: 2, log: x, tunnels: {a: {proto: tcp, addr: 22}}}\n",
        "    version: 2\n    log: x\n    tunnels:\n        a: {proto: tcp, addr: 22}\n",
    ],
)
def test_every_layout_becomes_the_same(text: str) -> None:
    assert upgrade(text, "f").text == (
        "version: 3\nagent:\n  log: x\n"
        "endpoints:\n  - name: a\n    url: tcp://\n    upstream:\n      url: 22\n"
    )


def test_old_names_in_a_file_that_says_version_2() -> None:
    """ngrok's own files often have them; `config check` sends their writers here."""
    text = "version: 2\ntunnels:\n  a: {proto: http, addr: 1, bind_tls: true}\n"
    done = upgrade(text, "f")
    assert "    url: https://\n" in done.text
    assert "schemes: [https]" in upgrade(text, "f", 2).text
    done = upgrade(
        "version: 2\ntunnels:\n  a:\n    bind_tls: true\n    schemes: [http]\n    region: eu\n"
        "    proto: http\n    addr: 1\n    subdomain: # none\n", "f",
    )  # fmt: skip
    assert done.warnings == [
        "tunnels.a.bind_tls is left out: schemes says it",
        "tunnels.a.region is left out: a tunnel has none",
    ]
    assert "url: http://\n    # none\n" in done.text


def test_a_newest_file_without_its_version() -> None:
    assert upgrade("# me\nagent:\n  log: x\n", "f").text == "# me\nversion: 3\nagent:\n  log: x\n"


def test_who_never_said_a_region_does_not_hear_of_it() -> None:
    assert upgrade("tunnels:\n  a:\n    proto: tcp\n    addr: 1\n", "f").warnings == []


def test_lines_end_as_they_did() -> None:
    done = upgrade(VERSION_2.replace("\n", "\r\n"), "f").text
    assert done == VERSION_3.replace("\n", "\r\n")


def test_comments_stay_where_every_tunnel_does() -> None:
    text = "version: 2\n# about them\ntunnels: # all\n  a:\n    addr: 1\n    labels: [a=b]\n# end\n"
    assert upgrade(text, "f").text == (
        "version: 3\nagent: {}\n# about them\ntunnels: # all\n  a:\n    addr: 1\n    labels: [a=b]\n# end\n"
    )
