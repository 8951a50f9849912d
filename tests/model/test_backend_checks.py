"""What the fields of a backend may be."""

from typing import Any

import pytest
from tests.kit.names import refused

from portway.model.backend_checks import check_spec, split_address


@pytest.mark.parametrize(
    ("kind", "spec", "kept"),
    [
        ("tunnel_group", {}, {"labels": {}}),
        ("weighted", {"backends": {"a": 0}}, {"backends": {"a": 0}}),
        ("failover", {"backends": ["a", "b", "a"]}, {"backends": ["a", "b"]}),
        ("static", {"address": "a.b:1"}, {"address": "a.b:1", "tls": {"enabled": False}}),
        ("http_response", {}, {"body": "", "headers": {}, "status_code": 200}),
    ],
)
def test_what_is_kept(kind: str, spec: dict[str, Any], kept: dict[str, Any]) -> None:
    assert check_spec(kind, spec) == kept


@pytest.mark.parametrize(
    ("kind", "spec", "code"),
    [
        ("tunnel_group", {"labels": {"a=": "b"}}, 6531),
        ("weighted", {"backends": {f"b{n}": 1 for n in range(101)}}, 6511),
        ("weighted", {"backends": {"a": -1}}, 6512),
        ("failover", {"backends": [f"b{n}" for n in range(101)]}, 6513),
        ("static", {"address": "nothing"}, 6505),
        ("static", {"address": "a:b"}, 6505),
        ("static", {"address": ":80"}, 6507),
        ("static", {"address": "a:0"}, 6506),
        ("static", {"address": "a:65536"}, 6506),
        ("static", {"address": "a b:1"}, 6506),
        ("static", {"address": "http://a:1"}, 6506),
        ("http_response", {"body": "x" * 65_537}, 6516),
        ("http_response", {"status_code": 600}, 6517),
        ("http_response", {"headers": {"x" * 256: "v"}}, 6522),
        ("http_response", {"headers": {"a b": "v"}}, 6522),
        ("http_response", {"headers": {"a": "v" * 4097}}, 6523),
        ("http_response", {"headers": {"a": "v\r\nb: c"}}, 6523),
    ],
)
def test_refusals_have_their_codes(kind: str, spec: dict[str, Any], code: int) -> None:
    with refused(code):
        check_spec(kind, spec)


def test_addresses_are_parted() -> None:
    assert split_address("db.example.org:5432") == ("db.example.org", 5432)
    assert split_address("[2001:db8::1]:80") == ("2001:db8::1", 80)
