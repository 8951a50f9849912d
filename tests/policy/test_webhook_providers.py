"""Tests of each sender of webhooks.

Vectors that senders publish: github, slack, svix, twilio, sendgrid. All others are made here, by a second
implementation of a few lines that follows each sender's description and shares no code with the first.
"""

import base64
import hashlib
import json
from collections.abc import Callable

import pytest

from portway.policy.webhook_providers import ALIASES, CHALLENGES, PROVIDERS, SNS, UNKNOWN
from portway.policy.webhooks import Hook, Unverified

NOW = 1_700_000_000
BODY = '{"event":"made","text":"gr\u00fc\u00df \\" \\\\"}\r\n'.encode()
URL = "https://hooks.example/in?x=1&a=2"
SECRET = "s3cr\u00e9t"
KEY = base64.b64encode(b"a key of bytes\x00\xff").decode()

IDS = """
aftership airship alchemy autodesk bitbucket bolt box brex buildkite calendly castle chargify
circleci clearbit clerk coinbase contentful docusign dropbox facebook_graph_api facebook_messenger
instagram whatsapp frameio github gitlab go1 graphcms heroku hostedhooks hubspot intercom jira
launch_darkly linear mailchimp mailgun microsoft_teams modern_treasury mongodb mux orb orbit
pagerduty pinwheel plivo pusher sendgrid sentry shopify signal_sciences slack sns sonatype square
stripe svix terraform tiktok trendmicro_conformity twilio twitter typeform vmware webex worldline
xero zendesk zoom
"""
DOCUMENTED = set(IDS.split())

Fields = dict[str, str]


def mac(message: bytes, algorithm: str = "sha256", key: bytes = SECRET.encode()) -> bytes:
    """HMAC by its definition (RFC 2104), for a key that is shorter than a block."""
    block = 128 if algorithm == "sha512" else 64
    padded = key + b"\0" * (block - len(key))
    inner = hashlib.new(algorithm, bytes(c ^ 0x36 for c in padded) + message).digest()
    return hashlib.new(algorithm, bytes(c ^ 0x5C for c in padded) + inner).digest()


def hexed(message: bytes, algorithm: str = "sha256") -> str:
    return mac(message, algorithm).hex()


def based(message: bytes, algorithm: str = "sha256", key: bytes = SECRET.encode()) -> str:
    return base64.b64encode(mac(message, algorithm, key)).decode()


def of_body(header: str, write: Callable[[bytes], str]) -> Callable[[int], Fields]:
    """Sign the body alone: no time is signed."""
    return lambda _at: {header: write(BODY)}


def svix(prefix: str) -> Callable[[int], Fields]:
    def sign(at: int) -> Fields:
        value = based(b"msg_1.%d." % at + BODY, key=base64.b64decode(KEY))
        fields = {"id": "msg_1", "timestamp": str(at), "signature": f"v1,AAAA v1,{value} v2,x"}
        return {f"{prefix}-{name}": text for name, text in fields.items()}

    return sign


def contentful(at: int) -> Fields:
    fields = {"x-contentful-signed-headers": "x-contentful-signed-headers,x-contentful-timestamp"}
    fields["x-contentful-timestamp"] = f"{at}000"
    listed = ";".join(f"{name}:{fields[name]}" for name in sorted(fields))
    fields["x-contentful-signature"] = hexed(f"POST\n/in?x=1&a=2\n{listed}\n".encode() + BODY)
    return fields


def graphcms(at: int) -> Fields:
    text = BODY.decode()
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    signed = f'{{"Body":"{quoted}","EnvironmentName":"master","TimeStamp":{at}000}}'
    return {"gcms-signature": f"sign={based(signed.encode())}, env=master, t={at}000"}


