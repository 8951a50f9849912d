"""Options of a bind: kept verbatim, read typed, answered whole."""

import pytest

from portway.errors import LocalProtocolError, MessageError
from portway.wire.opts import (
    BasicAuthCredential,
    Opts,
    OptsView,
    TLSTermination,
    answer_opts,
    new_opts,
)


@pytest.mark.row("S16", "S20")
def test_the_view_matches_keys_in_any_case() -> None:
    view = OptsView.of(
        {"url": "https://a", "DOMAIN": "b", "Hostname": None, "ProxyProto": 2, "LocalUrlScheme": "http"}
    )
    assert (view.url, view.domain, view.hostname) == ("https://a", "b", "")
    assert (view.proxy_proto, view.local_url_scheme) == (2, "http")


def test_modules_are_typed_and_listed() -> None:
    view = OptsView.of(
        {
            "Compression": {},
            "basicauth": {"credentials": [{"username": "bob", "cleartext_password": "p"}]},
            "RequestHeaders": {"add": ["a:b"], "addParsed": {"X-Y": "z"}},
            "OAuth": None,
            "Auth": "",
            "TrafficPolicy": "{}",
        }
    )
    assert view.middleware == ("Compression", "BasicAuth", "RequestHeaders")
    assert view.basic_auth is not None
    assert view.basic_auth.credentials == (BasicAuthCredential("bob", "p"),)
    assert view.request_headers is not None
    assert view.request_headers.add_parsed == {"X-Y": "z"}
    assert not OptsView.of(new_opts("http", {"TrafficPolicy": "x"})).middleware


def test_base64_is_decoded() -> None:
    view = OptsView.of({"TLSTermination": {"cert": "Q0VSVFBFTQ==", "key": "S0VZUEVN"}})
    assert view.tls_termination == TLSTermination(b"CERTPEM", b"KEYPEM")
    assert OptsView.of({"TLSTermination": {}}).tls_termination == TLSTermination()


def test_a_wrong_type_names_the_key() -> None:
    with pytest.raises(MessageError, match=r"^OptsView.ProxyProto: expected int, got str$"):
        OptsView.of({"proxyproto": "1"})


@pytest.mark.row("A4")
@pytest.mark.parametrize(("proto", "count"), [("http", 22), ("https", 22), ("tcp", 6), ("tls", 11)])
def test_new_options_hold_every_key_of_the_protocol(proto: str, count: int) -> None:
    opts = new_opts(proto, {"URL": "x"})
    assert len(opts) == count
    assert opts["URL"] == "x"
    assert opts["TrafficPolicy"] == ""
    assert new_opts(proto, {})["URL"] == ""


def test_an_option_of_another_protocol_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="tcp endpoint has no option Compression"):
        new_opts("tcp", {"Compression": {}})


@pytest.mark.row("S18")
@pytest.mark.parametrize(
    ("proto", "opts", "url", "answer"),
    [
        ("https", {"URL": "", "Domain": ""}, "https://a.b:7443", {"URL": "https://a.b:7443", "Domain": ""}),
        ("http", {"Domain": "", "Hostname": ""}, "http://a.b:7080", {"Domain": "a.b", "Hostname": ""}),
        ("http", {"Hostname": "", "Extra": [1]}, "http://a.b", {"Hostname": "a.b", "Extra": [1]}),
        ("http", {}, "http://a.b", {"Hostname": "a.b", "ProxyProto": 0}),
        ("http", {"Hostname": "x", "ProxyProto": None}, "http://x", {"Hostname": "x", "ProxyProto": 0}),
        ("tcp", {"Addr": ""}, "tcp://h:12345", {"Addr": "h:12345"}),
        ("tcp", {"url": "tcp://", "ADDR": ""}, "tcp://h:1", {"url": "tcp://h:1", "ADDR": ""}),
        ("tls", {"Hostname": ""}, "tls://t.b:7443", {"Hostname": "t.b", "MutualTLSAtAgent": False}),
    ],
)
def test_the_answer_holds_what_was_received_and_the_address(
    proto: str, opts: Opts, url: str, answer: Opts
) -> None:
    before = dict(opts)
    got = answer_opts(proto, opts, url)
    assert {key: got[key] for key in answer} == answer
    assert opts == before
    needed = {
        "http": ["Hostname", "Auth", "Subdomain", "HostHeaderRewrite", "ProxyProto"],
        "tcp": ["Addr", "ProxyProto"],
        "tls": ["Hostname", "Subdomain", "ProxyProto", "MutualTLSAtAgent"],
    }["http" if proto == "https" else proto]
    lower = {key.lower(): value for key, value in got.items()}
    assert all(lower[key.lower()] is not None for key in needed)
    assert len(lower) == len(got)  # no key twice in two spellings
