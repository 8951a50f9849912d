"""The examples of the documentation do what stands beside them.

Before a ``yaml`` fence: ``<!-- policy: PROTOCOL [cloud] -->`` compiles it, and each
``<!-- try: [METHOD] URL [| Name: value …] => OUTCOME ["BODY"] -->`` runs it. OUTCOME is a status, perhaps
with ERR_NGROK_n, ``closed``, ``goes on`` or ``forwarded``. A line of a ``cel`` fence is an expression, ``//``
and its value as JSON.
"""

import json
import re
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from tests.kit.policy import NOW, facts, value

from portway.policy.compiler import Target, compile_policy
from portway.policy.facts import Connection, Endpoint, Facts, Request, Response
from portway.policy.limits import PolicyLimits
from portway.policy.trial import Trial, attempt
from portway.policy.verdict import Close, Forward, Respond

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

_EXAMPLE = re.compile(
    r"<!-- policy: (?P<target>[a-z ]+) -->\n(?P<tries>(?:<!-- try: [^\n]* -->\n)*)```yaml\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_TRY = re.compile(r"<!-- try: (?P<request>.+?) => (?P<outcome>.+?)(?: \"(?P<body>.*)\")? -->")
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
    compiled = compile_policy(
        example.text, Target(protocol, cloud="cloud" in kind, internal="internal" in kind)
    )
    tries = list(_TRY.finditer(example.tries))
    assert len(tries) == example.tries.count("<!-- try")
    for each in tries:

        def given(request: str = each["request"]) -> Facts:
            return _facts(protocol, request)

        trial = attempt(compiled, given, lambda: Response(200), now=NOW, random=Random(1))
        assert _outcome(trial) == each["outcome"], each["request"]
        if each["body"] is not None:
            assert trial.answer is not None
            assert trial.answer[2].decode() == json.loads(f'"{each["body"]}"')


def _facts(protocol: str, request: str) -> Facts:
    line, *headers = request.split(" | ")
    method, _, url = line.rpartition(" ")
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = [(b"host", parts.netloc.encode())]
    for header in headers:
        name, _, text = header.partition(": ")
        fields.append((name.encode(), text.encode()))
    known = Facts(Connection("203.0.113.1", 40_000, started=NOW))
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
        case Forward():
            return "forwarded"
        case Respond() as answer:
            status = trial.answer[0] if trial.answer else answer.status
            return f"{status} ERR_NGROK_{answer.code}" if answer.code else str(status)
        case _:
            return "goes on"


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
    from portway.policy.names import names_of
    from portway.policy.phase import Phase

    page = (ROOT / "docs" / "spec" / "policy.md").read_text()
    words = set(re.findall(r"[a-z_0-9]+", page))
    missing = {
        name.rsplit(".", 1)[-1] for name in names_of(Phase.HTTP_RESPONSE) if not name.startswith("conn.")
    } - words
    assert not missing


def test_every_limit_has_a_line() -> None:
    page = (ROOT / "docs" / "limits.md").read_text()
    listed = set(re.findall(r"`policy\.limits\.PolicyLimits\.(\w+)`", page))
    assert listed == set(PolicyLimits.__dataclass_fields__)
