"""``redirect`` and ``url-rewrite``: another URL, by RE2, Go's ``$1`` and the names of older documents."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin, urlsplit

from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.actions.reply import FRAMING, HEADERS
from portway.policy.phase import HTTP, Phase
from portway.policy.regex import RegexError, compile_regex
from portway.policy.replacement import Replacement, expand_names
from portway.policy.urls import named_part, parts_of
from portway.policy.verdict import Respond, Verdict

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

URL: Final = 8192
"""Bytes of a URL that is made."""
STATUSES: Final = ("301", "302", "303", "307", "308")
NO_URL: Final = 2247
NO_REGEX: Final = 2261
_SAFE: Final = "!#$%&'(),*+/:;=?@[]~-._"


class Rewriting:
    """``from`` and ``to`` of one action."""

    __slots__ = ("_from", "_to")

    def __init__(self, wanted: "Template | None", to: "Template") -> None:
        """Take both; without the first the whole URL is replaced."""
        self._from = wanted
        self._to = to

    @property
    def everything(self) -> bool:
        """Whether the whole URL is replaced, whatever it is."""
        return self._from is None

    def apply(self, run: "Run") -> tuple[str, list[str]]:
        """Return the new URL of the request, and what matched. Raises ActionFailed."""
        request = run.request
        url = request.url
        to = run.text(self._to)

        def older(name: str) -> str | None:
            return named_part(parts_of(request.scheme, request.authority, request.target), name)

        if self._from is None:
            to = expand_names(to, older) if "$" in to else to
            return encoded(urljoin(url, encoded(to))), [url]
        try:
            pattern = compile_regex(run.text(self._from))
        except RegexError as error:
            raise ActionFailed(NO_REGEX, "A computed regular expression is not valid.") from error
        text = url.encode("utf-8", "surrogateescape")
        matches = [match.group(0).decode("utf-8", "replace") for match in pattern.finditer(text)]
        if not matches:
            return url, []
        try:
            changed, _ = Replacement(to, pattern, older).all(pattern, text, URL)
        except OverflowError as error:
            raise ActionFailed(NO_URL, f"The new URL is longer than {URL} bytes.") from error
        return (url if changed == text else encoded(changed.decode("utf-8", "replace"))), matches


def encoded(url: str) -> str:
    """Percent-encode what cannot stand in a URL: spaces, line breaks, whatever is not ASCII."""
    made = quote(url, safe=_SAFE)
    if len(made) > URL:
        raise ActionFailed(NO_URL, f"The new URL is longer than {URL} bytes.")
    return made


def _parse_rewriting(config: "Fields", compiler: "Compiler") -> Rewriting:
    node = config.find("from")
    wanted = None
    if node is not None:
        wanted = config.template("from", least=1)
        if wanted.is_constant:
            compiler.regex(node, wanted.literal)
    return Rewriting(wanted, config.template("to", least=1))


@dataclass(frozen=True, slots=True)
class _Redirect:
    rewriting: Rewriting
    status: int
    headers: "tuple[tuple[str, Template], ...]"

    def run(self, run: "Run") -> Verdict | None:
        url, matches = self.rewriting.apply(run)
        _publish(run, "redirect", url, matches)
        if url == run.request.url:
            return None
        try:
            urlsplit(url)
        except ValueError as error:
            raise ActionFailed(NO_URL, "The URL to redirect to cannot be read.") from error
        own = [(name.encode("ascii"), run.header_value(value)) for name, value in self.headers]
        return Respond(self.status, ((b"location", url.encode("ascii")), *own), final=False)


@dataclass(frozen=True, slots=True)
class _Rewrite:
    rewriting: Rewriting

    def run(self, run: "Run") -> None:
        url, matches = self.rewriting.apply(run)
        _publish(run, "url_rewrite", url, matches)
        if url == run.request.url:
            return
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ActionFailed(NO_URL, "The rewritten URL cannot be read.") from error
        # The upstream is the endpoint's whatever the URL names: what counts is path and query.
        path = parts.path or "/"
        if not path.startswith("/") or parts.scheme not in HTTP:
            raise ActionFailed(NO_URL, "The rewritten URL is not one of http or https.")
        target = f"{path}?{parts.query}" if parts.query or "?" in url else path
        run.request.edited = run.request.edited or target != run.request.target
        run.request.asked = run.request.asked or run.request.url
        run.request.target = target


def _publish(run: "Run", name: str, url: str, matches: list[str]) -> None:
    run.publish(name, {"url": url, "matches": matches, "error": {"code": "", "message": ""}})


def _parse_redirect(config: "Fields", compiler: "Compiler") -> Action:
    rewriting = _parse_rewriting(config, compiler)
    status = int(config.choice("status_code", STATUSES, "302"))
    headers = config.headers("headers", most=HEADERS, forbidden=FRAMING | {"location"})
    return _Redirect(rewriting, status, tuple(headers))


def _parse_rewrite(config: "Fields", compiler: "Compiler") -> Action:
    return _Rewrite(_parse_rewriting(config, compiler))


def _always(action: Action) -> bool:
    return isinstance(action, _Redirect) and action.rewriting.everything


TYPES: Final = [
    ActionType(
        "redirect",
        _parse_redirect,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        result="redirect",
        terminates=_always,
    ),
    ActionType("url-rewrite", _parse_rewrite, frozenset((Phase.HTTP_REQUEST,)), HTTP, result="url_rewrite"),
]
