"""Which process runs which tests when several share the work (`make test`, pytest-xdist).

A file's tests stay together, so what they share is made once: a service of a module's own is not started
in every process. Files that name the same `xdist_group` stay together, too. Who deals out has not imported
them, so the name is read from their text. (xdist's own scheduler of groups writes them into the
identifiers of tests, which pytest 9.2 does not allow any more: without a word it deals out single tests.)

The first process takes from the beginning of the queue, where the system's tests are, the longest first;
the others take from its end, where files of a second or two are. So two tests that measure what a whole
service does seldom run at once, and nobody is left waiting for a long file that began last.
"""

import re
from collections import OrderedDict
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

LONGEST = (
    "hostile",
    "chaos",
    "sdks",
    "identity",
    "base",
    "tests/system/test_bench.py",
    "tests/system/test_api_schema.py",
    "flat-memory",
    "protocols",
    "reserved",
    "tests/server/test_link.py",
)
"""What takes longest, by its group or its file; a name that is missing here costs a few idle seconds."""

FOLDERS = ("tests/system/", "tests/server/", "tests/control/", "tests/cli/")
"""Where tests are long, the longest first. All other folders come after them."""

_NAME = re.compile(r'\bxdist_group\("([^"]+)"\)')


@cache
def group_of(root: Path, file: str) -> str:
    """Return the name of the group that a test file is in: its own, if it names none."""
    try:
        named = _NAME.search((root / file).read_text())
    except OSError:
        return file
    return named[1] if named else file


def rank_of(group: str, first: str) -> tuple[int, int]:
    """Return where a group of tests comes in the queue; ``first`` is the identifier of one of its tests."""
    place = next((at for at, folder in enumerate(FOLDERS) if first.startswith(folder)), len(FOLDERS))
    return (-1, LONGEST.index(group)) if group in LONGEST else (place, 0)


class Scheduling(LoadScopeScheduling):
    """xdist's scheduling by scopes, a scope being a group."""

    _queued = False

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where each test is in what the processes have collected, which is the same in all."""
        return {test: at for at, test in enumerate(self.collection or ())}

    def _split_scope(self, nodeid: str) -> str:
        return group_of(self.config.rootpath, nodeid.partition("::")[0])

    def _assign_work_unit(self, node: "WorkerController") -> None:
        """Give the first process what is first, and the others what is last."""
        if not self._queued:
            self._queued = True
            queue = self.workqueue.items()
            self.workqueue = OrderedDict(
                sorted(queue, key=lambda unit: rank_of(unit[0], next(iter(unit[1]))))
            )
        group, tests = self.workqueue.popitem(last=node is not self.nodes[0])
        self.assigned_work[node][group] = tests
        node.send_runtest_some([self._places[test] for test, done in tests.items() if not done])

    def mark_test_complete(self, node: "WorkerController", item_index: int, duration: float = 0) -> None:
        """Cross a test off."""
        self._cross_off(node, self.registered_collections[node][item_index])
        self._reschedule(node)

    def remove_node(self, node: "WorkerController") -> str | None:
        """Take a process out that has ended; the test that it was at is not tried again."""
        given = self.assigned_work[node].values()
        crashed = next((test for tests in given for test, done in tests.items() if not done), None)
        if crashed is not None:
            self._cross_off(node, crashed)
        super().remove_node(node)
        return crashed

    def _cross_off(self, node: "WorkerController", test: str) -> None:
        """Forget a group that is done: what is left of all is counted after each test."""
        group = self._split_scope(test)
        tests = self.assigned_work[node][group]
        tests[test] = True
        if all(tests.values()):
            del self.assigned_work[node][group]
