"""``http-request``: ask another server something, and let later rules read its answer.

The edge makes each attempt: to an internal endpoint of the account by way of that endpoint's own policy, to
anything else through the guard's strict form. Whether to try again is an expression's to say, which sees the
attempt that was made as ``last_attempt`` and how many there were as ``attempts``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlsplit

from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.expression import CompileError, EvaluationError, Expression, compile_expression
from portway.policy.phase import HTTP, Phase
from portway.policy.syntax import Syntax, SyntaxFault, parse_expression
from portway.policy.verdict import Failed, Fetch, Verdict

if TYPE_CHECKING:
    from portway.codec.document import Node
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.facts import Facts
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

METHODS: Final = ("GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS")
HEADERS: Final = 10
PARAMETERS: Final = 32
PARAMETER_KEY: Final = 128
PARAMETER_VALUE: Final = 8192
RETRIES: Final = 3
"""Times that a request is made again, at most."""
ANSWER: Final = 262_144
"""Bytes of the answer's body."""
FORBIDDEN: Final = frozenset((
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "accept-encoding",
))  # fmt: skip
"""Header fields that say how a request is framed, and where it goes."""
BAD_URL: Final = 2247
NAMES: Final = ("attempts", "last_attempt")


@dataclass(frozen=True, slots=True)
class _HttpRequest:
    url: "Template"
    method: str
    parameters: "tuple[tuple[str, Template], ...]"
    headers: "tuple[tuple[str, Template], ...]"
    body: "Template"
    redirects: int
    timeout: float
    retry: Expression | None
    go_on: bool

    def run(self, run: "Run") -> Verdict | None:
        asked = {
            "method": self.method,
            "url": self._url(run),
            "headers": tuple((name, run.header_value(value).decode()) for name, value in self.headers),
            "body": run.text(self.body).encode() if self.method in ("PUT", "POST", "PATCH") else b"",
            "redirects": self.redirects,
            "limit": ANSWER,
        }
        run.kept = _Tries(asked, [], self.timeout)
        return Fetch("http", {**asked, "timeout": self.timeout})

    def resume(self, run: "Run", result: object) -> Verdict | None:
        tries = cast("_Tries", run.kept)
        seconds = tries.note(result)
        left = tries.left - seconds
        if len(tries.attempts) <= RETRIES and left > 0.05 and self._again(run, tries):
            tries.left = left
            return Fetch("http", {**tries.asked, "timeout": left})
        run.kept = None
        error = result if isinstance(result, Failed) else None
        run.publish("http_request", tries.shown(error))
        if error is not None:
            run.note("failed", f"http-request: {error.message}", error.code)
            if not self.go_on:
                raise ActionFailed(error.code, error.message, error.status)
        return None

    def _again(self, run: "Run", tries: "_Tries") -> bool:
        if self.retry is None:
            return False
        try:
            return self.retry.evaluate(_Attempted(run, tries)) is True
        except EvaluationError as error:
            run.note("expression error", f"retry_condition: {error}", 2253)
            return False

    def _url(self, run: "Run") -> str:
        url = run.text(self.url)
        more = "&".join(
            f"{quote(key, safe='')}={quote(run.text(value), safe='')}" for key, value in self.parameters
        )
        if not is_target(url) or len(url) + len(more) > 65_536:
            raise ActionFailed(BAD_URL, "The URL of an outgoing request is none.")
        url = url.partition("#")[0]
        return f"{url}{'&' if '?' in url else '?'}{more}" if more else url


