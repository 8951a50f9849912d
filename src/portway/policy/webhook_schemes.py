"""Webhook signatures that no table row describes: each a function of a request and a secret."""

import hmac
import json
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, cast
from urllib.parse import parse_qsl, urlsplit

from portway.policy.webhooks import Hook, Unverified, key_of, same, verify_digest

FIVE_MINUTES: Final = 300.0


def contentful(hook: Hook, secret: str) -> None:
    """Method, path, the fields that it names, and the body, line by line; good for half a minute."""
    hook.recent(hook.get("x-contentful-timestamp"), 30.0)
    names = [each.strip().lower() for each in hook.get("x-contentful-signed-headers").split(",")]
    if "x-contentful-timestamp" not in names or len(names) > 50:
        raise Unverified("its time is not signed")
    signed = ";".join(f"{name}:{hook.get(name)}" for name in names)
    message = f"{hook.method}\n{hook.target}\n{signed}\n".encode() + hook.body
    verify_digest(hook, "x-contentful-signature", "hex", secret.encode(), message, "sha256")


def graphcms(hook: Hook, secret: str) -> None:
    """A JSON text of the body, the environment and the time, in milliseconds."""
    pairs = [each.strip().partition("=") for each in hook.get("gcms-signature").split(", ")]
    parts = {name: value for name, _, value in pairs}
    at = parts.get("t", "")
    if not at.isdecimal() or not at.isascii():
        raise Unverified("its time cannot be read")
    hook.recent(at)
    try:
        values = {"Body": hook.body.decode(), "EnvironmentName": parts.get("env", ""), "TimeStamp": int(at)}
    except ValueError as error:
        raise Unverified("the body is no text") from error
    message = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    if not same(parts.get("sign", ""), hmac.digest(secret.encode(), message, "sha256"), "base64"):
        raise Unverified("its signature is wrong")


def hubspot(hook: Hook, secret: str) -> None:
    """Version 3 is a MAC with a time; 1 and 2 are a hash of the secret and what it covers."""
    if hook.has("x-hubspot-signature-v3"):
        at = hook.get("x-hubspot-request-timestamp")
        hook.recent(at, FIVE_MINUTES)
        message = f"{hook.method}{hook.url}".encode() + hook.body + at.encode()
        verify_digest(hook, "x-hubspot-signature-v3", "base64", secret.encode(), message, "sha256")
        return
    version = hook.get("x-hubspot-signature-version") if hook.has("x-hubspot-signature-version") else "v1"
    if version not in ("v1", "v2"):
        raise Unverified("the version of its signature is not known")
    covered = f"{hook.method}{hook.url}".encode() if version == "v2" else b""
    right = sha256(secret.encode() + covered + hook.body).digest()
    if not same(hook.get("x-hubspot-signature"), right, "hex"):
        raise Unverified("its signature is wrong")


def linear(hook: Hook, secret: str) -> None:
    """A MAC of the body, in which the time stands."""
    verify_digest(hook, "linear-signature", "hex", secret.encode(), hook.body, "sha256")
    at = hook.json().get("webhookTimestamp")
    if not isinstance(at, int) or isinstance(at, bool):
        raise Unverified("its time is missing")
    hook.recent(str(at), 60.0)


def mailchimp(hook: Hook, secret: str) -> None:
    """The scheme of Mandrill: the URL, then names and values of the form in order of their names."""
    message = hook.url + _sorted(hook.form())
    verify_digest(hook, "x-mandrill-signature", "base64", secret.encode(), message.encode(), "sha1")


def mailgun(hook: Hook, secret: str) -> None:
    """Time and token stand in the body with their MAC; nothing else is covered by it."""
    given: object = dict(hook.form()) if hook.form() else hook.json().get("signature")
    found = cast("dict[str, object]", given) if isinstance(given, dict) else {}
    texts = [found.get(name) for name in ("timestamp", "token", "signature")]
    at, token, signature = (str(each) if isinstance(each, str | int) else "" for each in texts)
    hook.recent(at)
    if not token or not same(signature, hmac.digest(secret.encode(), (at + token).encode(), "sha256"), "hex"):
        raise Unverified("its signature is wrong")


def mongodb(hook: Hook, secret: str) -> None:
    """Alerts of Atlas are signed by SHA-1, triggers of Realm by SHA-256."""
    if hook.has("x-mms-signature"):
        verify_digest(hook, "x-mms-signature", "base64", secret.encode(), hook.body, "sha1")
        return
    kind, mark, value = hook.get("x-hook-signature").partition("=")
    right = hmac.digest(secret.encode(), hook.body, "sha256")
    if kind + mark != "sha256=" or not same(value, right, "hex"):
        raise Unverified("its signature is wrong")


def microsoft_teams(hook: Hook, secret: str) -> None:
    """A MAC in the field Authorization."""
    kind, _, value = hook.get("authorization").partition(" ")
    right = hmac.digest(key_of(secret, "base64"), hook.body, "sha256")
    if kind != "HMAC" or not same(value.strip(), right, "base64"):
        raise Unverified("its signature is wrong")


