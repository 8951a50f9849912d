"""Who issues certificates by itself."""

import pytest
from tests.kit.names import refused

from portway.model.certificate_policy import CertificatePolicy, parse_policy


def test_what_is_not_said_is_the_default() -> None:
    assert parse_policy("", "") == CertificatePolicy("internal", "ecdsa")
    assert parse_policy("letsencrypt", "") == CertificatePolicy("letsencrypt", "ecdsa")
    assert parse_policy("letsencrypt", "rsa") == CertificatePolicy("letsencrypt", "rsa")


@pytest.mark.parametrize(("authority", "key_type", "code"), [
    ("nobody", "", 435), ("LetsEncrypt", "", 435), ("letsencrypt", "dsa", 1909), ("internal", "rsa", 1909),
])  # fmt: skip
def test_what_nobody_issues_is_refused(authority: str, key_type: str, code: int) -> None:
    with refused(code):
        parse_policy(authority, key_type)
