"""Bind options of TLS, read and judged."""

import base64
from typing import Any

import pytest
from tests.kit import mutual
from tests.kit.certificates import Authority

from portway.edge.tls_options import read_tls
from portway.edge.tls_settings import TlsSettings
from portway.errors import Error
from portway.wire.messages import OptsView

CHAIN, KEY = Authority().issue("a.test")
CA = mutual.authority().pem


def told(data: bytes) -> str:
    return base64.b64encode(data).decode()


def read(proto: str, **opts: Any) -> TlsSettings | None:
    return read_tls(proto, OptsView.of(opts))


ENDED = {"TLSTermination": {"cert": told(CHAIN), "key": told(KEY)}}
EDGE = {"MutualTLSAtEdge": {"mutual_tls_ca": told(CA)}}
HTTPS = {"MutualTLSCA": {"mutual_tls_ca": told(CA)}}


def test_nothing_said_is_the_default() -> None:
    for proto in ("http", "https", "tcp", "tls"):
        assert read(proto) is None
        assert read(proto, TLSTermination=None, MutualTLSCA=None, MutualTLSAtEdge=None) is None


def test_what_can_be_asked_for() -> None:
    assert read("tls", TLSTermination={}) == TlsSettings()
    assert read("tls", **ENDED) == TlsSettings(chain=CHAIN, key=KEY)
    assert read("tls", **ENDED, **EDGE) == TlsSettings(chain=CHAIN, key=KEY, authorities=CA)
    assert read("tls", TLSTermination={}, **EDGE) == TlsSettings(authorities=CA)
    assert read("https", **HTTPS) == TlsSettings(authorities=CA)
    assert read("tls", MutualTLSAtAgent=True) is None


@pytest.mark.parametrize(
    ("proto", "opts", "code"),
    [
        ("tls", EDGE, "1694"),
        ("tcp", EDGE, "1632"),
        ("tcp", ENDED, "1632"),
        ("http", HTTPS, "1632"),
        ("https", ENDED, "1632"),
        ("https", {"MutualTLSCA": {}}, "1695"),
        ("https", {"MutualTLSCA": {"mutual_tls_ca": told(b"CA")}}, "1695"),
        ("https", {"MutualTLSCA": {"mutual_tls_ca": told(mutual.client().pem)}}, "1696"),
        ("tls", {"TLSTermination": {"cert": told(CHAIN)}}, "2240"),
        ("tls", {"TLSTermination": {"cert": told(CHAIN), "key": told(mutual.client().key_pem)}}, "14001"),
        ("tls", {"TLSTermination": {"cert": told(CHAIN), "sealed_key": told(b"?")}}, "14001"),
    ],
)
def test_what_makes_no_sense_is_refused(proto: str, opts: dict[str, Any], code: str) -> None:
    with pytest.raises(Error) as refused:
        read(proto, **opts)
    assert refused.value.code == f"ERR_NGROK_{code}"
