"""``compress-response`` and the find/replace actions: what changes bodies on their way.

These put filters on a body: objects with ``feed`` and ``end``. The ones that must see a whole body say so
with ``whole``; then it is collected, at most WHOLE bytes of it, and goes on with its new length.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portway.codec.compression import CODINGS, DecodeError, Encoder, decodable, decode, encoder, negotiate
from portway.codec.event_stream import Message
from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.phase import HTTP, Phase
from portway.policy.regex import RegexError, compile_regex
from portway.policy.replacement import Replacement

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.facts import Request, Response
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

WHOLE: Final = 10 << 20
"""Bytes of a body that is collected to be changed, before and after."""
REPLACEMENTS: Final = 50
"""Of one action."""
MATCHED: Final = 1024
"""Characters of a match that are told in result variables."""

NOT_BUFFERED: Final = 3903
NOT_CHANGED: Final = 3904
INTERPOLATION: Final = 3900
BAD_REGEX: Final = 3901

_BODILESS: Final = frozenset((204, 205, 304))

# -- compress-response


class Compressed:
    """The filter of one body, and how much it saved."""

    __slots__ = ("_encoder", "_run", "_saved")
    whole = False

    def __init__(self, made: Encoder, run: "Run") -> None:
        """Compress with this encoder; tell the run's event."""
        self._encoder = made
        self._run = run
        self._saved = 0

    def feed(self, data: bytes) -> bytes:
        """Return the compressed form of all that was fed so far."""
        return self._count(len(data), self._encoder.feed(data))

    def end(self) -> bytes:
        """Return what ends the body."""
        return self._count(0, self._encoder.end())

    def _count(self, before: int, made: bytes) -> bytes:
        self._saved += before - len(made)
        self._run.decisions["compression.bytes_saved"] = self._saved
        return made


@dataclass(frozen=True, slots=True)
class _Compress:
    algorithms: tuple[str, ...]

    def run(self, run: "Run") -> None:
        response = run.response
        already = _codings(response) != []
        chosen = None
        if not already and _may_change(run.request, response):
            if not any(b"accept-encoding" in value.lower() for value in response.get(b"vary")):
                response.add(b"vary", b"Accept-Encoding")
            chosen = negotiate(_accepted(run.request), self.algorithms)
        run.publish("compress", {"already_compressed": already, "negotiated_algorithm": chosen or ""})
        if chosen is None:
            return
        _without_length(response)
        response.set(b"content-encoding", chosen.encode("ascii"))
        run.filters.response.append(Compressed(encoder(chosen), run))
        run.decisions["compression.algorithm"] = chosen


def _may_change(request: "Request", response: "Response") -> bool:
    if request.method == "HEAD" or response.status in _BODILESS or response.status in (101, 206):
        return False
    if response.get(b"content-length") == [b"0"]:
        return False
    return not any(b"no-transform" in value.lower() for value in response.get(b"cache-control"))


def _accepted(request: "Request") -> str:
    """Return what the visitor's own Accept-Encoding says: a rule may have taken it from the upstream."""
    told = request.accept_encoding
    values = request.get(b"accept-encoding") if told is None else [told]
    return b", ".join(values).decode("latin-1")


def _without_length(response: "Response") -> None:
    response.remove((b"content-length", b"accept-ranges", b"content-md5", b"digest", b"content-digest"))
    for etag in response.get(b"etag"):
        if not etag.startswith(b"W/"):
            response.set(b"etag", b"W/" + etag)


def _codings(message: "Request | Response") -> list[str]:
    """List the codings of a body, identity left out, in the order in which they were applied."""
    text = b",".join(message.get(b"content-encoding")).decode("latin-1").lower()
    names = (name.strip() for name in text.split(","))
    return [name for name in names if name not in ("", "identity")]


# -- find and replace


@dataclass(frozen=True, slots=True)
class _Change:
    """One replacement of a configuration."""

    wanted: "Template"
    to: "Template"
    field: "Template | None" = None


class _Replacing:
    """Replacements whose ``${…}`` have been resolved."""

    __slots__ = ("_made",)

    def __init__(self, changes: tuple[_Change, ...], run: "Run") -> None:
        """Resolve them. Raises ActionFailed 3900, 3901."""
        self._made: list[tuple[Any, Replacement, str]] = []
        for change in changes:
            try:
                wanted, to = run.text(change.wanted), run.text(change.to)
                field = run.text(change.field) if change.field else ""
            except ActionFailed as error:
                raise ActionFailed(INTERPOLATION, error.message) from error
            try:
                pattern = compile_regex(wanted)
            except RegexError as error:
                raise ActionFailed(BAD_REGEX, "A computed regular expression is not valid.") from error
            self._made.append((pattern, Replacement(to, pattern), field))

    def apply(self, text: bytes, field: str, matched: list[dict[str, object]]) -> bytes:
        """Replace in a text; add what matched. Raises ActionFailed 3904."""
        for index, (pattern, replacement, where) in enumerate(self._made):
            if where != field:
                continue
            try:
                text, first = replacement.all(pattern, text, WHOLE)
            except OverflowError as error:
                raise ActionFailed(NOT_CHANGED, f"The body becomes longer than {WHOLE} bytes.") from error
            if first is not None:
                content = (first.group(0) or b"").decode("utf-8", "replace")[:MATCHED]
                matched.append({"replacement_index": index, "matched_content": content})
        return text


