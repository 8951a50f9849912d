"""What holds for every test: the event loop, the rule on skips, the guards against leaks."""

import asyncio
import faulthandler
import gc
import inspect
import os
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest
import pytest_asyncio
from _pytest.runner import runtestprotocol

from tests.kit.eventually import eventually
from tests.kit.loops import factories
from tests.kit.postgres import remove_cluster
from tests.kit.product import Service, running_service

if TYPE_CHECKING:
    from xdist.remote import Producer

    from tests.kit.schedule import Scheduling

REQUIRE_ALL = os.environ.get("PORTWAY_REQUIRE_ALL") == "1"
"""Set by .ci/run: a test that is skipped counts as failed."""

LOOP = os.environ.get("PORTWAY_TEST_LOOP", "uvloop")
"""Which event loop async tests run on: uvloop (where it is installed) or asyncio."""

_GRACE = 60.0  # seconds that a test and its fixtures may take to end after the test's timeout
_ALARM = 20.0  # seconds for which an alarm that is set serves the tests that start next, too
_DESCRIPTORS = "/proc/self/fd"
_MEMORY = "/dev/shm"
_ROOM = 6 << 30  # bytes; three runs are kept, of half a gigabyte each
_STDERR = pytest.StashKey[int]()
_ALARMED = pytest.StashKey[float]()
_SETTLE = 5.0  # seconds that tasks and sockets may take to notice that their test is over


# -- the event loop ------------------------------------------------------------------------------


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run async tests on the loop that users get."""
    return factories(LOOP)


# -- names of tests ------------------------------------------------------------------------------


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: masked and compressed ones differ from one test process to the next."""
    return argname if isinstance(val, bytes) else None


# -- where files of tests are --------------------------------------------------------------------


def _choose_folder() -> None:
    """Put files of tests into memory where there is room, unless somebody has said where.

    Thousands of stores are made, each of whose commits waits for the disk: most of a run on a slow one.
    """
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return
    if found.f_bavail * found.f_frsize >= _ROOM and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)


# -- skips, and what runs only by hand -----------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked `long` to `make soak`, which asks for them by name."""
    if config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        items[:] = [item for item in items if item not in set(long)]
        config.hook.pytest_deselected(items=long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything is required."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under PORTWAY_REQUIRE_ALL=1: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Likewise for a whole module that skips itself."""
    report = yield
    if REQUIRE_ALL and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped under PORTWAY_REQUIRE_ALL=1: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: object) -> str:
    return str(longrepr[-1]) if _is_place(longrepr) else str(longrepr)


def _is_place(longrepr: object) -> TypeGuard[tuple[str, int, str]]:
    return isinstance(longrepr, tuple)


# -- ten thousand tests --------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage, and never look at what was collected.

    All that is made here lives as long as the process.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """In a process of several, tell the first one of a test once, not five times.

    It prints a dot for the test itself, and whatever failed or was skipped before and after it.
    """
    if not hasattr(item.config, "workerinput") or item.config.getoption("durations") is not None:
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "Scheduling | None":
    """Deal the tests out to the processes in groups, as tests/kit/schedule.py says."""
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.kit.schedule import Scheduling  # only who deals out needs it

    return Scheduling(config, log)


# -- the end -------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the PostgreSQL server of this process's tests, if one was started."""
    _watch(session)
    remove_cluster()
    faulthandler.cancel_dump_traceback_later()


# -- a test that never ends ----------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Keep the standard error that is not captured, for the stacks."""
    config.stash[_STDERR] = os.dup(2)
    _choose_folder()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """End the process, with every thread's stack, when a test outlives even its timeout.

    pytest-timeout raises in the test, once, and stops its clock when a test has failed: a fixture that
    then waits for ever, or code that swallows what is raised, would hang the whole run in silence.
    """
    if time.monotonic() > item.config.stash.get(_ALARMED, 0.0) or item.get_closest_marker("timeout"):
        _watch(item)


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Set the alarm again, which pytest takes away when a test fails: its fixtures are still to end."""
    _watch(node)


def _watch(node: pytest.Item | pytest.Collector) -> None:
    """Set the alarm. To set one costs a thread, so it holds for the tests of the next seconds, too."""
    config, marked = node.config, node.get_closest_marker("timeout")
    timeout = float(marked.args[0] if marked else config.getoption("timeout") or config.getini("timeout"))
    file = config.stash[_STDERR]
    faulthandler.dump_traceback_later(timeout + _GRACE + _ALARM, exit=True, file=file)
    config.stash[_ALARMED] = time.monotonic() + (0 if marked else _ALARM)


# -- the service ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service with the default settings, for all tests that neither end it nor count what it has.

    A start costs two seconds of a core. Modules that need flags, or a service for themselves, have a
    fixture of this name of their own.
    """
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


# -- leaks ---------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(name: str, obj: Any) -> None:
    """Give every async test the guard on tasks."""
    if name.startswith("test") and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("no_task_left")(obj)


@pytest_asyncio.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task running after it and its fixtures have ended."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=_SETTLE)
    assert not left, f"tasks left running: {sorted(task.get_name() for task in left)}"


@pytest.fixture(autouse=True)
def no_socket_left() -> Iterator[None]:
    """Fail a test that leaves a socket open. (Files are seen by Python's own ResourceWarning.)"""
    before = _sockets()

    def none_is_left() -> bool:
        left = _sockets() - before
        assert not left, f"sockets left open: {sorted(left)}"
        return True

    yield
    if _sockets() - before:
        gc.collect()  # one that nobody holds any more reports itself with a better message
        # A thread that serves another process closes its end when that process has closed its own.
        eventually(none_is_left, "no socket is left", timeout=_SETTLE)


def _sockets() -> set[str]:
    """Return the open sockets of this process; empty where the system does not tell."""
    found: set[str] = set()
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - asked before and after each test: Path is slow
    except OSError:
        return found
    for name in names:
        try:
            target = os.readlink(f"{_DESCRIPTORS}/{name}")  # noqa: PTH115 - likewise
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(f"{name} {target}")
    return found
