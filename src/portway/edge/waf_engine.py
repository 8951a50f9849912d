"""The engine of the OWASP Core Rule Set: libmodsecurity, which is optional, behind types.

Rules are read into sets, one for each choice of rules that are left out; the engine only detects, and what
it has counted is read from two rules of our own at the end of a set (the names of its counters differ
between CRS 3 and 4). All of it blocks: for threads. A set may be used by several at once.
"""

import logging
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from portway.errors import PortwayError
from portway.policy.actions.waf import BODY, Inspected, Match

_log = logging.getLogger(__name__)

MODULE: Final = "libmodsecurity"
_IN, _OUT, _UNREAD = 1_000_001, 1_000_002, 1_000_013
UNPARSED: Final = 200_002
"""The rule that the recommended configuration of such engines has for bodies that are not what they say: what
cannot be taken apart is not inspected, and its receiver may be less strict.
"""
_CRITICAL: Final = 5
"""What a critical match counts."""
_WITHOUT_GEO: Final = "not compiled with GeoIP"
_SEVERITIES: Final = {2: "CRITICAL", 3: "ERROR", 4: "WARNING", 5: "NOTICE"}
_SCORING: Final = ((911_000, 948_999), (950_000, 958_999))
"""Ids of rules that count; those around them set up, and judge the sum."""

_BEFORE: Final = """
SecRequestBodyAccess On
SecRequestBodyLimit 131072
SecRequestBodyLimitAction ProcessPartial
SecResponseBodyAccess On
SecResponseBodyLimit 131072
SecResponseBodyLimitAction ProcessPartial
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \
    "id:1000011,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/(?:[a-z0-9.-]+\\+)?json(?:[;\\s]|$)" \
    "id:1000012,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" \
    "id:1000013,phase:2,t:none,pass,log,msg:'Failed to parse request body',logdata:'%{REQBODY_ERROR_MSG}'"
"""
_SETUP: Final = """
SecDefaultAction "phase:1,log,auditlog,pass"
SecDefaultAction "phase:2,log,auditlog,pass"
SecAction "id:900990,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=400"
"""
"""What the CRS wants to be set up, where the operator's files do not do it."""
_AFTER: Final = f"""
SecAction "id:{_IN},phase:2,pass,t:none,log,msg:'counted',\
logdata:'%{{tx.blocking_inbound_anomaly_score}} %{{tx.anomaly_score}}'"
SecAction "id:{_OUT},phase:4,pass,t:none,log,msg:'counted',\
logdata:'%{{tx.blocking_outbound_anomaly_score}} %{{tx.outbound_anomaly_score}}'"
SecRuleEngine DetectionOnly
SecAuditEngine Off
"""
_PLAIN: Final = (b"content-type", b"text/plain")
"""Added to a response: of one whose type is not on its list the engine would not even count the score.
Which bodies it gets to see is decided here.
"""
_TEXT: Final = re.compile(rb"text/|application/(?:[a-z0-9.-]+\+)?(?:json|xml|javascript)", re.IGNORECASE)

Pairs = tuple[tuple[bytes, bytes], ...]


class EngineFailure(PortwayError):
    """The rules cannot be read, or the engine does not work."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to inspect."""

    status: int
    fields: Pairs
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Question:
    """A request to inspect; with ``answer``, only that is."""

    client: tuple[str, int]
    server: tuple[str, int]
    method: str
    target: bytes
    version: str
    """Such as ``1.1``."""
    fields: Pairs
    body: bytes | None = None
    answer: Answer | None = None