SIGNED: dict[str, Callable[[int], Fields]] = {
    "aftership": of_body("aftership-hmac-sha256", based),
    "airship": lambda at: {"x-ua-timestamp": str(at), "x-ua-signature": hexed(b"%d:" % at + BODY)},
    "alchemy": of_body("x-alchemy-signature", hexed),
    "autodesk": of_body("x-adsk-signature", lambda body: "sha1hash=" + hexed(body, "sha1")),
    "bitbucket": of_body("x-hub-signature", lambda body: "sha256=" + hexed(body)),
    "bolt": of_body("x-bolt-hmac-sha256", based),
    "box": lambda at: {
        "box-delivery-timestamp": "2023-11-14T14:13:20-08:00" if at == NOW else "2020-01-01T00:00:00Z",
        "box-signature-primary": "AAAA",
        "box-signature-secondary": based(BODY + b"2023-11-14T14:13:20-08:00"),
    },
    "brex": svix("webhook"),
    "buildkite": lambda at: {
        "x-buildkite-signature": f"timestamp={at},signature={hexed(b'%d.' % at + BODY)}"
    },
    "calendly": lambda at: {"calendly-webhook-signature": f"t={at},v1={hexed(b'%d.' % at + BODY)}"},
    "castle": of_body("x-castle-signature", based),
    "chargify": of_body("x-chargify-webhook-signature-hmac-sha-256", hexed),
    "circleci": of_body("circleci-signature", lambda body: f"v1={hexed(body)},v2=x"),
    "clearbit": of_body("x-request-signature", lambda body: "sha1=" + hexed(body, "sha1")),
    "clerk": svix("svix"),
    "coinbase": of_body("x-cc-webhook-signature", hexed),
    "contentful": contentful,
    "docusign": lambda _at: {"x-docusign-signature-1": "AAAA", "x-docusign-signature-2": based(BODY)},
    "dropbox": of_body("x-dropbox-signature", hexed),
    "facebook_graph_api": of_body("x-hub-signature-256", lambda body: "sha256=" + hexed(body)),
    "facebook_messenger": of_body("x-hub-signature", lambda body: "sha1=" + hexed(body, "sha1")),
    "frameio": lambda at: {
        "x-frameio-request-timestamp": str(at),
        "x-frameio-signature": "v0=" + hexed(b"v0:%d:" % at + BODY),
    },
    "github": of_body("x-hub-signature-256", lambda body: "sha256=" + hexed(body)),
    "go1": lambda at: {"go1-signature": f"t={at},v1={hexed(b'%d.' % at + BODY)}"},
    "graphcms": graphcms,
    "heroku": of_body("heroku-webhook-hmac-sha256", based),
    "hubspot": lambda at: {
        "x-hubspot-request-timestamp": f"{at}000",
        "x-hubspot-signature-v3": based(f"POST{URL}".encode() + BODY + b"%d000" % at),
    },
    "instagram": of_body("x-hub-signature-256", lambda body: "sha256=" + hexed(body)),
    "intercom": of_body("x-hub-signature", lambda body: "sha1=" + hexed(body, "sha1")),
    "jira": of_body("x-hub-signature", lambda body: "sha256=" + hexed(body)),
    "launch_darkly": of_body("x-ld-signature", hexed),
    "modern_treasury": of_body("x-signature", hexed),
    "mongodb": of_body("x-hook-signature", lambda body: "sha256=" + hexed(body)),
    "mux": lambda at: {"mux-signature": f"t={at},v1={hexed(b'%d.' % at + BODY)}"},
    "orb": lambda at: {"x-orb-timestamp": str(at), "x-orb-signature": "v1=" + hexed(b"v1:%d:" % at + BODY)},
    "orbit": of_body("x-orbit-signature", lambda body: "sha256=" + hexed(body)),
    "pagerduty": of_body("x-pagerduty-signature", lambda body: f"v1=00,v1={hexed(body)}"),
    "pinwheel": lambda at: {
        "x-timestamp": str(at),
        "x-pinwheel-signature": "v2=" + hexed(b"v2:%d:" % at + BODY),
    },
    "pusher": of_body("x-pusher-signature", hexed),
    "sentry": of_body("sentry-hook-signature", hexed),
    "shopify": of_body("x-shopify-hmac-sha256", based),
    "signal_sciences": of_body("x-sigsci-signature", hexed),
    "slack": lambda at: {
        "x-slack-request-timestamp": str(at),
        "x-slack-signature": "v0=" + hexed(b"v0:%d:" % at + BODY),
    },
    "sonatype": of_body("x-nexus-webhook-signature", lambda body: hexed(body, "sha1")),
    "square": of_body("x-square-hmacsha256-signature", lambda body: based(URL.encode() + body)),
    "stripe": lambda at: {"stripe-signature": f"t={at},v0=x,v1=y,v1={hexed(b'%d.' % at + BODY)}"},
    "svix": svix("svix"),
    "terraform": of_body("x-tfe-notification-signature", lambda body: hexed(body, "sha512")),
    "tiktok": lambda at: {"tiktok-signature": f"t={at},s={hexed(b'%d.' % at + BODY)}"},
    "twitter": of_body("x-twitter-webhooks-signature", lambda body: "sha256=" + based(body)),
    "typeform": of_body("typeform-signature", lambda body: "sha256=" + based(body)),
    "webex": of_body("x-spark-signature", lambda body: hexed(body, "sha1")),
    "whatsapp": of_body("x-hub-signature-256", lambda body: "sha256=" + hexed(body)),
    "worldline": of_body("x-gcs-signature", based),
    "xero": of_body("x-xero-signature", based),
    "zendesk": lambda at: {
        "x-zendesk-webhook-signature-timestamp": "2023-11-14T22:13:20Z"
        if at == NOW
        else "2020-01-01T00:00:00Z",
        "x-zendesk-webhook-signature": based(b"2023-11-14T22:13:20Z" + BODY),
    },
    "zoom": lambda at: {
        "x-zm-request-timestamp": str(at),
        "x-zm-signature": "v0=" + hexed(b"v0:%d:" % at + BODY),
    },
}
"""How each sender signs BODY at a time, by its own description."""
BY_KEY = {"brex": KEY, "clerk": "whsec_" + KEY, "svix": "whsec_" + KEY}
ELSEWHERE = {"gitlab", "linear", "mailchimp", "mailgun", "microsoft_teams", "plivo", "sendgrid", "twilio"}
"""Senders that have a test of their own below."""
TIMED = {
    "airship",
    "box",
    "brex",
    "buildkite",
    "calendly",
    "clerk",
    "contentful",
    "frameio",
    "go1",
    "graphcms",
    "hubspot",
    "mux",
    "orb",
    "pinwheel",
    "slack",
    "stripe",
    "svix",
    "tiktok",
    "zendesk",
    "zoom",
}


