"""Pages of lists, and filters through them."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import BaseModel
from tests.kit.api import Api, running_api
from tests.kit.store import Clock

from portway.control.api import paging
from portway.control.api.paging import Listing
from portway.control.service import credentials
from portway.control.service.keys import Texts
from portway.control.store.rows import Page

BASE = "https://api.example.com/base"


async def many(api: Api, clock: Clock, count: int) -> list[str]:
    """Make credentials, each a second after the other; return their identifiers, newest first."""
    ids: list[str] = []
    for number in range(count):
        clock.now += 1
        texts = Texts(str(number), "even" if number % 2 == 0 else "odd")
        ids.append((await credentials.create(api.context, api.account_id, texts)).value.id)
    return ids[::-1]


async def walk(api: Api, path: str) -> tuple[list[str], int]:
    """Follow a list to its end; return the identifiers and the number of pages."""
    ids: list[str] = []
    pages = 0
    following: str | None = path
    while following:
        page = await api.get(following)
        assert page.status == 200, page.json
        assert page["uri"] == f"{BASE}/credentials"
        ids += [each["id"] for each in page["credentials"]]
        following = page["next_page_uri"]
        assert following is None or following.startswith(f"{BASE}/credentials?"), following
        following = following and following.removeprefix(BASE)
        pages += 1
    return ids, pages


@pytest.mark.row("C4")
async def test_pages_newest_first(tmp_path: Path) -> None:
    clock = Clock()
    async with running_api(tmp_path, clock=clock, api_url=BASE) as api:
        ids = await many(api, clock, 150)
        assert await walk(api, "/credentials?limit=100") == (ids, 2)
        assert await walk(api, "/credentials") == (ids, 2), "the default is the most"
        assert await walk(api, "/credentials?limit=50") == (ids, 3), "a last page that is full has no next"
        first = (await api.get("/credentials?limit=1"))["credentials"]
        assert [each["id"] for each in first] == ids[:1]
        older = await api.get(f"/credentials?before_id={ids[9]}&limit=2")
        assert [each["id"] for each in older["credentials"]] == ids[10:12]
        await api.delete(f"/credentials/{ids[9]}")
        assert (await api.get(f"/credentials?before_id={ids[9]}&limit=2"))["credentials"] == older[
            "credentials"
        ]


@pytest.mark.row("C13")
async def test_a_filter_survives_the_pages(tmp_path: Path) -> None:
    clock = Clock()
    async with running_api(tmp_path, clock=clock, api_url=BASE) as api:
        ids = await many(api, clock, 114)
        found = 'filter=obj.metadata%20%3D%3D%20"even"'
        assert await walk(api, f"/credentials?limit=20&{found}") == (ids[1::2], 3)
        page = await api.get(f"/credentials?limit=3&{found}")
        query = parse_qs(urlsplit(str(page["next_page_uri"])).query)
        assert query["filter"] == ['obj.metadata == "even"']
        assert query["limit"] == ["3"]
        assert await walk(api, f"/credentials?limit=19&{found}") == (ids[1::2], 3), "the last is full"
        none = 'filter=obj.description.contains("x")'
        assert await walk(api, f"/credentials?{none}") == ([], 1)


async def test_a_search_stops_at_its_budget_and_says_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    async with running_api(tmp_path, clock=clock, api_url=BASE) as api:
        ids = await many(api, clock, 23)
        oldest = 'limit=10&filter=obj.description%20%3D%3D%20"0"'
        monkeypatch.setattr(paging, "PAGE_LIMIT", 10)
        monkeypatch.setattr(paging, "SCAN_LIMIT", 10)
        page = await api.get(f"/credentials?{oldest}")
        assert page["credentials"] == []
        assert f"before_id={ids[9]}" in page["next_page_uri"]
        assert await walk(api, f"/credentials?{oldest}") == (ids[-1:], 3)
        monkeypatch.setattr(paging, "SCAN_LIMIT", 10_000)
        monkeypatch.setattr(paging, "SCAN_TIME", -1.0)
        assert await walk(api, f"/credentials?{oldest}") == (ids[-1:], 3)


class Thing(BaseModel):
    """Something to list."""

    id: str


async def test_a_filter_may_see_other_facts_than_are_shown() -> None:
    things = [Thing(id="b"), Thing(id="a")]

    async def fetch(page: Page) -> Sequence[Thing]:
        return [each for each in things if not page.before_id or each.id < page.before_id][: page.limit + 1]

    wanted = Listing(BASE, "things", 1, "", "ignored", lambda item: item["twice"] == "aa")
    envelope = await wanted.page(fetch, lambda each: each, facts=lambda each: {"twice": each.id * 2})
    assert envelope == {"things": [Thing(id="a")], "uri": BASE, "next_page_uri": None}