def plivo(hook: Hook, secret: str) -> None:
    """The URL with its query sorted, the form's names and values sorted, and a nonce."""
    parts = urlsplit(hook.url)
    form = hook.form()
    query = sorted(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=1000))
    base = f"{parts.scheme}://{parts.netloc}{parts.path}"
    asked = "&".join(f"{name}={value}" for name, value in query)
    if asked or form:
        base += "?" + asked
    if asked and form:
        base += "."
    message = f"{base}{_sorted(form)}.{hook.get('x-plivo-signature-v3-nonce')}"
    right = hmac.digest(secret.encode(), message.encode(), "sha256")
    presented = hook.get("x-plivo-signature-v3").split(",")[:20]
    if not [each for each in presented if same(each.strip(), right, "base64")]:
        raise Unverified("its signature is wrong")


def sendgrid(hook: Hook, secret: str) -> None:
    """ECDSA over the time and the body, by the sender's public key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    at = hook.get("x-twilio-email-event-webhook-timestamp")
    hook.recent(at)
    key = public_key(secret)
    try:
        signature = b64decode(hook.get("x-twilio-email-event-webhook-signature"), validate=True)
        key.verify(signature, at.encode() + hook.body, ECDSA(SHA256()))
    except (InvalidSignature, NotBase64, ValueError) as error:
        raise Unverified("its signature is wrong") from error


def public_key(secret: str):
    """Read SendGrid's verification key, base64 of an EC public key. Raises Unverified."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(b64decode(secret, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unverified("the verification key is none of ECDSA") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise Unverified("the verification key is none of ECDSA")
    return key


def square(hook: Hook, secret: str) -> None:
    """The URL and the body."""
    message = hook.url.encode() + hook.body
    if hook.has("x-square-hmacsha256-signature"):
        verify_digest(hook, "x-square-hmacsha256-signature", "base64", secret.encode(), message, "sha256")
    else:
        verify_digest(hook, "x-square-signature", "base64", secret.encode(), message, "sha1")


def twilio(hook: Hook, secret: str) -> None:
    """The URL and the form's names and values sorted; of any other body its hash stands in the URL."""
    asked = dict(parse_qsl(urlsplit(hook.url).query, keep_blank_values=True, max_num_fields=1000))
    message = hook.url
    if "bodySHA256" in asked:
        if not same(asked["bodySHA256"], sha256(hook.body).digest(), "hex"):
            raise Unverified("its body is not the one that is signed")
    elif hook.form() or not hook.body:
        message += _sorted(set(hook.form()))
    else:
        raise Unverified("its body is not signed")
    verify_digest(hook, "x-twilio-signature", "base64", secret.encode(), message.encode(), "sha1")


def _sorted(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(name + value for name, value in sorted(pairs))


# -- Amazon SNS, whose certificate is fetched

SNS_FIELDS: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
SNS_FIELDS["UnsubscribeConfirmation"] = SNS_FIELDS["SubscriptionConfirmation"]
SNS_TOLERANCE: Final = 3600.0
_SNS_PATH: Final = re.compile(r"/SimpleNotificationService-[0-9a-zA-Z]{1,64}\.pem", re.ASCII)


def sns_certificate_url(hook: Hook) -> str:
    """Return where the certificate of a message stands. Raises Unverified: it is not one of Amazon's."""
    url = hook.json().get("SigningCertURL")
    if not isinstance(url, str) or not is_sns_certificate(url):
        raise Unverified("its certificate is not one of Amazon's")
    return url


def is_sns_certificate(url: str) -> bool:
    """Tell whether a URL is of a certificate of Amazon SNS."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    labels = (parts.hostname or "").removesuffix(".cn").split(".")
    good = len(labels) == 4 and labels[0] == "sns" and labels[2:] == ["amazonaws", "com"]
    region = labels[1].replace("-", "") if good else ""
    return (
        good and region.isalnum() and region.isascii() and parts.scheme == "https" and port in (None, 443)
        and "@" not in parts.netloc and _SNS_PATH.fullmatch(parts.path) is not None and not parts.query
    )  # fmt: skip


def sns(hook: Hook, owner: str, certificate: bytes) -> None:
    """Verify a message with the certificate that it names. ``owner``: topic or account; "" for any."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    message = hook.json()
    names = SNS_FIELDS.get(str(message.get("Type")), ())
    values = [(name, message.get(name)) for name in names if name != "Subject" or name in message]
    if not values or not all(isinstance(value, str) for _, value in values):
        raise Unverified("it is no message of Amazon SNS")
    topic = str(message["TopicArn"])
    if owner and owner not in (topic, (topic.split(":") + [""] * 5)[4]):
        raise Unverified("its topic is somebody else's")
    hook.recent(str(message["Timestamp"]), SNS_TOLERANCE)
    text = "".join(f"{name}\n{value}\n" for name, value in values)
    version = message.get("SignatureVersion")
    if version not in ("1", "2"):
        raise Unverified("the version of its signature is not known")
    try:
        found = x509.load_pem_x509_certificate(certificate)
        key = found.public_key()
        now = hook.now
        if not found.not_valid_before_utc.timestamp() <= now <= found.not_valid_after_utc.timestamp():
            raise Unverified("its certificate does not hold now")
        if not isinstance(key, RSAPublicKey):
            raise Unverified("its certificate has no RSA key")
        signature = b64decode(str(message.get("Signature")), validate=True)
        key.verify(signature, text.encode(), PKCS1v15(), SHA1() if version == "1" else SHA256())  # noqa: S303
    except (InvalidSignature, NotBase64, ValueError) as error:
        raise Unverified("its signature is wrong") from error