class Engine:
    """The engine, and the files of its rules."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        """Take the files in their order. Raises ImportError without the module."""
        self._module: Any = import_module(MODULE)
        self._engine: Any = self._module.ModSecurity()
        # Without it the engine writes each match to our standard error.
        self._engine.set_log_callback(_nothing)
        self._files = files
        self._left_out: set[Path] = set()

    def __repr__(self) -> str:
        """Show how many files there are."""
        return f"<Engine {len(self._files)} files>"

    def rules(self, excluded: tuple[int, ...] = ()) -> "RuleSet":
        """Read the rules but for these. Takes a fifth of a second, and 15 MB. Raises EngineFailure."""
        made: Any = self._module.RulesSet()
        setup = any("crs-setup.conf" in path.name for path in self._files)
        _load(made, _BEFORE if setup else _BEFORE + _SETUP)
        count = 0
        for path in self._files:
            found = int(made.load_from_uri(str(path)))
            if found < 0:
                why = str(made.get_parser_error())
                if _WITHOUT_GEO not in why:
                    raise EngineFailure(f"--crs: {path}: {why}")
                if path not in self._left_out:
                    self._left_out.add(path)
                    _log.warning("--crs: %s is left out: it needs GeoIP, which the engine lacks", path)
            count += max(found, 0)
        if not count:
            raise EngineFailure("--crs: the files have no rules")
        _load(made, _AFTER + "".join(f"SecRuleRemoveById {each}\n" for each in excluded))
        return RuleSet(self._module, self._engine, made)


class RuleSet:
    """Rules that are ready."""

    def __init__(self, module: Any, engine: Any, rules: Any) -> None:
        """Take what the engine works with."""
        self._module = module
        self._engine = engine
        self._rules = rules

    def __repr__(self) -> str:
        """Show that it is one."""
        return "<RuleSet>"

    def inspect(self, asked: Question) -> Inspected:
        """Inspect a request, or a response. Raises EngineFailure."""
        try:
            return self._inspect(asked)
        except EngineFailure:
            raise
        except Exception as error:
            raise EngineFailure(f"the engine failed: {type(error).__name__}: {error}") from error

    def _inspect(self, asked: Question) -> Inspected:
        with self._engine.transaction(self._rules) as at:
            at.process_connection(*asked.client, *asked.server)
            at.process_uri(asked.target, asked.method, asked.version)
            for name, value in asked.fields:
                at.add_request_header(name, value)
            at.process_request_headers()
            answer = asked.answer
            if answer is None:
                if asked.body:
                    at.append_request_body(asked.body)
                at.process_request_body()
            else:
                for name, value in (*answer.fields, _PLAIN):
                    at.add_response_header(name, value)
                at.process_response_headers(answer.status, f"HTTP/{asked.version}")
                if answer.body and _is_text(answer.fields):
                    at.append_response_body(answer.body)
                at.process_response_body()
            whole = asked.body is not None and len(asked.body) < BODY
            return _found(at.get_rule_messages(), answer is not None, whole)


def _found(messages: list[Any], answer: bool, whole: bool) -> Inspected:
    """Read what the rules have counted. ``whole``: a body was not cut, so it must be what it says."""
    wanted = _OUT if answer else _IN
    score: int | None = None
    broken = 0
    matches: list[Match] = []
    for each in messages:
        number = int(each.rule_id)
        if number == wanted:
            counted = re.search(r"\d+", _text(each, "data"))
            score = int(counted[0]) if counted else None
        elif number == _UNREAD and whole:
            matches.append(Match(UNPARSED, _text(each, "message"), "CRITICAL", _text(each, "data")))
            broken = _CRITICAL
        elif any(low <= number <= high for low, high in _SCORING) and (int(each.phase) > 2) is answer:
            severity = _SEVERITIES.get(int(each.severity))
            if severity is not None:
                matches.append(Match(number, _text(each, "message"), severity, _text(each, "data")))
    if score is None:
        raise EngineFailure("the rules counted nothing")
    return Inspected(score + broken, tuple(matches))


def _is_text(fields: Pairs) -> bool:
    """Tell whether a response's body can be read: it is text, and nothing has compressed it."""
    named = {name.lower(): value for name, value in fields}
    coded = named.get(b"content-encoding", b"identity").strip().lower()
    return coded == b"identity" and _TEXT.match(named.get(b"content-type", b"")) is not None


def _text(message: Any, name: str) -> str:
    """Return a text of a message: of what visitors sent it may hold bytes that are no UTF-8."""
    try:
        return str(getattr(message, name))
    except UnicodeDecodeError as error:
        return bytes(error.object).decode("utf-8", "replace")


def _load(rules: Any, text: str) -> None:
    if int(rules.load(text)) < 0:
        raise EngineFailure(f"--crs: {rules.get_parser_error()}")


def _nothing(_line: str) -> None:
    """Hear what the engine logs: matches are read from transactions instead."""
