"""``jwt-validation``: let those in who bring a JSON Web Token that one of the named issuers has signed.

The tokens are taken from header fields or from the body, which is asked of the edge first; then the key sets
are. All of the configured tokens must be there and be good; anything else is answered 401.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from portway.policy.actions import Action, ActionType
from portway.policy.jwt import (
    ALGORITHMS,
    Key,
    Token,
    TokenError,
    check_claims,
    check_type,
    read_token,
    verify,
)
from portway.policy.phase import HTTP, Phase
from portway.policy.verdict import Failed, Fetch, Verdict, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portway.codec.document import Node
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

TOKENS: Final = 10
SOURCES: Final = 100
BODY: Final = 1 << 20
"""Bytes of a body that is read for tokens."""
TYPES_OF_TOKEN: Final = ("id_token", "access_token", "at+jwt", "it+jwt", "plain", "jwt")

MISSING, NO_FIELD, NO_JSON, NO_FORM, NO_PREFIX, NO_TYPE, NO_METHOD, NO_KEYS = (
    3406, 3408, 3411, 3412, 3413, 3414, 3415, 3422,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a token is looked for."""

    kind: str
    in_body: bool
    name: "Template"
    prefix: "Template"


@dataclass(frozen=True, slots=True)
class _Found:
    """A token, and where it was."""

    token: Token
    place: _Place
    name: str
    verified: bool = False

    def shown(self) -> dict[str, object]:
        where = {"location": "body" if self.place.in_body else "header", "location_property": self.name}
        return {**self.token.shown(verified=self.verified), **where}


@dataclass(frozen=True, slots=True)
class _JwtValidation:
    issuers: "tuple[Template, ...]"
    audiences: "tuple[Template, ...]"
    places: tuple[_Place, ...]
    algorithms: tuple[str, ...]
    sources: "tuple[Template, ...]"

    def run(self, run: "Run") -> Verdict | None:
        if any(place.in_body for place in self.places):
            try:
                _form_of(run)
            except TokenError as error:
                return _refused(run, [], error)
            return Fetch("body", {"limit": BODY, "whole": True})
        return self._read(run, b"")

    def resume(self, run: "Run", result: object) -> Verdict | None:
        kept = cast("list[_Found] | None", run.kept)
        if isinstance(result, Failed):
            if kept is None:
                return refusal(result.status, result.code, result.message)
            return _refused(run, kept, TokenError(NO_KEYS, "The keys of the issuer cannot be had."))
        if kept is None:
            return self._read(run, cast("bytes", result))
        run.kept = None
        return self._judge(run, kept, cast("list[Key]", result))

    def _read(self, run: "Run", body: bytes) -> Verdict:
        """Find all tokens, then ask for keys."""
        found: list[_Found] = []
        try:
            found.extend(self._token(run, body, place) for place in self.places)
        except TokenError as error:
            return _refused(run, found, error)
        run.kept = found
        urls = tuple(run.text(each) for each in self.sources)
        return Fetch("keys", {"urls": urls, "kids": tuple(each.token.kid for each in found)})

    def _token(self, run: "Run", body: bytes, place: _Place) -> _Found:
        name, prefix = run.text(place.name), run.text(place.prefix)
        text = _of_body(run, body, name) if place.in_body else _of_field(run, name)
        if text[: len(prefix)].lower() != prefix.lower():
            raise TokenError(NO_PREFIX, "The token does not begin with the prefix that is expected.")
        token = read_token(text[len(prefix) :].strip())
        if token.algorithm not in self.algorithms:
            raise TokenError(3401, "The token is signed by an algorithm that is not allowed.")
        return _Found(token, place, name)

    def _judge(self, run: "Run", found: list[_Found], keys: list[Key]) -> Verdict | None:
        issuers = [run.text(each) for each in self.issuers]
        audiences = [run.text(each) for each in self.audiences]
        for index, each in enumerate(found):
            try:
                verify(each.token, keys, self.algorithms)
                check_type(each.token, each.place.kind)
                check_claims(each.token.payload, issuers, audiences, run.now)
            except TokenError as error:
                return _refused(run, found, error)
            found[index] = replace(each, verified=True)
        _publish(run, found, "", "")
        return None


def _publish(run: "Run", found: "Sequence[_Found]", code: str, message: str) -> None:
    shown = [each.shown() for each in found]
    run.publish("jwt_validation", {"tokens": shown, "error": {"code": code, "message": message}})


def _refused(run: "Run", found: "Sequence[_Found]", error: TokenError) -> Verdict:
    """Answer 401 (RFC 6750 §3)."""
    _publish(run, found, f"ERR_NGROK_{error.code}", error.message)
    run.note("failed", f"jwt-validation: {error.message}", error.code)
    kind = b"Bearer" if error.code in (MISSING, NO_FIELD) else b'Bearer error="invalid_token"'
    return refusal(401, error.code, error.message, ((b"www-authenticate", kind),))