def hook(
    fields: Fields, body: bytes = BODY, *, url: str = URL, method: str = "POST", now: float = NOW
) -> Hook:
    return Hook(method, url, {name: [value] for name, value in fields.items()}, body, now)


def refused(provider: str, made: Hook, secret: str) -> None:
    with pytest.raises(Unverified):
        PROVIDERS[provider](made, secret)


def test_every_documented_sender_is_there() -> None:
    assert len(DOCUMENTED) == 69
    assert {*PROVIDERS, SNS, *UNKNOWN} == DOCUMENTED
    assert set(PROVIDERS) == {*SIGNED, *ELSEWHERE}
    assert set(ALIASES.values()) <= DOCUMENTED


@pytest.mark.row("P-55")
@pytest.mark.parametrize("provider", SIGNED)
def test_what_its_sender_has_signed_is_verified_and_nothing_else(provider: str) -> None:
    secret = BY_KEY.get(provider, SECRET)
    fields = SIGNED[provider](NOW)
    PROVIDERS[provider](hook(fields), secret)
    refused(provider, hook(fields, BODY + b" "), secret)
    refused(provider, hook(fields, BODY.strip()), secret)
    refused(provider, hook(fields), base64.b64encode(b"another").decode())
    refused(provider, hook({}), secret)
    for name, value in fields.items():
        if value not in ("AAAA", "msg_1") and "signed" not in name:
            refused(provider, hook({**fields, name: value[::-1]}), secret)
    twice = Hook("POST", URL, {name: [value, value] for name, value in fields.items()}, BODY, NOW)
    refused(provider, twice, secret)


@pytest.mark.parametrize("provider", sorted(TIMED))
def test_what_was_signed_long_ago_is_not_verified(provider: str) -> None:
    secret = BY_KEY.get(provider, SECRET)
    for at in (NOW - 700, NOW + 700):
        refused(provider, hook(SIGNED[provider](at)), secret)
    refused(provider, hook(SIGNED[provider](NOW), now=NOW + 700), secret)


def test_only_those_that_sign_no_time_have_no_window() -> None:
    for provider in set(SIGNED) - TIMED:
        PROVIDERS[provider](hook(SIGNED[provider](NOW), now=NOW + 10**6), BY_KEY.get(provider, SECRET))


# -- vectors that senders publish


def test_github_as_it_is_published() -> None:
    value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    made = hook({"x-hub-signature-256": value}, b"Hello, World!")
    PROVIDERS["github"](made, "It's a Secret to Everybody")


def test_slack_as_it_is_published() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    fields = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    PROVIDERS["slack"](hook(fields, body, now=1531420618), "8f742231b10e8888abcd99yyyzzz85a5")
    refused("slack", hook(fields, body, now=1531420618 + 301), "8f742231b10e8888abcd99yyyzzz85a5")


