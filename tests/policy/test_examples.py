"""The examples of the documentation do what stands beside them.

Before a ``yaml`` fence ``<!-- policy: PROTOCOL [cloud|internal] -->`` compiles it; what follows is tried:

- ``<!-- try [xN]: [METHOD] URL [| Name: value]… => OUTCOME ["BODY"] [| Name: value]… -->`` sends a request, N
  times, and tells what comes of the last. OUTCOME is a status, perhaps with ERR_NGROK_n, ``closed``,
  ``goes on [to URL]``, ``forwarded [to URL]`` or ``asks for WHAT``. Fields behind it must be in the answer,
  or in the request that goes on; ``nothing`` is one that is not there. ``| from IP`` is another visitor.
  ``| logs: JSON`` is what the rules log, ``| ngrok.NAME: JSON`` a result variable.
- ``<!-- body: "TEXT" => "TEXT" -->`` sends a body through the rules, ``<!-- event: "DATA" => "DATA" -->`` a
  message of an event stream.

A line of a ``cel`` fence is an expression, ``//`` and its value as JSON. Every action has a page of its own
in docs/reference/actions; new ones are found by themselves.
"""

import json
import re
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import pytest
from tests.kit.policy import EXAMPLE_WORLD, NOW, begin, facts, value

from portway.codec.event_stream import Message
from portway.policy.actions import NOT_BUILT, table
from portway.policy.compiler import Target, compile_policy
from portway.policy.engine import Policy
from portway.policy.facts import Connection, Endpoint, Facts, Request, Response
from portway.policy.limits import PolicyLimits
from portway.policy.phase import Phase
from portway.policy.trial import Trial, attempt
from portway.policy.verdict import Close, Fetch, Forward, Respond

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
ACTIONS = ROOT / "docs" / "reference" / "actions"

