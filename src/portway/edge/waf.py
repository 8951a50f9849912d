"""The kind of fetch ``inspect``: requests and responses, judged by the operator's OWASP Core Rule Set.

::

    action ── Fetch ──▶ Firewall.fetch ── a thread of WORKERS ──▶ RuleSet.inspect ──▶ Inspected

The rules are read when the service starts, and again in such a thread for each choice of rules that an action
leaves out. SETS of them are kept, that not used for longest goes. Who waits is bounded by
:mod:`portway.edge.policy_fetch`.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

from portway.edge.policy_fetch import FetchFailed
from portway.edge.waf_engine import MODULE, Answer, Engine, EngineFailure, Question, RuleSet
from portway.errors import ConfigError
from portway.policy.actions.waf import MALFUNCTION, Inspected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from portway.edge.policy_fetch import Asked
    from portway.policy.facts import Facts

_log = logging.getLogger(__name__)

WORKERS: Final = 2
"""Threads that inspect."""
SETS: Final = 8
"""Sets of rules that are kept, one for each choice of rules that are left out."""


def open_crs(paths: "Sequence[Path]") -> "Firewall":
    """Find and read the rules. Raises ConfigError without rules or an engine, and for what it cannot read.

    Of a folder those are ``crs-setup.conf``, or the example that stands for it, and what is in it and in its
    folder ``rules``, in the order of the files' names.
    """
    if find_spec(MODULE) is None:
        raise ConfigError(f"--crs needs the module {MODULE}: pip install 'portway[waf]'")
    made = Firewall(files_of(paths))
    try:
        made.read()
    except EngineFailure as error:
        made.close()
        raise ConfigError(str(error)) from error
    return made


def files_of(paths: "Sequence[Path]") -> "tuple[Path, ...]":
    """Return the files of rules in their order. Raises ConfigError."""
    setup: list[Path] = []
    rules: list[Path] = []
    for path in paths:
        found = [path] if path.is_file() else [*path.glob("*.conf"), *path.glob("rules/*.conf")]
        example = path / "crs-setup.conf.example"
        if example.is_file() and not (path / "crs-setup.conf").is_file():
            setup.append(example)
        if not found:
            raise ConfigError(f"--crs: {path} has no rules (*.conf)")
        for each in found:
            (setup if each.name == "crs-setup.conf" else rules).append(each)
    if not any(each.name.startswith("REQUEST-901") for each in rules):
        raise ConfigError(f"--crs: no OWASP Core Rule Set in {', '.join(map(str, paths))}")
    return (*setup, *sorted(rules, key=lambda each: each.name))


class Firewall:
    """Inspects what actions ask about, in threads of its own."""

    def __init__(self, files: "tuple[Path, ...]") -> None:
        """Take the files of the rules; each set of them is read when it is wanted."""
        self._files = files
        self._engine: Engine | None = None
        self._sets: dict[tuple[int, ...], RuleSet | EngineFailure] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="firewall")

    def __repr__(self) -> str:
        """Show what is kept."""
        return f"<Firewall {len(self._files)} files, {len(self._sets)} sets>"

    def close(self) -> None:
        """Inspect nothing more; what runs comes to its end. Idempotent."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, asked: "Asked", arguments: "Mapping[str, object]") -> object:
        """The kind ``inspect``. Raises FetchFailed 3701. Cancelled: nobody hears what is found."""
        body = cast("bytes | None", arguments["body"])
        question = _question(asked.facts, body, answer=bool(arguments["answer"]))
        excluded = cast("tuple[int, ...]", arguments["excluded"])
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self.inspect, question, excluded)
        except EngineFailure as error:
            _log.error("the firewall does not work: %s", error)
            raise FetchFailed(MALFUNCTION, "The firewall does not work.", 500) from error

    def inspect(self, question: Question, excluded: tuple[int, ...] = ()) -> Inspected:
        """Judge one message, in a thread. Raises EngineFailure."""
        return self.read(excluded).inspect(question)

    def read(self, excluded: tuple[int, ...] = ()) -> RuleSet:
        """Return the rules but for these, read if they were not: that blocks. Raises EngineFailure."""
        rules = self._rules(excluded)
        if isinstance(rules, EngineFailure):
            raise EngineFailure(str(rules))
        return rules

    def _rules(self, excluded: tuple[int, ...]) -> RuleSet | EngineFailure:
        with self._lock:
            found = self._sets.pop(excluded, None)
            if found is None:
                found = self._read(excluded)
            self._sets[excluded] = found
            while len(self._sets) > SETS:
                del self._sets[next(iter(self._sets))]
            return found

    def _read(self, excluded: tuple[int, ...]) -> RuleSet | EngineFailure:
        """Read the rules; what is wrong with them is kept too, as it stays so until the next start."""
        try:
            if self._engine is None:
                self._engine = Engine(self._files)
            return self._engine.rules(excluded)
        except EngineFailure as error:
            return error
        except ImportError as error:
            return EngineFailure(f"{MODULE} cannot be loaded: {error}")


def _question(facts: "Facts", body: bytes | None, *, answer: bool) -> Question:
    """Write down what is inspected: the facts are the event loop's."""
    request, response, place = facts.request, facts.response, facts.connection
    assert request is not None, "only in the phases of HTTP"
    told = None
    if answer:
        assert response is not None, "only in on_http_response"
        told = Answer(response.status, tuple(response.fields), body)
    return Question(
        (place.client_ip, place.client_port),
        (place.server_ip, place.server_port),
        request.method,
        request.target.encode(),
        request.version.removeprefix("HTTP/"),
        tuple(request.fields),
        None if answer else body,
        told,
    )