def is_target(url: str) -> bool:
    """Tell whether a request can be sent to a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    return good and port != 0 and url.isascii() and not any(ord(c) <= 32 or ord(c) == 127 for c in url)


class _Tries:
    """What was asked, and what came of it so far."""

    def __init__(self, asked: Mapping[str, Any], attempts: list[dict[str, Any]], left: float) -> None:
        self.asked = asked
        self.attempts = attempts
        self.left = left
        self.body = b""
        self.error = ""

    def note(self, result: object) -> float:
        """Take what came of an attempt; return the seconds that it took."""
        if isinstance(result, Failed):
            self.error, self.body = result.message, b""
            self.attempts.append(
                {"resolved_ip": "", "response_header": {}, "response_status_code": 0, "response_time_ms": 0}
            )
            return 0.2  # nobody has counted; there are four attempts at most
        found = cast("Mapping[str, Any]", result)
        self.error, self.body = "", found["body"]
        header: dict[str, list[str]] = {}
        for name, value in found["headers"]:
            header.setdefault(name.lower(), []).append(value)
        self.attempts.append({
            "resolved_ip": found["address"],
            "response_header": header,
            "response_status_code": found["status"],
            "response_time_ms": int(found["seconds"] * 1000),
        })  # fmt: skip
        return float(found["seconds"])

    def last(self) -> dict[str, Any]:
        """Return what ``retry_condition`` sees of the last attempt."""
        response = self._response()
        return {
            "req": self._request(),
            "res": {**response, "statusCode": response["status_code"]},
            "error": self.error,
        }

    def shown(self, failed: Failed | None) -> dict[str, object]:
        """Return the result variables."""
        code, message = ("", "") if failed is None else (f"ERR_NGROK_{failed.code}", failed.message)
        return {
            "error": {"code": code, "message": message},
            "attempts": self.attempts,
            "req": self._request(),
            "res": self._response(),
        }

    def _request(self) -> dict[str, Any]:
        header: dict[str, list[str]] = {}
        for name, value in self.asked["headers"]:
            header.setdefault(name.lower(), []).append(value)
        body = self.asked["body"].decode()
        return {"method": self.asked["method"], "url": self.asked["url"], "header": header, "body": body}

    def _response(self) -> dict[str, Any]:
        last = self.attempts[-1]
        return {
            "resolved_ip": last["resolved_ip"],
            "header": last["response_header"],
            "status_code": last["response_status_code"],
            "time_ms": last["response_time_ms"],
            "body": self.body.decode("utf-8", "replace"),
        }


class _Attempted:
    """The scope of ``retry_condition``: the run's, with two variables more."""

    def __init__(self, run: "Run", tries: _Tries) -> None:
        self._run = run
        self._more = {"attempts": len(tries.attempts), "last_attempt": tries.last()}
        self.random = run.random
        self.geo = run.geo

    @property
    def facts(self) -> "Facts":
        return self._run.facts

    def value(self, name: str) -> object:
        if name == "vars":
            return {**self._run.vars, **{_hidden(key): value for key, value in self._more.items()}}
        return self._run.value(name)

    def secret(self, vault: str, name: str) -> str | None:
        return self._run.secret(vault, name)


def _hidden(name: str) -> str:
    """Return the name that a variable of ours has among a policy's."""
    return f"portway_{name}"


def _renamed(text: str, depth: int) -> str:
    """Write ``attempts`` and ``last_attempt`` as variables that every expression may ask for."""
    places: list[Syntax] = []

    def walk(node: Syntax) -> None:
        if node.kind == "name" and node.name in NAMES:
            places.append(node)
        for child in node.children:
            walk(child)

    walk(parse_expression(text, depth))
    for node in sorted(places, key=lambda each: each.start, reverse=True):
        text = f"{text[: node.start]}vars.{_hidden(node.name)}{text[node.start + len(node.name) :]}"
    return text


# -- its configuration


def _parse(config: "Fields", compiler: "Compiler") -> Action:
    node = config.find("url")
    url = config.template("url", least=1)
    if node is not None and url.is_constant and url.literal and not is_target(url.literal):
        compiler.problem(2226, node, f"{url.literal[:80]!r} is no URL of http or https")
    method = config.choice("method", METHODS, "GET")
    parameters: list[tuple[str, Template]] = []
    for each in config.items("query_params", most=PARAMETERS, code=2244):
        fields = config.sub(each)
        key = fields.string("key", least=1)
        if len(key) > PARAMETER_KEY:
            fields.problem(2245, f"key is longer than {PARAMETER_KEY} characters", fields.find("key"))
        value = fields.find("value")
        if value is not None and value.kind == "scalar" and len(value.text) > PARAMETER_VALUE:
            fields.problem(2246, f"value is longer than {PARAMETER_VALUE} characters", value)
        parameters.append((key, fields.template("value", "")))
        fields.end()
    headers = config.headers("headers", most=HEADERS, forbidden=FORBIDDEN)
    body = config.template("body", "")
    if config.find("body") is not None and method not in ("PUT", "POST", "PATCH"):
        config.problem(2240, f"a request of {method} has no body", config.find("body"))
    redirects = config.integer("max_redirects", 0, low=0, high=100)
    timeout = config.duration("timeout", 3.0, low=1.0, high=30.0)
    retry = _retry(config.find("retry_condition"), compiler)
    go_on = config.choice("on_error", ("continue", "halt"), "continue") == "continue"
    return _HttpRequest(
        url, method, tuple(parameters), tuple(headers), body, redirects, timeout, retry, go_on
    )


def _retry(node: "Node | None", compiler: "Compiler") -> Expression | None:
    if node is None:
        return None
    try:
        text = _renamed(node.text, compiler.limits.expression_depth)
        made = compile_expression(text, compiler.phase, compiler.limits, compiler.world)
    except (CompileError, SyntaxFault) as error:
        compiler.problem(2200, node, error.message)
        return None
    if not made.may_be("bool"):
        compiler.problem(2200, node, f"retry_condition is a {made.type}, not true or false")
    compiler.names |= made.looked_up
    return made


TYPES: Final = [
    ActionType(
        "http-request",
        _parse,
        frozenset((Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE)),
        HTTP,
        result="http_request",
    )
]
