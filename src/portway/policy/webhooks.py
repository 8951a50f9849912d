"""How senders of webhooks sign them, and how that is verified.

Most send a MAC of the body, or of the body and a time, in a header field: a :class:`Mac` says which field,
which digest, how it is written and what it covers; ``policy/webhook_providers.py`` is the table. What does
not fit is a function. All take a :class:`Hook`, which is the request with the exact bytes of its body, and
raise :class:`Unverified` with the reason. Signatures are compared in constant time, times may be a little old
and a little early, and what cannot be read is not verified.
"""

import hmac
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec

TOLERANCE: Final = 180.0
"""Seconds by which a signed time may differ, where the sender does not say otherwise."""
SIGNATURES: Final = 20
"""Signatures of one request that are looked at."""
FORM_FIELDS: Final = 1000

Digest = Literal["sha1", "sha256", "sha512"]


class Unverified(Exception):
    """A request is not what its sender has signed; the text says why, for operators."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A request that may be a webhook. Names of fields are lower case."""

    method: str
    url: str
    """As the sender knows it."""
    fields: Mapping[str, Sequence[str]]
    body: bytes = field(repr=False)
    now: float

    def get(self, name: str) -> str:
        """Return the value of a field. Raises Unverified when it is absent or ambiguous."""
        values = self.fields.get(name.lower(), ())
        if len(values) != 1:
            raise Unverified(f"the field {name} is {'missing' if not values else 'there twice'}")
        return values[0].strip()

    def has(self, name: str) -> bool:
        """Tell whether a field is there."""
        return bool(self.fields.get(name.lower()))

    @property
    def target(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def json(self) -> dict[str, Any]:
        """Return the body's JSON object. Raises Unverified."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Unverified("the body is no JSON") from error
        if not isinstance(found, dict):
            raise Unverified("the body is no JSON object")
        return cast("dict[str, Any]", found)

    def form(self) -> list[tuple[str, str]]:
        """Return the fields of a form in the body; none if it is no form. Raises Unverified."""
        if "application/x-www-form-urlencoded" not in "".join(self.fields.get("content-type", ())).lower():
            return []
        try:
            return parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS)
        except ValueError as error:
            raise Unverified("the body is no form") from error

    def recent(self, text: str, tolerance: float = TOLERANCE) -> None:
        """Raise Unverified unless a time is about now: seconds or milliseconds since 1970, or ISO 8601."""
        at = time_of(text)
        if at is None:
            raise Unverified("its time cannot be read")
        if abs(self.now - at) > tolerance:
            raise Unverified("its time is too long ago, or to come")


def time_of(text: str) -> float | None:
    """Return seconds since 1970; None for what is no time."""
    if re.fullmatch(r"[0-9]{1,16}(\.[0-9]{1,9})?", text, re.ASCII):
        seconds = float(text)
        return seconds / 1000 if seconds >= 1e11 else seconds
    try:
        found = datetime.fromisoformat(text[:40])
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


Verify = Callable[[Hook, str], None]
"""Takes a request and the secret; raises Unverified."""


def key_of(secret: str, form: str = "text") -> bytes:
    """Return the key that a secret stands for. Raises Unverified."""
    if form == "text":
        return secret.encode()
    text = secret.removeprefix("whsec_")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (NotBase64, ValueError) as error:
        raise Unverified("the secret is not base64") from error


def same(presented: str, digest: bytes, coding: str) -> bool:
    """Compare a signature as it was sent with the right one, in constant time."""
    if coding == "hex":
        return hmac.compare_digest(presented.lower().encode(), digest.hex().encode())
    return hmac.compare_digest(presented.encode(), b64encode(digest))


class Mac(msgspec.Struct, frozen=True):
    """A MAC in a header field, over a message that a template makes."""

    header: str
    digest: Digest = "sha256"
    coding: Literal["hex", "base64"] = "hex"
    message: str = "{body}"
    """Of ``{body}``, ``{t}`` (the time), ``{id}``, ``{url}`` and text."""
    prefix: str = ""
    """What stands before each signature."""
    separator: str = ""
    """Between several signatures in the field, any of which will do."""
    time: str = ""
    """The field with the time that is signed too; ``=t``: it stands in the field itself, under this name."""
    id: str = ""
    """The field of ``{id}``."""
    tolerance: float = TOLERANCE
    key: Literal["text", "base64"] = "text"
    others: tuple[str, ...] = ()
    """Further fields that may hold the signature."""

    def __call__(self, hook: Hook, secret: str) -> None:
        """Verify a request."""
        signatures, at = self._presented(hook)
        if "{t}" in self.message:
            hook.recent(at, self.tolerance)
        values = {"{t}": at.encode(), "{body}": hook.body, "{url}": hook.url.encode()}
        if self.id:
            values["{id}"] = hook.get(self.id).encode()
        message = b"".join(values.get(part, part.encode()) for part in _PARTS.split(self.message))
        right = hmac.digest(key_of(secret, self.key), message, self.digest)
        if not [each for each in signatures[:SIGNATURES] if same(each, right, self.coding)]:
            raise Unverified("its signature is wrong")

    def _presented(self, hook: Hook) -> tuple[list[str], str]:
        """Return the signatures and the time of a request."""
        names = [name for name in (self.header, *self.others) if hook.has(name)]
        texts = [hook.get(name) for name in names or (self.header,)]
        if self.time.startswith("="):
            pairs = [each.strip().partition("=") for each in texts[0].split(",")]
            times = [value for name, _, value in pairs if name == self.time[1:]]
            if len(times) != 1:
                raise Unverified("it names no time, or several")
            return [value for name, mark, value in pairs if name + mark == self.prefix], times[0]
        pieces = [
            piece for text in texts for piece in (text.split(self.separator) if self.separator else [text])
        ]
        found = [each.strip() for each in pieces]
        if self.prefix:
            found = [each[len(self.prefix) :] for each in found if each.startswith(self.prefix)]
        return found, hook.get(self.time) if self.time else ""


_PARTS: Final = re.compile(r"(\{[a-z]+\})")


def first_of(*choices: tuple[str, Verify]) -> Verify:
    """Verify by the first scheme whose field is there, else by the last one."""

    def verify(hook: Hook, secret: str) -> None:
        for header, each in choices:
            if hook.has(header):
                each(hook, secret)
                return
        choices[-1][1](hook, secret)

    return verify


def token_in(header: str) -> Verify:
    """Make what compares a field with the secret itself."""

    def verify(hook: Hook, secret: str) -> None:
        if not hmac.compare_digest(hook.get(header).encode(), secret.encode()):
            raise Unverified("its token is wrong")

    return verify


def verify_digest(hook: Hook, header: str, coding: str, key: bytes, message: bytes, digest: Digest) -> None:
    """Compare one field with the MAC of a message. Raises Unverified."""
    if not same(hook.get(header), hmac.digest(key, message, digest), coding):
        raise Unverified("its signature is wrong")
