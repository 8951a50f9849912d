"""Who deals tests out to several processes keeps together what belongs together."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from tests.kit.schedule import FOLDERS, LONGEST, Scheduling, group_of

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent

SLOW, PAIR = "tests/system/test_chaos.py", ("tests/edge/test_waf.py", "tests/edge/test_waf_engine.py")
QUICK = ("tests/wire/test_frames.py", "tests/model/test_entities.py")
TESTS = [f"{file}::test_{number}[a::b]" for file in (*QUICK, *PAIR, SLOW) for number in range(3)]


class Node:
    """A process of tests that notes what it is told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.given: list[int] = []
        self.shutting_down = False
        self.gateway = SimpleNamespace(id="gw")

    def send_runtest_some(self, indices: list[int]) -> None:
        """Take some tests."""
        self.given += indices

    def shutdown(self) -> None:
        """Take no more."""
        self.shutting_down = True


def dealing(*nodes: Node) -> Any:
    """Return a scheduler that has dealt TESTS out to these nodes for the first time."""
    config = SimpleNamespace(
        rootpath=ROOT,
        option=SimpleNamespace(loadscopereorder=True, debug=False),
    )
    config.getvalue = {"tx": ["popen"] * len(nodes)}.__getitem__
    made = cast("Any", Scheduling(cast("pytest.Config", config)))
    for node in nodes:
        made.add_node(node)
        made.add_node_collection(node, TESTS)
    made.schedule()
    return made


def files(node: Node) -> list[str]:
    """Return the files of the tests that a node was given, in order."""
    return list(dict.fromkeys(TESTS[at].partition("::")[0] for at in node.given))


def test_a_group_stays_together_and_the_longest_is_first() -> None:
    first, second = Node(), Node()
    made = dealing(first, second)
    assert files(first) == [SLOW]
    done = {first: 0, second: 0}
    while made.has_pending and not (first.shutting_down and second.shutting_down):
        for node in (first, second):
            if done[node] < len(node.given):
                made.mark_test_complete(node, node.given[done[node]])
                done[node] += 1
    assert sorted(first.given + second.given) == list(range(len(TESTS)))
    assert not set(files(first)) & set(files(second))
    assert any(set(PAIR) <= set(files(node)) for node in (first, second))


def test_what_a_process_did_not_come_to_is_done_by_another() -> None:
    first, second = Node(), Node()
    made = dealing(first, second)
    made.mark_test_complete(first, first.given[0])
    assert made.remove_node(first) == TESTS[first.given[1]]  # it ended in this one, which is over
    for at in range(len(TESTS)):
        if at < len(second.given):
            made.mark_test_complete(second, second.given[at])
    assert sorted(second.given) == sorted(set(range(len(TESTS))) - set(first.given[:2]))


def test_a_process_that_ends_in_the_last_test_of_its_file_leaves_none() -> None:
    first, second = Node(), Node()
    made = dealing(first, second)
    for at in range(2):
        made.mark_test_complete(first, first.given[at])
    assert made.remove_node(first) == TESTS[first.given[2]]
    assert SLOW not in files(second)
    assert not made.workqueue or "chaos" not in made.workqueue


def test_what_is_said_of_groups_and_folders_is_so() -> None:
    there = {group_of(ROOT, str(file.relative_to(ROOT))) for file in ROOT.glob("tests/*/test_*.py")}
    assert set(LONGEST) <= there
    assert all((ROOT / folder).is_dir() for folder in FOLDERS)