_EXAMPLE = re.compile(
    r"<!-- policy: (?P<target>[a-z ]+) -->\n(?P<tries>(?:<!-- [^\n]* -->\n)*)```yaml\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_TRY = re.compile(
    r"<!-- try(?: x(?P<times>\d+))?: (?P<request>.+?) => (?P<outcome>[^|\"]+?)(?: \"(?P<body>.*?)\")?"
    r"(?P<wanted>(?: \| .*)?) -->"
)
_BODY = re.compile(r"<!-- (?P<kind>body|event): (?P<sent>\".*\") => (?P<got>\".*\") -->")
_CEL = re.compile(r"^```cel\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """One policy of one page."""

    place: str
    target: str
    tries: str
    text: str

    def __str__(self) -> str:
        return self.place


def _examples() -> list[Example]:
    found: list[Example] = []
    for page in PAGES:
        text = page.read_text()
        for match in _EXAMPLE.finditer(text):
            place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
            found.append(Example(place, match["target"], match["tries"], match["text"]))
    return found


@pytest.mark.parametrize("example", _examples(), ids=str)
def test_a_policy_does_what_stands_beside_it(example: Example) -> None:
    protocol, *kind = example.target.split()
    target = Target(protocol, cloud="cloud" in kind, internal="internal" in kind)
    compiled = compile_policy(example.text, target, world=EXAMPLE_WORLD)
    tries, bodies = list(_TRY.finditer(example.tries)), list(_BODY.finditer(example.tries))
    assert len(tries) + len(bodies) == example.tries.count("<!-- "), "a comment cannot be read"
    for each in tries:
        _try(compiled, protocol, each)
    for each in bodies:
        check = _check_body if each["kind"] == "body" else _check_event
        check(compiled, json.loads(each["sent"]), json.loads(each["got"]))


def _try(compiled: Policy, protocol: str, each: re.Match[str]) -> None:
    def given() -> Facts:
        return _facts(protocol, each["request"])

    trial = attempt(compiled, given, _upstream, now=NOW, random=Random(1), times=int(each["times"] or 1))
    outcome = _outcome(trial)
    assert each["outcome"] in {outcome, outcome.split(" to ")[0]}, each["request"]
    if each["body"] is not None:
        assert trial.answer is not None
        assert trial.answer[2].decode() == json.loads(f'"{each["body"]}"')
    for wanted in filter(None, each["wanted"].split(" | ")):
        name, _, text = wanted.strip().partition(": ")
        if name == "logs":
            assert [log for phase in trial.phases for log in phase.logs] == json.loads(text)
        elif name.startswith("ngrok."):
            assert _result(trial, name.removeprefix("ngrok.")) == json.loads(text)
        else:
            assert text in _values(trial, name), (name, _fields(trial))


def _upstream() -> Response:
    """Make what the upstream answers in all examples."""
    return Response(200, [(b"content-type", b"text/plain"), (b"content-length", b"5"), (b"server", b"app")])


def _facts(protocol: str, request: str) -> Facts:
    line, *more = request.split(" | ")
    method, _, url = line.rpartition(" ")
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = [(b"host", parts.netloc.encode())]
    client = "203.0.113.1"
    for each in more:
        if each.startswith("from "):
            client = each.removeprefix("from ")
            continue
        name, _, text = each.partition(": ")
        fields.append((name.encode(), text.encode()))
    known = Facts(Connection(client, 40_000, started=NOW))
    known.endpoint = Endpoint(
        "ep_1", f"{protocol}://{parts.netloc}", "https", parts.hostname or "", parts.port or 443
    )
    if protocol in {"http", "https"}:
        known.request = Request(
            method or "GET", parts.scheme, parts.netloc, target, fields=fields, received=NOW
        )
    return known


def _outcome(trial: Trial) -> str:
    match trial.verdict:
        case Close():
            return "closed"
        case Forward() as forward:
            return f"forwarded to {forward.url}"
        case Fetch() as fetch:
            return f"asks for {fetch.what}"
        case Respond() as answer:
            status = trial.answer[0] if trial.answer else answer.status
            return f"{status} ERR_NGROK_{answer.code}" if answer.code else str(status)
        case _:
            request = trial.facts.request
            return f"goes on to {request.url}" if request is not None else "goes on"


def _fields(trial: Trial) -> list[tuple[bytes, bytes]]:
    request, response = trial.facts.request, trial.facts.response
    if isinstance(trial.verdict, Respond):
        return trial.answer[1] if trial.answer else []
    return [*(request.fields if request else []), *(response.fields if response else [])]


def _values(trial: Trial, name: str) -> list[str]:
    wanted = name.lower().encode()
    found = [text.decode() for key, text in _fields(trial) if key.lower() == wanted]
    return found or ["nothing"]


def _result(trial: Trial, path: str) -> object:
    found: Any = trial.facts.results
    for part in path.split("."):
        found = found[part]
    return found


def _check_body(compiled: Policy, sent: str, got: str) -> None:
    phase = Phase.HTTP_RESPONSE if compiled.has(Phase.HTTP_RESPONSE) else Phase.HTTP_REQUEST
    run = begin(compiled, phase, facts(method="POST", response=_upstream()))
    run.step()
    data = sent.encode()
    for each in cast(
        "list[Any]", run.filters.response if phase is Phase.HTTP_RESPONSE else run.filters.request
    ):
        data = each.feed(data) + each.end()
    assert data.decode() == got


def _check_event(compiled: Policy, sent: str, got: str) -> None:
    known = facts(response=_upstream())
    known.event = message = Message([], data=sent.encode())
    begin(compiled, Phase.EVENT_STREAM_MESSAGE, known).step()
    assert message.data == got.encode()


@pytest.mark.parametrize("name", sorted(table()))
def test_every_action_has_a_page_with_examples(name: str) -> None:
    page = ACTIONS / f"{name}.md"
    assert page.exists(), f"docs/reference/actions/{name}.md is missing"
    text = page.read_text()
    examples = [each for each in _EXAMPLE.finditer(text) if f"type: {name}" in each["text"]]
    assert any(each["tries"] for each in examples), "an example of it is to be tried"
    result = table()[name].result
    assert not result or f"actions.ngrok.{result}" in text, "its result is to be told"
    assert f"]({name}.md)" in (ACTIONS / "README.md").read_text(), "the list of actions is to name it"


def test_the_page_names_every_action_that_guards() -> None:
    page = (ROOT / "docs" / "spec" / "policy.md").read_text()
    guarding = page[page.index("A rule *guards* when") :].partition("\n\n")[0]
    assert {name for name, kind in table().items() if kind.guards} <= set(
        re.findall(r"`([a-z-]+)`", guarding)
    )


def test_no_page_is_of_what_is_not_there() -> None:
    pages = {page.stem for page in ACTIONS.glob("*.md")} - {"README"}
    assert pages <= {*table(), *NOT_BUILT}


def test_pages_have_examples_of_policies() -> None:
    assert sum("spec/policy.md" in each.place for each in _examples()) >= 5


@pytest.mark.parametrize(
    "line",
    [line for page in PAGES for fence in _CEL.findall(page.read_text()) for line in fence.splitlines()],
)
def test_an_expression_has_the_value_beside_it(line: str) -> None:
    source, _, wanted = line.rpartition("//")
    known = facts("/a?q=1", fields=[(b"x-key", b"k")])
    assert value(source, known) == json.loads(wanted)


def test_the_page_names_every_group_of_variables() -> None:
    from portway.policy.names import TERMINATED, names_of
    from portway.policy.phase import Phase

    page = (ROOT / "docs" / "spec" / "policy.md").read_text()
    words = set(re.findall(r"[a-z_0-9]+", page))
    missing = {
        name.rsplit(".", 1)[-1]
        for name in names_of(Phase.HTTP_RESPONSE)
        if not name.startswith(("conn.", TERMINATED))
    } - words
    assert not missing


def test_every_limit_has_a_line() -> None:
    page = (ROOT / "docs" / "limits.md").read_text()
    listed = set(re.findall(r"`policy\.limits\.PolicyLimits\.(\w+)`", page))
    assert listed == set(PolicyLimits.__match_args__)
