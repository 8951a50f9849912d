"""Who sends webhooks, and how each of them signs: the table of ``verify-webhook``."""

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

from portway.policy import webhook_schemes as schemes
from portway.policy.webhooks import Hook, Mac, Unverified, Verify, first_of, token_in

FIVE_MINUTES: Final = 300.0
TEN_MINUTES: Final = 600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a sender that checks who owns an endpoint is answered."""

    body: bytes = b""
    kind: bytes = b"text/plain"


Challenge = Callable[[Hook, str], Reply | None]
"""Returns the answer of a challenge; None: the request is none."""


def _sent_sha256(header: str, prefix: str = "sha256=") -> Mac:
    return Mac(header, prefix=prefix)


_SVIX: Final = Mac(
    "svix-signature", coding="base64", message="{id}.{t}.{body}", prefix="v1,", separator=" ",
    time="svix-timestamp", id="svix-id", tolerance=FIVE_MINUTES, key="base64",
)  # fmt: skip
_STANDARD: Final = Mac(
    "webhook-signature", coding="base64", message="{id}.{t}.{body}", prefix="v1,", separator=" ",
    time="webhook-timestamp", id="webhook-id", tolerance=FIVE_MINUTES, key="base64",
)  # fmt: skip
_META: Final = first_of(
    ("x-hub-signature-256", _sent_sha256("x-hub-signature-256")),
    ("x-hub-signature", Mac("x-hub-signature", "sha1", prefix="sha1=")),
)


def _in_pairs(header: str, name: str = "v1", tolerance: float = 180.0) -> Mac:
    """Make the scheme of ``t=…,v1=…`` over the time, a point and the body."""
    return Mac(header, message="{t}.{body}", prefix=f"{name}=", time="=t", tolerance=tolerance)


PROVIDERS: Final[dict[str, Verify]] = {
    "aftership": Mac("aftership-hmac-sha256", coding="base64"),
    "airship": Mac("x-ua-signature", message="{t}:{body}", time="x-ua-timestamp"),
    "alchemy": Mac("x-alchemy-signature"),
    "autodesk": Mac("x-adsk-signature", "sha1", prefix="sha1hash="),
    "bitbucket": _sent_sha256("x-hub-signature"),
    "bolt": Mac("x-bolt-hmac-sha256", coding="base64"),
    "box": Mac(
        "box-signature-primary", coding="base64", message="{body}{t}", time="box-delivery-timestamp",
        tolerance=TEN_MINUTES, others=("box-signature-secondary",),
    ),
    "brex": first_of(("webhook-signature", _STANDARD), ("svix-signature", _SVIX)),
    "buildkite": first_of(
        ("x-buildkite-signature", Mac(
            "x-buildkite-signature", message="{t}.{body}", prefix="signature=", time="=timestamp",
            tolerance=FIVE_MINUTES,
        )),
        ("x-buildkite-token", token_in("x-buildkite-token")),
    ),
    "calendly": _in_pairs("calendly-webhook-signature"),
    "castle": Mac("x-castle-signature", coding="base64"),
    "chargify": Mac("x-chargify-webhook-signature-hmac-sha-256"),
    "circleci": Mac("circleci-signature", prefix="v1=", separator=","),
    "clearbit": Mac("x-request-signature", "sha1", prefix="sha1="),
    "clerk": _SVIX,
    "coinbase": Mac("x-cc-webhook-signature"),
    "contentful": schemes.contentful,
    "docusign": Mac(
        "x-docusign-signature-1", coding="base64",
        others=tuple(f"x-docusign-signature-{number}" for number in range(2, 11)),
    ),
    "dropbox": Mac("x-dropbox-signature"),
    "facebook_graph_api": _META,
    "facebook_messenger": _META,
    "frameio": Mac(
        "x-frameio-signature", message="v0:{t}:{body}", prefix="v0=", time="x-frameio-request-timestamp",
        tolerance=FIVE_MINUTES,
    ),
    "github": _sent_sha256("x-hub-signature-256"),
    "gitlab": token_in("x-gitlab-token"),
    "go1": _in_pairs("go1-signature"),
    "graphcms": schemes.graphcms,
    "heroku": Mac("heroku-webhook-hmac-sha256", coding="base64"),
    "hubspot": schemes.hubspot,
    "instagram": _META,
    "intercom": Mac("x-hub-signature", "sha1", prefix="sha1="),
    "jira": _sent_sha256("x-hub-signature"),
    "launch_darkly": Mac("x-ld-signature"),
    "linear": schemes.linear,
    "mailchimp": schemes.mailchimp,
    "mailgun": schemes.mailgun,
    "microsoft_teams": schemes.microsoft_teams,
    "modern_treasury": Mac("x-signature"),
    "mongodb": schemes.mongodb,
    "mux": _in_pairs("mux-signature", tolerance=FIVE_MINUTES),
    "orb": Mac("x-orb-signature", message="v1:{t}:{body}", prefix="v1=", time="x-orb-timestamp"),
    "orbit": _sent_sha256("x-orbit-signature"),
    "pagerduty": Mac("x-pagerduty-signature", prefix="v1=", separator=","),
    "pinwheel": Mac("x-pinwheel-signature", message="v2:{t}:{body}", prefix="v2=", time="x-timestamp"),
    "plivo": schemes.plivo,
    "pusher": Mac("x-pusher-signature"),
    "sendgrid": schemes.sendgrid,
    "sentry": Mac("sentry-hook-signature"),
    "shopify": Mac("x-shopify-hmac-sha256", coding="base64"),
    "signal_sciences": Mac("x-sigsci-signature"),
    "slack": Mac(
        "x-slack-signature", message="v0:{t}:{body}", prefix="v0=", time="x-slack-request-timestamp",
        tolerance=FIVE_MINUTES,
    ),
    "sonatype": Mac("x-nexus-webhook-signature", "sha1"),
    "square": schemes.square,
    "stripe": _in_pairs("stripe-signature", tolerance=FIVE_MINUTES),
    "svix": first_of(("webhook-signature", _STANDARD), ("svix-signature", _SVIX)),
    "terraform": Mac("x-tfe-notification-signature", "sha512"),
    "tiktok": _in_pairs("tiktok-signature", "s"),
    "twilio": schemes.twilio,
    "twitter": Mac("x-twitter-webhooks-signature", coding="base64", prefix="sha256="),
    "typeform": Mac("typeform-signature", coding="base64", prefix="sha256="),
    "webex": Mac("x-spark-signature", "sha1"),
    "whatsapp": _META,
    "worldline": Mac("x-gcs-signature", coding="base64"),
    "xero": Mac("x-xero-signature", coding="base64"),
    "zendesk": Mac(
        "x-zendesk-webhook-signature", coding="base64", message="{t}{body}",
        time="x-zendesk-webhook-signature-timestamp",
    ),
    "zoom": Mac(
        "x-zm-signature", message="v0:{t}:{body}", prefix="v0=", time="x-zm-request-timestamp",
        tolerance=FIVE_MINUTES,
    ),
}  # fmt: skip
"""Provider → how its requests are verified. Amazon SNS is not here: it needs a certificate first."""

SNS: Final = "sns"
ALIASES: Final = {
    "sonatype_nexus": "sonatype",
    "signalsciences": "signal_sciences",
    "vmware_workspace": "vmware",
}
UNKNOWN: Final = ("hostedhooks", "trendmicro_conformity", "vmware")
"""Known names of senders that publish nowhere how they sign."""


# -- challenges: the sender asks whether its requests arrive where they should

_TOKEN: Final = re.compile(r"[A-Za-z0-9_=+/.-]{1,256}", re.ASCII)
"""What is signed for somebody who asks is never long, and never looks like a message that could be signed."""


def _twitter(hook: Hook, secret: str) -> Reply | None:
    tokens = parse_qs(urlsplit(hook.url).query).get("crc_token", []) if hook.method == "GET" else []
    if len(tokens) != 1 or not _TOKEN.fullmatch(tokens[0]):
        return None
    found = b64encode(hmac.digest(secret.encode(), tokens[0].encode(), "sha256")).decode()
    return Reply(json.dumps({"response_token": f"sha256={found}"}).encode(), b"application/json")


def _worldline(hook: Hook, secret: str) -> Reply | None:  # noqa: ARG001  nothing is signed here
    header = "x-gcs-webhooks-endpoint-verification"
    if hook.method != "GET" or not hook.has(header) or not _TOKEN.fullmatch(hook.get(header)):
        return None
    return Reply(hook.get(header).encode())


def _zoom(hook: Hook, secret: str) -> Reply | None:
    if b"endpoint.url_validation" not in hook.body:
        return None
    message = hook.json()
    payload = message.get("payload")
    token = cast("dict[str, Any]", payload).get("plainToken") if isinstance(payload, dict) else None
    if message.get("event") != "endpoint.url_validation" or not isinstance(token, str):
        return None
    PROVIDERS["zoom"](hook, secret)
    if not _TOKEN.fullmatch(token):
        raise Unverified("its challenge is none")
    found = hmac.digest(secret.encode(), token.encode(), "sha256").hex()
    return Reply(json.dumps({"plainToken": token, "encryptedToken": found}).encode(), b"application/json")


def _xero(hook: Hook, secret: str) -> Reply | None:
    """Good and bad signatures are sent, and 200 and 401 are expected: the good ones hold no events."""
    if hook.method != "POST":
        return None
    PROVIDERS["xero"](hook, secret)
    return Reply() if hook.json().get("events") == [] else None


CHALLENGES: Final[dict[str, Challenge]] = {
    "twitter": _twitter,
    "worldline": _worldline,
    "xero": _xero,
    "zoom": _zoom,
}
REFUSED_WITH: Final = {"xero": 401}
"""The status by which a sender hears that a request is not verified, where that is not 403."""