def test_svix_as_it_is_published() -> None:
    fields = {
        "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "svix-timestamp": "1614265330",
        "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    made = hook(fields, b'{"test": 2432232314}', now=1614265330)
    PROVIDERS["svix"](made, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    standard = {name.replace("svix", "webhook"): value for name, value in fields.items()}
    made = hook(standard, b'{"test": 2432232314}', now=1614265330)
    PROVIDERS["svix"](made, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    refused("svix", made, "not base64!")


FORM = "application/x-www-form-urlencoded"


def test_twilio_as_it_is_published() -> None:
    body = (
        b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
    )
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "content-type": FORM}
    PROVIDERS["twilio"](hook(fields, body, url=url), "12345")
    refused("twilio", hook(fields, body.replace(b"1234&", b"1235&"), url=url), "12345")
    refused("twilio", hook(fields, body, url=url + "1"), "12345")


def test_twilio_with_another_body() -> None:
    url = f"{URL}&bodySHA256={hashlib.sha256(BODY).hexdigest()}"
    fields = {"x-twilio-signature": based(url.encode(), "sha1")}
    PROVIDERS["twilio"](hook(fields, url=url), SECRET)
    refused("twilio", hook(fields, BODY + b"x", url=url), SECRET)
    refused("twilio", hook({"x-twilio-signature": based(URL.encode(), "sha1")}), SECRET)


SENDGRID = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eN"
    "Ec6wEA3F+g=="
)


def test_sendgrid_as_it_is_published() -> None:
    event = {
        "email": "hello@world.com",
        "event": "dropped",
        "reason": "Bounced Address",
        "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
        "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
        "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
        "timestamp": 1600112492,
    }
    body = json.dumps([event], separators=(",", ":")).encode() + b"\r\n"
    prefix = "x-twilio-email-event-webhook-"
    fields = {
        prefix + "timestamp": "1600112502",
        prefix + "signature": (
            "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
        ),
    }
    PROVIDERS["sendgrid"](hook(fields, body, now=1600112502), SENDGRID)
    refused("sendgrid", hook(fields, body[:-2], now=1600112502), SENDGRID)
    refused("sendgrid", hook(fields, body, now=1600112502 + 200), SENDGRID)
    refused("sendgrid", hook(fields, body, now=1600112502), "no key")
    refused("sendgrid", hook({**fields, prefix + "signature": "AAAA"}, body, now=1600112502), SENDGRID)


# -- senders whose requests are not like the others


def test_gitlab_sends_its_token() -> None:
    PROVIDERS["gitlab"](hook({"x-gitlab-token": "token"}), "token")
    refused("gitlab", hook({"x-gitlab-token": "tokem"}), "token")
    refused("gitlab", hook({}), "token")
    PROVIDERS["buildkite"](hook({"x-buildkite-token": "token"}), "token")
    refused("buildkite", hook({"x-buildkite-token": "other"}), "token")


def test_linear_has_its_time_in_the_body() -> None:
    def made(at: object) -> Hook:
        body = json.dumps({"webhookTimestamp": at}).encode()
        return hook({"linear-signature": hexed(body)}, body)

    PROVIDERS["linear"](made(NOW * 1000), SECRET)
    for at in ((NOW - 61) * 1000, (NOW + 61) * 1000, None, "x", True):
        refused("linear", made(at), SECRET)
    refused("linear", hook({"linear-signature": hexed(b"[]")}, b"[]"), SECRET)


def test_mailgun_signs_a_token() -> None:
    def signature(at: int) -> dict[str, object]:
        return {"timestamp": str(at), "token": "t0k", "signature": hexed(f"{at}t0k".encode())}

    def made(at: int, **other: object) -> Hook:
        return hook({}, json.dumps({"signature": {**signature(at), **other}}).encode())

    PROVIDERS["mailgun"](made(NOW), SECRET)
    refused("mailgun", made(NOW - 181), SECRET)
    refused("mailgun", made(NOW, token="other"), SECRET)
    refused("mailgun", made(NOW, token=["x"]), SECRET)
    refused("mailgun", hook({}, b'{"signature": 5}'), SECRET)
    form = "&".join(f"{name}={value}" for name, value in signature(NOW).items()).encode()
    PROVIDERS["mailgun"](hook({"content-type": FORM}, form), SECRET)


def test_mailchimp_signs_its_form() -> None:
    body = b"b=two&a=1+2&c="
    signed = (URL + "a1 2btwoc").encode()
    fields = {"content-type": FORM, "x-mandrill-signature": based(signed, "sha1")}
    PROVIDERS["mailchimp"](hook(fields, body), SECRET)
    refused("mailchimp", hook(fields, body + b"x"), SECRET)


def test_microsoft_teams_signs_in_authorization() -> None:
    value = based(BODY, key=base64.b64decode(KEY))
    PROVIDERS["microsoft_teams"](hook({"authorization": f"HMAC {value}"}), KEY)
    refused("microsoft_teams", hook({"authorization": f"Bearer {value}"}), KEY)
    refused("microsoft_teams", hook({"authorization": f"HMAC {value}"}, b"x"), KEY)


def test_plivo_signs_its_url_and_form() -> None:
    form = b"To=2&From=1"
    signed = b"https://hooks.example/in?a=2&x=1.From1To2.nonce"
    fields = {"content-type": FORM, "x-plivo-signature-v3-nonce": "nonce"}
    fields["x-plivo-signature-v3"] = f"AAAA,{based(signed)}"
    PROVIDERS["plivo"](hook(fields, form), SECRET)
    refused("plivo", hook(fields, form + b"1"), SECRET)
    refused("plivo", hook({**fields, "x-plivo-signature-v3-nonce": "other"}, form), SECRET)
    got = {
        "x-plivo-signature-v3-nonce": "n",
        "x-plivo-signature-v3": based(b"https://hooks.example/in?a=2&x=1.n"),
    }
    PROVIDERS["plivo"](hook(got, b"", method="GET"), SECRET)


def test_older_versions_of_hubspot_mongodb_and_square() -> None:
    one = hashlib.sha256(SECRET.encode() + BODY).hexdigest()
    PROVIDERS["hubspot"](hook({"x-hubspot-signature": one}), SECRET)
    two = hashlib.sha256(f"{SECRET}POST{URL}".encode() + BODY).hexdigest()
    versioned = {"x-hubspot-signature": two, "x-hubspot-signature-version": "v2"}
    PROVIDERS["hubspot"](hook(versioned), SECRET)
    refused("hubspot", hook({**versioned, "x-hubspot-signature-version": "v3"}), SECRET)
    PROVIDERS["mongodb"](hook({"x-mms-signature": based(BODY, "sha1")}), SECRET)
    refused("mongodb", hook({"x-mms-signature": based(BODY)}), SECRET)
    PROVIDERS["square"](hook({"x-square-signature": based(URL.encode() + BODY, "sha1")}), SECRET)


# -- challenges


@pytest.mark.row("P-55")
def test_twitter_is_answered_what_it_asks_for() -> None:
    reply = CHALLENGES["twitter"](hook({}, b"", url="https://a.example/?crc_token=abc", method="GET"), SECRET)
    assert reply is not None
    assert json.loads(reply.body) == {"response_token": "sha256=" + based(b"abc")}
    for url in (
        "https://a.example/",
        "https://a.example/?crc_token=%7B%22a%22%3A1%7D",
        f"{URL}?crc_token={'a' * 300}",
    ):
        assert CHALLENGES["twitter"](hook({}, b"", url=url, method="GET"), SECRET) is None
    assert CHALLENGES["twitter"](hook({}, url="https://a.example/?crc_token=abc"), SECRET) is None


def test_zoom_is_answered_what_it_asks_for() -> None:
    def made(body: bytes, signed: bytes | None = None) -> Hook:
        value = "v0=" + hexed(b"v0:%d:" % NOW + (signed or body))
        return hook({"x-zm-request-timestamp": str(NOW), "x-zm-signature": value}, body)

    body = b'{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}'
    reply = CHALLENGES["zoom"](made(body), SECRET)
    assert reply is not None
    assert json.loads(reply.body) == {"plainToken": "abc", "encryptedToken": hexed(b"abc")}
    with pytest.raises(Unverified):
        CHALLENGES["zoom"](made(body, b"other"), SECRET)
    with pytest.raises(Unverified):
        CHALLENGES["zoom"](made(body.replace(b"abc", b"v0:1:{}")), SECRET)
    assert CHALLENGES["zoom"](made(b'{"event":"meeting.started"}'), SECRET) is None


def test_worldline_and_xero_are_answered_what_they_ask_for() -> None:
    header = "x-gcs-webhooks-endpoint-verification"
    reply = CHALLENGES["worldline"](hook({header: "abc-1"}, b"", method="GET"), SECRET)
    assert reply is not None
    assert reply.body == b"abc-1"
    assert CHALLENGES["worldline"](hook({header: "<b>"}, b"", method="GET"), SECRET) is None
    body = b'{"events":[],"firstEventSequence":0}'
    reply = CHALLENGES["xero"](hook({"x-xero-signature": based(body)}, body), SECRET)
    assert reply is not None
    assert reply.body == b""
    with pytest.raises(Unverified):
        CHALLENGES["xero"](hook({"x-xero-signature": "AAAA"}, body), SECRET)
    body = b'{"events":[1]}'
    assert CHALLENGES["xero"](hook({"x-xero-signature": based(body)}, body), SECRET) is None