def _of_field(run: "Run", name: str) -> str:
    values = run.request.get(name.lower().encode("utf-8"))
    if not values:
        raise TokenError(NO_FIELD, "A token is required.")
    if len(values) > 1:
        raise TokenError(3416, "The header field of the token occurs twice.")
    return values[0].decode("latin-1").strip()


def _form_of(run: "Run") -> bool:
    """Tell whether a body is a form, else it is JSON. Raises TokenError."""
    if run.request.method not in ("POST", "PUT", "PATCH"):
        raise TokenError(NO_METHOD, "A token is required in the body of a POST, PUT or PATCH.")
    kinds = run.request.get(b"content-type")
    kind = kinds[0].split(b";")[0].strip().lower() if len(kinds) == 1 else b""
    if kind == b"application/x-www-form-urlencoded":
        return True
    if kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json")):
        return False
    raise TokenError(NO_TYPE, "The body that holds the token must be JSON or a form.")


def _of_body(run: "Run", body: bytes, name: str) -> str:
    if _form_of(run):
        try:
            pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=1000)
        except ValueError as error:
            raise TokenError(NO_FORM, "The body is no form.") from error
    else:
        try:
            fields: object = json.loads(body, object_pairs_hook=list)
        except (ValueError, RecursionError) as error:
            raise TokenError(NO_JSON, "The body is no JSON.") from error
        pairs = cast("list[tuple[str, str]]", fields if isinstance(fields, list) else [])
    values: list[Any] = [pair[1] for pair in pairs if _is_pair(pair) and pair[0].lower() == name.lower()]
    if len(values) != 1 or not isinstance(values[0], str):
        raise TokenError(MISSING if not values else 3416, "The body holds no single token.")
    return values[0].strip()


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple) and isinstance(pair[0], str)


# -- its configuration


def _parse(config: "Fields", compiler: "Compiler") -> Action:
    issuers = _values(config, "issuer", required=True)
    audiences = _values(config, "audience", required=False)
    places: list[_Place] = []
    http = config.require("http")
    if http is not None:
        fields = config.sub(http)
        for node in fields.items("tokens", least=1, most=TOKENS):
            each = config.sub(node)
            kind = each.choice("type", TYPES_OF_TOKEN)
            in_body = each.choice("method", ("header", "body")) == "body"
            places.append(_Place(kind, in_body, each.template("name", least=1), each.template("prefix", "")))
            each.end()
        fields.end()
    algorithms: tuple[str, ...] = ()
    sources: list[Template] = []
    jws = config.require("jws")
    if jws is not None:
        fields = config.sub(jws)
        if fields.items("allowed_algorithms", least=1):
            algorithms = fields.choices("allowed_algorithms", ALGORITHMS, ())
        sources = _keys(fields, compiler)
        fields.end()
    return _JwtValidation(tuple(issuers), tuple(audiences), tuple(places), algorithms, tuple(sources))


def _values(config: "Fields", name: str, *, required: bool) -> "list[Template]":
    node = config.require(name) if required else config.find(name)
    if node is None:
        return []
    fields = config.sub(node)
    found: list[Template] = []
    for item in fields.items("allow_list", least=1, most=SOURCES):
        each = config.sub(item)
        found.append(each.template("value", least=1))
        each.end()
    fields.end()
    return found


def _keys(jws: "Fields", compiler: "Compiler") -> "list[Template]":
    """Read ``keys``, each level of which is an object or a list of such."""
    found: list[Template] = []
    node = jws.require("keys")
    for keys in _each(node):
        fields = jws.sub(keys)
        named = fields.find("identification")
        for each in _each(named):
            identification = jws.sub(each)
            identification.choices("token_claims", ("kid",), ())
            identification.end()
        for each in _each(fields.require("sources")):
            sources = jws.sub(each)
            for item in sources.items("additional_jkus", least=1, most=SOURCES):
                text = sources.text_of(item, "additional_jkus", least=1)
                template = compiler.template(item)
                if template.is_constant and not _is_url(template.literal):
                    compiler.problem(2226, item, f"{text!r} is no URL of http or https")
                found.append(template)
            sources.end()
        fields.end()
    return found


def _each(node: "Node | None") -> "list[Node]":
    if node is None:
        return []
    return node.items if node.kind == "list" else [node]


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


TYPES: Final = [
    ActionType(
        "jwt-validation",
        _parse,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        result="jwt_validation",
        guards=True,
    )
]
