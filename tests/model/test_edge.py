"""Addresses of edges, labels and matches: what people write."""

from typing import Any

import pytest
from tests.kit.names import refused

from portway.model.edge import (
    EdgeEndpoint,
    check_labels,
    check_match,
    normal_path,
    place_of,
    read_hostport,
    written,
)
from portway.model.url import Url


def test_hostports_are_read_as_urls_of_their_kind() -> None:
    assert read_hostport("1.TCP.example.org:20001", "tcp", 7443) == Url("tcp", "1.tcp.example.org", 20_001)
    for port in ("443", "7443"):
        assert read_hostport(f"a.example.org:{port}", "https", 7443) == Url("https", "a.example.org", 7443)
    assert read_hostport("*.example.org:443", "tls", 443) == Url("tls", "*.example.org", 443)


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("a", "tcp", 7104), (":1", "tcp", 7104), ("a:b", "tcp", 7104), ("a_b.c:1", "tcp", 7104),
        ("a.b:0", "tcp", 7112), ("a.b:65536", "tcp", 7112), ("a.b:123456", "tcp", 7112),
        ("a.b:8443", "https", 7116), ("a.b:80", "tls", 7116),
    ],
)  # fmt: skip
def test_other_texts_are_no_hostports(text: str, kind: str, code: int) -> None:
    with refused(code):
        read_hostport(text, kind, 7443)


def test_https_and_tls_share_their_places() -> None:
    assert place_of(Url("https", "a.b", 443)) == place_of(Url("tls", "a.b", 443)) == "tls a.b"
    assert place_of(Url("http", "a.b", 80)) == "http a.b"
    assert place_of(Url("tcp", "a.b", 5)) == "tcp a.b:5"


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ({f"k{n}": "v" for n in range(33)}, 6508), ({"": "v"}, 6509), ({"é" * 128: "v"}, 6509),
        ({"k": ""}, 6510), ({"k": "v" * 1025}, 6510), ({"a=b": "c"}, 6531), ({"a": "b=c"}, 6531),
    ],
)  # fmt: skip
def test_labels_have_their_limits(labels: dict[str, str], code: int) -> None:
    check_labels({"k" * 255: "v" * 1024})
    with refused(code):
        check_labels(labels)


@pytest.mark.parametrize(
    ("kind", "match", "code"),
    [
        ("", "/", 7130), ("regex", "/", 7130), ("exact_path", "", 7123), ("exact_path", "a", 7131),
        ("exact_path", "/?a", 7131), ("path_prefix", "/#", 7131), ("path_prefix", "/\n", 7131),
        ("path_prefix", "/" + "é" * 512, 7135), ("exact_path", "/%61", 7131), ("exact_path", "//a", 7131),
        ("path_prefix", "/a/./b", 7131), ("path_prefix", "/a/..", 7131),
    ],
)  # fmt: skip
def test_matches_are_paths(kind: str, match: str, code: int) -> None:
    check_match("exact_path", "/a/é")
    with refused(code):
        check_match(kind, match)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b=/c", "/a"), (b"/%61%2Fb", "/a/b"), (b"/a/./b", "/a/b"), (b"/a/../b/", "/b/"),
        (b"//a//b", "/a/b"), (b"/../..", "/"), (b"/a/..", "/"), (b"*", "*"), (b"/%ff", "/\ufffd"),
        (b"/.well-known/x", "/.well-known/x"), (b"/%2e%2e/admin", "/admin"), (b"/a%3fb", "/a?b"),
    ],
)  # fmt: skip
def test_a_path_is_read_as_its_upstream_may_read_it(target: bytes, path: str) -> None:
    assert normal_path(target) == path


def test_an_address_of_an_edge_is_public_and_never_shared() -> None:
    said: dict[str, Any] = {"id": "ep_1", "account_id": "ac_1", "edge_id": "edgtcp_1", "hostport": "a:1"}
    endpoint = EdgeEndpoint(
        **said, url="tcp://a:1", place="tcp a:1", domain_id=None, tcp_addr_id="ra_1", created_at=5.0
    )
    assert (endpoint.binding, endpoint.pooling_enabled, endpoint.updated_at) == ("public", False, 5.0)


def test_what_is_kept_is_written_shortly() -> None:
    assert written({"a": {"b": [1, "é"]}}) == '{"a":{"b":[1,"\\u00e9"]}}'
