"""Filling the view from controllers that answer, stutter, die and are replaced."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from portway.edge.view import View
from portway.errors import Error
from portway.model.view import DomainItem, ViewItem
from portway.server import view_feed
from portway.server.view_feed import Note, Page, ViewFeed

if TYPE_CHECKING:
    from portway.server.channel import Channel


def domain(number: int, name: str = "", account: str = "ac_1") -> DomainItem:
    return DomainItem(f"rd_{number}", account, name or f"d{number}.test")


def note(seq: int, *items: ViewItem) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(Note(seq, list(items))))


def gone(number: int) -> DomainItem:
    return DomainItem(f"rd_{number}", "ac_1", gone=True)


class Controller:
    """Answers pages from a script; a step may be an error, or a deed to do before the answer is seen."""

    def __init__(self, *script: Page | Error | Callable[[], Page]) -> None:
        self.script = list(script)
        self.asked: list[dict[str, Any]] = []

    async def call(self, do: str, args: dict[str, Any], into: type[Page], *, timeout: float) -> Page:
        assert (do, into) == ("view", Page)
        assert timeout
        self.asked.append(args)
        await asyncio.sleep(0)
        step = self.script.pop(0)
        if isinstance(step, Error):
            raise step
        return step if isinstance(step, Page) else step()


async def filled(feed: ViewFeed, controller: Controller, lost: asyncio.Event | None = None) -> None:
    """Let a controller tell everything."""
    channel = cast("Channel", controller)
    cursor = await feed.begin(channel, 1.0)
    await feed.load(channel, cursor, lost or asyncio.Event())


def names(view: View) -> list[str]:
    return sorted(item.domain for item in view.all() if isinstance(item, DomainItem))


async def test_pages_then_notes() -> None:
    view = View()
    feed = ViewFeed(view)
    controller = Controller(Page(7, [domain(1)], "a"), Page(7, [domain(2)], "b"), Page(7, []))
    await filled(feed, controller)
    assert controller.asked == [{"after": None}, {"cursor": "a"}, {"cursor": "b"}]
    assert view.is_known
    feed.noted(note(8, domain(3)))
    feed.noted(note(9, gone(1)))
    assert names(view) == ["d2.test", "d3.test"]
    assert repr(feed) == "<ViewFeed seq=9 following>"


async def test_the_next_controller_is_asked_for_what_came_after() -> None:
    view = View()
    feed = ViewFeed(view)
    await filled(feed, Controller(Page(7, [domain(1)])))
    second = Controller(Page(7, [], whole=False))
    await filled(feed, second)
    assert second.asked == [{"after": 7}]
    assert names(view) == ["d1.test"]
    feed.noted(note(8, gone(1)))
    assert names(view) == []
    third = Controller(Page(50, [domain(5)]))
    await filled(feed, third)
    assert third.asked == [{"after": 8}]
    assert names(view) == ["d5.test"]


async def test_what_is_gone_without_a_word_disappears_with_the_last_page() -> None:
    view = View()
    feed = ViewFeed(view)
    await filled(feed, Controller(Page(7, [domain(1), domain(2)])))
    seen: list[list[str]] = []

    def last() -> Page:
        seen.append(names(view))
        return Page(99, [])

    await filled(feed, Controller(Page(99, [domain(2)], "a"), last))
    assert seen == [["d1.test", "d2.test"]]  # it serves on meanwhile
    assert names(view) == ["d2.test"]


async def test_a_note_that_comes_with_a_page_is_applied_after_it() -> None:
    view = View()
    feed = ViewFeed(view)

    def with_note() -> Page:
        feed.noted(note(8, domain(1, "new.test"), gone(2)))
        return Page(7, [domain(1, "old.test"), domain(2)])

    await filled(feed, Controller(with_note))
    assert names(view) == ["new.test"]
    assert repr(feed) == "<ViewFeed seq=8 following>"


async def test_an_unfinished_snapshot_does_not_count() -> None:
    view = View()
    feed = ViewFeed(view)
    lost = asyncio.Event()
    lost.set()
    await filled(feed, Controller(Page(7, [domain(1)], "a"), Error("away", 128)), lost)
    assert not view.is_known
    feed.noted(note(9, domain(3)))
    second = Controller(Page(20, [domain(2)]))
    await filled(feed, second)
    assert second.asked == [{"after": None}]
    assert names(view) == ["d2.test"]


async def test_a_store_that_is_down_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_feed, "RETRY", 0)
    view = View()
    feed = ViewFeed(view)

    def noted() -> Page:
        feed.noted(note(8, domain(4)))
        raise Error("the store is down", 128)

    controller = Controller(Page(7, [domain(1)], "a"), noted, Page(7, [domain(2)]))
    await filled(feed, controller)
    assert names(view) == ["d1.test", "d2.test", "d4.test"]


async def test_a_first_page_that_fails_is_told_to_who_asked() -> None:
    feed = ViewFeed(View())
    with pytest.raises(Error, match="away"):
        await feed.begin(cast("Channel", Controller(Error("away", 128))), 1.0)
