"""``deny``, ``close-connection`` and ``custom-response``: ends of a request, or of a connection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.codec.sniff import content_type
from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.phase import HTTP, Phase
from portway.policy.verdict import Close, Respond, Verdict

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.facts import Fields as FieldLines
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

HEADERS: Final = 10
"""Fields that one answer may name."""
BODY: Final = 65_536
"""Characters of a body as it stands in the document."""
FRAMING: Final = frozenset((
    "connection", "content-length", "expect", "keep-alive", "ngrok-error-code", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
))  # fmt: skip
"""Fields that say how a message is framed, or that only the service sets: no policy may."""

NO_BODY: Final = frozenset((204, 304))
BODY_NOT_ALLOWED: Final = 3604
_OF_THE_BODY: Final = frozenset((
    b"content-length", b"content-encoding", b"content-type", b"content-range", b"transfer-encoding", b"etag",
    b"last-modified", b"accept-ranges", b"content-md5", b"digest", b"content-digest", b"repr-digest",
    b"trailer",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _End:
    verdict: Verdict

    def run(self, run: "Run") -> Verdict:
        """End it, whatever it is."""
        del run
        return self.verdict


@dataclass(frozen=True, slots=True)
class CustomResponse:
    """An answer of the policy's own."""

    status: int
    body: "Template"
    headers: "tuple[tuple[str, Template], ...]"

    def run(self, run: "Run") -> Verdict:
        """Answer; in the response phase in place of the upstream's answer, whose other fields stay."""
        text = run.text(self.body)
        body = text.encode()
        if body and self.status in NO_BODY:
            raise ActionFailed(BODY_NOT_ALLOWED, f"An answer with status {self.status} has no body.")
        own = [(name.encode("ascii"), run.header_value(value)) for name, value in self.headers]
        named = {name for name, _ in own}
        if body and b"content-type" not in named:
            own.append((b"content-type", content_type(text).encode("ascii")))
        return Respond(self.status, (*_kept(run, named), *own), body, final=False)


def _kept(run: "Run", named: set[bytes]) -> "FieldLines":
    """Return the fields of the answer that is replaced which say nothing of its body."""
    if run.phase is not Phase.HTTP_RESPONSE:
        return []
    gone = named | _OF_THE_BODY
    return [(name, value) for name, value in run.response.fields if name.lower() not in gone]


def _parse_deny(config: "Fields", compiler: "Compiler") -> Action:
    if compiler.phase is Phase.TCP_CONNECT:
        return _End(Close())
    return _End(Respond(config.integer("status_code", 403, low=400, high=599)))


def _parse_close(_config: "Fields", _compiler: "Compiler") -> Action:
    return _End(Close())


def _parse_custom(config: "Fields", _compiler: "Compiler") -> Action:
    status = config.integer("status_code", 200, low=200, high=599)
    body = config.template("body", "", "content", most=BODY)
    if status in NO_BODY and body.is_constant and body.literal:
        config.problem(2204, f"an answer with status {status} has no body", config.find("body", "content"))
    return CustomResponse(status, body, tuple(config.headers("headers", most=HEADERS, forbidden=FRAMING)))


def _refuses(action: Action) -> bool:
    return isinstance(action, CustomResponse) and action.status >= 400


TYPES: Final = [
    ActionType(
        "deny",
        _parse_deny,
        frozenset((Phase.TCP_CONNECT, Phase.HTTP_REQUEST)),
        terminates=True,
        guards=True,
    ),
    ActionType(
        "close-connection",
        _parse_close,
        frozenset((Phase.TCP_CONNECT, Phase.HTTP_REQUEST)),
        terminates=True,
        guards=True,
    ),
    ActionType(
        "custom-response",
        _parse_custom,
        frozenset((Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE)),
        HTTP,
        terminates=True,
        guards=_refuses,
    ),
]
