"""What binds ask for, judged: hosts of every dialect, and a clear refusal of what is not provided."""

import re
from typing import Any

import pytest
from msgspec.structs import replace

from portway.edge import binding
from portway.edge.ports import EdgeConfig
from portway.edge.tls_settings import TlsSettings
from portway.errors import Error
from portway.model.url import Url
from portway.wire.messages import Bind, BindExtra

CONFIG = EdgeConfig(http_port=7080, https_port=7443)
DOMAIN = CONFIG.domain


def bind(proto: str = "https", id: str = "", forwards_proto: str = "", **opts: object) -> Bind:  # noqa: A002
    return Bind(id=id, proto=proto, forwards_proto=forwards_proto, opts=opts)


def url(of: Bind) -> str:
    return str(binding.read_wish(of, CONFIG).url)


def code(of: Bind) -> str:
    with pytest.raises(Error) as refused:
        binding.read_wish(of, CONFIG)
    return refused.value.code.removeprefix("ERR_NGROK_")


@pytest.mark.row("S20")
@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (bind(URL=f"https://Foo.{DOMAIN}."), f"https://foo.{DOMAIN}:7443"),
        (bind(URL=f"foo.{DOMAIN}"), f"https://foo.{DOMAIN}:7443"),
        (bind("http", URL=f"HTTP://foo.{DOMAIN}"), f"http://foo.{DOMAIN}:7080"),
        (bind("tls", URL=f"foo.{DOMAIN}"), f"tls://foo.{DOMAIN}:7443"),
        (bind(Domain=f"d.{DOMAIN}"), f"https://d.{DOMAIN}:7443"),
        (bind(Hostname=f"h.{DOMAIN}"), f"https://h.{DOMAIN}:7443"),
        (bind(Subdomain="sub"), f"https://sub.{DOMAIN}:7443"),
        (bind("tcp", Addr="localhost:20007"), "tcp://localhost:20007"),
        (bind("tcp", URL="tcp://localhost:20007"), "tcp://localhost:20007"),
        (bind(URL="https://example.com"), "https://example.com:7443"),
        (bind(URL="https://*.Example.com"), "https://*.example.com:7443"),
        (bind(), "https://"),
        (bind(URL="https://"), "https://"),
        (bind("tls", Hostname=""), "tls://"),
        (bind("tcp", URL="tcp://"), "tcp://"),
        # A rebind brings what it was given and what it had asked for: the first one counts.
        (bind(id="ep_1", Hostname=f"h.{DOMAIN}", Subdomain="old"), f"https://h.{DOMAIN}:7443"),
    ],
)
def test_the_host_is_taken_from_wherever_an_agent_puts_it(asked: Bind, granted: str) -> None:
    assert url(asked) == granted


@pytest.mark.parametrize("port", ["", ":443", ":7443"])
def test_no_port_the_default_and_the_public_port_are_the_same(port: str) -> None:
    assert url(bind(URL=f"https://a.{DOMAIN}{port}")) == f"https://a.{DOMAIN}:7443"


def test_default_ports_are_not_written() -> None:
    config = replace(CONFIG, http_port=80, https_port=443)
    assert str(binding.public_url("https", "a.b", config)) == "https://a.b"
    assert str(binding.public_url("http", "a.b", config)) == "http://a.b"
    assert str(binding.public_url("tcp", "", config, 20_000)) == "tcp://localhost:20000"


@pytest.mark.row("G-117")
@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (bind(URL=f"https://a.{DOMAIN}:1234"), "9035"),
        (bind(URL="https://invalid@domain.com"), "9037"),
        (bind(URL=f"https://a.{DOMAIN}/x"), "9037"),
        (bind(URL=f"https://a.{DOMAIN}/"), "9038"),
        (bind(URL="ftp://a.b"), "9036"),
        (bind(URL=f"tls://a.{DOMAIN}"), "9036"),
        (bind("tcp", URL="tcp://localhost"), "9035"),
        (bind("tcp", URL="tcp://localhost:99"), "307"),
        (bind("ssh"), "332"),
        (bind(""), "394"),
        (bind(URL=f"https://*.{DOMAIN}"), "320"),
        (bind(URL=f"https://*.api.{DOMAIN}"), "320"),
        (bind(URL="https://*.localhost"), "320"),
        (bind(URL="https://*.com"), "331"),
        (bind(URL=f"https://{DOMAIN}"), "320"),
        (bind(URL=f"https://api.{DOMAIN}"), "320"),
        (bind(URL=f"https://a.connect.{DOMAIN}"), "320"),
        (bind(URL=f"https://connect.{DOMAIN}"), "320"),
        (bind(Hostname="localhost"), "320"),
        (bind(Hostname="com"), "331"),
        (bind(Hostname="127.0.0.1"), "9032"),
        (bind(URL="https://203.0.113.5"), "9032"),
        (bind(Hostname="0x7f.1"), "9032"),
        (bind(Hostname="1.0x7f"), "9032"),
        (bind(URL=f"https://\uff41pi.{DOMAIN}"), "320"),
        (bind(URL=f"https://API\u3002{DOMAIN}."), "320"),
        (bind(Hostname="a_b.com"), "355"),
        (bind(Hostname="a.com", Subdomain="b"), "9021"),
        (bind(ProxyProto=3), "301"),
        (bind(ProxyProto="x"), "301"),
        (bind(forwards_proto="http3"), "15003"),
    ],
)
def test_what_cannot_be_bound_is_refused_with_its_code(asked: Bind, refused: str) -> None:
    assert code(asked) == refused


