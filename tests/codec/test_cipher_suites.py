"""Names of cipher suites: every one that our servers may agree on is known."""

import ssl

import pytest

from portway.codec.cipher_suites import registered_name


@pytest.mark.parametrize(
    ("name", "registered"),
    [
        ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("ECDHE-ECDSA-AES256-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
        ("DHE-RSA-AES256-SHA256", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
        ("SOMETHING-NEW", "SOMETHING-NEW"),
        ("", ""),
    ],
)
def test_the_registered_names(name: str, registered: str) -> None:
    assert registered_name(name) == registered


def test_all_that_a_server_agrees_on_are_known() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    assert [
        each["name"] for each in context.get_ciphers() if not registered_name(each["name"]).startswith("TLS_")
    ] == []