class Replaced:
    """The filter of one body that is collected, changed, and given out at its end."""

    __slots__ = ("_codings", "_held", "_name", "_replacing", "_run", "_status")
    whole = True

    def __init__(self, replacing: _Replacing, codings: list[str], run: "Run", name: str, status: int) -> None:
        """Change with these; publish under a name; a body that is too long is answered with ``status``."""
        self._replacing = replacing
        self._codings = codings
        self._held = bytearray()
        self._run = run
        self._name = name
        self._status = status

    def feed(self, data: bytes) -> bytes:
        """Collect. Raises ActionFailed 3903."""
        self._held += data
        if len(self._held) > WHOLE:
            raise ActionFailed(NOT_BUFFERED, f"The body is longer than {WHOLE} bytes.", self._status)
        return b""

    def end(self) -> bytes:
        """Return the changed body. Raises ActionFailed 3903, 3904."""
        body = bytes(self._held)
        self._held.clear()
        try:
            body = decode(body, self._codings, WHOLE) if self._codings and body else body
        except DecodeError as error:
            raise ActionFailed(NOT_BUFFERED, f"The body cannot be decoded: {error}", 502) from error
        matched: list[dict[str, object]] = []
        body = self._replacing.apply(body, "", matched)
        self._run.publish(self._name, {"replacements": matched})
        return body


@dataclass(frozen=True, slots=True)
class _RequestBody:
    changes: tuple[_Change, ...]

    def run(self, run: "Run") -> None:
        codings = _codings(run.request)
        run.publish("request_body_find_replace", {"replacements": []})
        if not decodable(codings):
            return
        made = _Replacing(self.changes, run)
        if codings:
            run.request.remove((b"content-encoding",))
        run.filters.request.append(Replaced(made, codings, run, "request_body_find_replace", 413))


@dataclass(frozen=True, slots=True)
class _ResponseBody:
    changes: tuple[_Change, ...]

    def run(self, run: "Run") -> None:
        response = run.response
        codings = _codings(response)
        run.publish("response_body_find_replace", {"replacements": []})
        bodiless = run.request.method == "HEAD" or response.status in _BODILESS or response.status == 101
        if bodiless or not decodable(codings):
            return
        made = _Replacing(self.changes, run)
        if codings:
            response.remove((b"content-encoding",))
        _without_length(response)
        run.filters.response.append(Replaced(made, codings, run, "response_body_find_replace", 502))


@dataclass(frozen=True, slots=True)
class _EventStream:
    changes: tuple[_Change, ...]

    def run(self, run: "Run") -> None:
        message = run.facts.event
        if not isinstance(message, Message):
            return
        made = _Replacing(self.changes, run)
        matched: list[dict[str, object]] = []
        if message.data is not None:
            message.data = made.apply(message.data, "data", matched)
        if message.retry is not None:
            retry = made.apply(message.retry, "retry", matched)
            message.retry = bytes(c for c in retry if c not in b"\r\n")
        run.publish("sse_find_replace", {"replacements": matched})


def _parse_compress(config: "Fields", _compiler: "Compiler") -> Action:
    chosen = config.choices("algorithms", CODINGS, CODINGS, code=2214)
    if not set(chosen) - {"compress"}:
        said = "no answer would be compressed: what is named is nothing, or a format that no client asks for"
        config.problem(2214, said, config.find("algorithms"))
    return _Compress(chosen)


def _changes(config: "Fields", compiler: "Compiler", *, fields: bool = False) -> tuple[_Change, ...]:
    found: list[_Change] = []
    for node in config.items("replacements", least=1, most=REPLACEMENTS):
        each = config.sub(node)
        at = each.find("from")
        wanted = each.template("from", least=1)
        if at is not None and wanted.is_constant:
            compiler.regex(at, wanted.literal)
        to = each.template("to", "")
        field = None
        if fields:
            field = each.template("field", "data")
            where = each.find("field")
            if where is not None and field.is_constant:
                each.choice_of(where, "field", ("data", "retry"))
        each.end()
        found.append(_Change(wanted, to, field))
    return tuple(found)


def _parse_request(config: "Fields", compiler: "Compiler") -> Action:
    return _RequestBody(_changes(config, compiler))


def _parse_response(config: "Fields", compiler: "Compiler") -> Action:
    return _ResponseBody(_changes(config, compiler))


def _parse_events(config: "Fields", compiler: "Compiler") -> Action:
    return _EventStream(_changes(config, compiler, fields=True))


_REQUEST: Final = frozenset((Phase.HTTP_REQUEST,))
_RESPONSE: Final = frozenset((Phase.HTTP_RESPONSE,))
_EVENTS: Final = frozenset((Phase.EVENT_STREAM_MESSAGE,))

TYPES: Final = [
    ActionType("compress-response", _parse_compress, _RESPONSE, HTTP, result="compress"),
    ActionType(
        "request-body-find-replace", _parse_request, _REQUEST, HTTP, result="request_body_find_replace"
    ),
    ActionType(
        "response-body-find-replace", _parse_response, _RESPONSE, HTTP, result="response_body_find_replace"
    ),
    ActionType("sse-find-replace", _parse_events, _EVENTS, HTTP, result="sse_find_replace"),
]