@pytest.mark.parametrize(
    ("names", "asked", "refused"),
    [
        (("internal",), "https://x.y", "9029"),
        (("internal",), "https://", "9028"),
        (("internal",), "https://a.test", "9029"),
        (("public",), "https://x.internal", "9029"),
        (("kubernetes",), "http://a.b", "15010"),
        (("kubernetes",), "", "9039"),
        (("public", "public"), "", "15006"),
        (("public", "internal"), "", "15005"),
        (("nonsense",), "", "15005"),
    ],
)
def test_bindings(names: tuple[str, ...], asked: str, refused: str) -> None:
    proto = "http" if asked.startswith("http:") else "https"
    assert code(Bind(proto=proto, opts={"URL": asked}, extra=BindExtra(bindings=names))) == refused


LOW = CONFIG.tcp_ports[0]
DEEP, TOO_DEEP = "a.b.c.d.e.internal", "a.b.c.d.e.f.internal"

RULES = [
    # binding      protocol  asked                        granted, or the code
    ("", "https", "", "https://"),
    ("", "http", "", "http://"),
    ("", "tls", "", "tls://"),
    ("", "tcp", "", "tcp://"),
    ("public", "http", "http://", "http://"),
    ("public", "https", "example.com", "https://example.com:7443"),
    ("public", "http", "http://example.com", "http://example.com:7080"),
    ("public", "http", "http://example.com:80", "http://example.com:7080"),
    ("public", "http", "http://example.com:443", 9035),
    ("public", "http", "http://example.com:8080", 9035),
    ("public", "https", "https://example.com:443", "https://example.com:7443"),
    ("public", "https", "https://example.com:80", 9035),
    ("public", "tls", "tls://example.com:443", "tls://example.com:7443"),
    ("public", "tls", "tls://example.com:8443", 9035),
    ("public", "tcp", f"tcp://localhost:{LOW}", f"tcp://localhost:{LOW}"),
    ("public", "tcp", "tcp://localhost", 9035),
    ("public", "tcp", "tcp://localhost:1", 307),
    ("public", "tcp", "tcp://localhost:0", 9030),
    ("public", "tcp", "tcp://localhost:65536", 9030),
    ("public", "tcp", "tcp://localhost:ssh", 9033),
    ("public", "https", "https://x.internal", 9029),
    ("public", "https", "https://internal", 331),
    ("", "https", "x.internal", "https://x.internal"),
    ("", "http", "http://x.internal", "http://x.internal"),
    ("", "http", "http://x.internal:443", "http://x.internal:443"),
    ("", "http", "http://x.internal:7080", "http://x.internal:7080"),
    ("", "tls", "tls://x.internal:1", "tls://x.internal:1"),
    ("", "https", "https://x.internal:65535", "https://x.internal:65535"),
    ("", "tcp", "tcp://x.internal:22", "tcp://x.internal:22"),
    ("", "tcp", "tcp://x.internal", 9035),
    ("", "https", "https://x.internal:0", 9030),
    ("", "https", f"https://{DEEP}", f"https://{DEEP}"),
    ("", "https", f"https://{TOO_DEEP}", 9031),
    ("", "https", "https://*.x.internal", "https://*.x.internal"),
    ("", "tcp", "tcp://*.internal:9", "tcp://*.internal:9"),
    ("", "https", "https://a.*.internal", 402),
    ("", "https", "https://X.Internal.", "https://x.internal"),
    ("", "https", "https://x.internal/", 9038),
    ("", "https", "https://me@x.internal", 9037),
    ("internal", "https", "", 9028),
    ("internal", "https", "https://", 9028),
    ("internal", "tcp", "tcp://", 9028),
    ("internal", "https", "example.com", 9029),
    ("internal", "https", f"a.{DOMAIN}", 9029),
    ("internal", "tcp", f"tcp://localhost:{LOW}", 9029),
    ("internal", "http", "http://x.internal", "http://x.internal"),
    ("kubernetes", "http", "", 9039),
    ("kubernetes", "tcp", "tcp://", 9039),
    ("kubernetes", "https", "https://name.namespace", 9041),
    ("kubernetes", "tcp", "tcp://name.namespace", 9035),
    ("kubernetes", "http", "http://name", 9032),
    ("kubernetes", "http", "http://a.name.namespace", 9032),
    ("kubernetes", "http", "http://*.namespace", 9032),
    # Rules that are kept, and then nobody to project the endpoint into a cluster.
    ("kubernetes", "http", "http://name.namespace:8080", 15010),
    ("kubernetes", "tls", "tls://name.namespace", 15010),
    ("kubernetes", "tcp", "tcp://name.namespace:22", 15010),
]


