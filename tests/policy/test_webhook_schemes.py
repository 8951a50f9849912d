"""Tests of Amazon SNS; the other schemes are in test_webhook_providers.py.

Amazon publishes no message whose certificate still holds: keys and messages are made here.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from portway.policy.webhook_schemes import is_sns_certificate, sns, sns_certificate_url
from portway.policy.webhooks import Hook, Unverified

NOW = 1_700_000_000.0
URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:topic"


@cache
def signer() -> tuple[RSAPrivateKey, bytes]:
    """Make the key and the certificate that play Amazon's."""
    key = generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    since = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, since, since + timedelta(days=10))
    return key, made.sign(key, SHA256()).public_bytes(Encoding.PEM)


def message(kind: str = "Notification", version: str = "2", **other: Any) -> dict[str, Any]:
    """Sign a message as Amazon describes it."""
    found: dict[str, Any] = {
        "Type": kind,
        "MessageId": "id-1",
        "TopicArn": TOPIC,
        "Message": "line one\nline two",
        "Timestamp": "2023-11-14T22:13:20.000Z",
        "SignatureVersion": version,
        "SigningCertURL": URL,
        **other,
    }
    order = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{found[name]}\n" for name in order if name in found)
    digest = SHA1() if version == "1" else SHA256()
    found["Signature"] = base64.b64encode(signer()[0].sign(text.encode(), PKCS1v15(), digest)).decode()
    return found


def hook(found: Any, now: float = NOW) -> Hook:
    return Hook("POST", "https://a.example/", {}, json.dumps(found).encode(), now)


CONFIRMATION = {"Token": "t", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=x"}


@pytest.mark.parametrize(
    "found",
    [
        lambda: message(),
        lambda: message(version="1"),
        lambda: message(Subject="s"),
        lambda: message("SubscriptionConfirmation", **CONFIRMATION),
        lambda: message("UnsubscribeConfirmation", **CONFIRMATION),
    ],
)
def test_what_amazon_signs_is_verified(found: Any) -> None:
    made = hook(found())
    assert sns_certificate_url(made) == URL
    sns(made, "", signer()[1])
    sns(made, TOPIC, signer()[1])
    sns(made, "123456789012", signer()[1])
    with pytest.raises(Unverified):
        sns(made, "210987654321", signer()[1])


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "other"},
        {"Subject": "added"},
        {"Type": "Unknown"},
        {"Type": "SubscriptionConfirmation"},
        {"TopicArn": 5},
        {"Signature": "AAAA"},
        {"Signature": None},
        {"SignatureVersion": "3"},
        {"SignatureVersion": "1"},
        {"Timestamp": "2023-11-14T20:13:20.000Z"},
    ],
)
def test_what_was_changed_is_not(change: dict[str, Any]) -> None:
    with pytest.raises(Unverified):
        sns(hook({**message(), **change}), "", signer()[1])


def test_a_message_of_long_ago_and_a_certificate_that_has_ended_are_not() -> None:
    with pytest.raises(Unverified):
        sns(hook(message(), NOW + 3601), "", signer()[1])
    late = message(Timestamp="2023-12-14T22:13:20.000Z")
    with pytest.raises(Unverified, match="certificate"):
        sns(hook(late, NOW + 30 * 86_400), "", signer()[1])
    with pytest.raises(Unverified):
        sns(hook(message()), "", b"no certificate")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        (URL, True),
        (URL.replace(".com/", ".com.cn/"), True),
        (URL.replace("https", "http"), False),
        (URL.replace("sns.", "evil."), False),
        (URL.replace("amazonaws.com", "amazonaws.com.evil.example"), False),
        (URL.replace("//", "//a@"), False),
        (URL.replace("//", "//evil.example\\@"), False),
        (URL.replace(".com/", ".com:8443/"), False),
        (URL + "?a", False),
        (URL.replace(".pem", ".txt"), False),
        (URL.replace("Simple", "../Simple"), False),
        ("https://s3.amazonaws.com/SimpleNotificationService-0123abcd.pem", False),
        ("https://[::1/", False),
    ],
)
def test_certificates_are_amazons_alone(url: str, good: bool) -> None:
    assert is_sns_certificate(url) is good
    if not good:
        with pytest.raises(Unverified):
            sns_certificate_url(hook({"SigningCertURL": url}))