@pytest.mark.row("G-111", "G-117", "G-184")
@pytest.mark.parametrize(("name", "proto", "asked", "wanted"), RULES)
def test_the_rules_of_urls_by_binding(name: str, proto: str, asked: str, wanted: str | int) -> None:
    extra = BindExtra(bindings=(name,)) if name else BindExtra()
    of = Bind(proto=proto, opts={"URL": asked}, extra=extra)
    if isinstance(wanted, int):
        assert code(of) == str(wanted)
    else:
        assert url(of) == wanted


def test_an_internal_name_may_come_in_older_fields_too() -> None:
    assert url(bind(Hostname="x.internal")) == "https://x.internal"
    assert url(bind("tcp", Addr="x.internal:22")) == "tcp://x.internal:22"
    assert code(bind("tls", Domain=TOO_DEEP)) == "9031"


def test_public_is_the_default_binding() -> None:
    for names in (None, (), ("public",)):
        asked = Bind(proto="https", opts={}, extra=BindExtra(bindings=names))
        assert binding.read_wish(asked, CONFIG).random


MODULES: list[dict[str, Any]] = [
    {"OAuth": {"provider": "google", "client_id": "x", "sealed_client_secret": "eA=="}},
    {"HostHeaderRewrite": True},
]


@pytest.mark.parametrize("opts", MODULES, ids=lambda opts: next(iter(opts)))
def test_a_module_that_is_not_provided_is_refused_never_skipped(opts: dict[str, Any]) -> None:
    assert code(bind(**opts)) == "2201"
    with pytest.raises(Error, match=re.compile("not provided", re.IGNORECASE)):
        binding.read_wish(bind(**opts), CONFIG)


def test_options_of_tls_are_read() -> None:
    assert binding.read_wish(bind("tls", TLSTermination={}), CONFIG).tls == TlsSettings()
    assert binding.read_wish(bind("tls"), CONFIG).tls is None
    assert code(bind(MutualTLSCA={"mutual_tls_ca": "Q0Ex"})) == "1695"
    assert code(bind("tls", URL="tls://x.internal:1", TLSTermination={})) == "1632"


@pytest.mark.row("T-013")
@pytest.mark.parametrize("proto", ["tcp", "tls"])
def test_what_only_http_can_do_is_refused_on_raw_endpoints(proto: str) -> None:
    converter: dict[str, Any] = {"WebsocketTCPConverter": {}}
    for opts in (*MODULES, converter):
        if next(iter(opts)) in {"IPRestriction", "Policy", "TrafficPolicy", "HostHeaderRewrite"}:
            continue
        assert code(bind(proto, **opts)) == "2205"


def test_other_refusals() -> None:
    policies = bind(Policy={"inbound": []}, TrafficPolicy="x: y")
    assert code(policies) == "9025"
    assert code(Bind(proto="https", extra=BindExtra(ip_policy_ref="ipp_1"))) == "341"


@pytest.mark.parametrize("text", ["", " \n", "{}", "null"])
def test_an_empty_policy_is_none(text: str) -> None:
    assert binding.read_wish(bind(TrafficPolicy=text), CONFIG).random


def test_texts_are_bounded_in_bytes() -> None:
    def with_texts(**extra: Any) -> Bind:
        return Bind(proto="https", opts={}, extra=BindExtra(**extra))

    binding.read_wish(with_texts(description="d" * 255, metadata="m" * 4096, name="n" * 255), CONFIG)
    assert code(with_texts(description="d" * 256)) == "18012"
    assert code(with_texts(description="é" * 128)) == "18012"
    assert code(with_texts(name="n" * 256)) == "18012"
    assert code(with_texts(metadata="m" * 4097)) == "18013"


def test_random_hosts_are_below_the_domain() -> None:
    assert binding.random_host(CONFIG, lambda n: bytes(range(n))) == f"000102030405.{DOMAIN}"


def test_the_answer_echoes_the_options_with_the_address() -> None:
    given = bind("tcp", Addr="", ProxyProto=0, IPRestriction=None)
    opts = binding.echo(given, Url("tcp", "localhost", 20_001))
    assert opts == {"Addr": "localhost:20001", "ProxyProto": 0, "IPRestriction": None}
