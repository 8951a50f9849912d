"""The list of what is online: by account, newest first, and large."""

from itertools import islice

import pytest
from msgspec.structs import replace

from portway.control.live import LiveDirectory, LiveList
from portway.model.live import LiveEndpoint, LiveNote, LiveSession


def endpoint(number: int, account: str = "ac_1", **changes: str) -> LiveEndpoint:
    made = LiveEndpoint(
        id=f"ep_{number:027d}",
        account_id=account,
        session_id="ts_1",
        url=f"https://{number}.portway.localhost",
        created_at=1.0,
        updated_at=1.0,
    )
    return replace(made, **changes)


def session(number: int, account: str = "ac_1") -> LiveSession:
    return LiveSession(id=f"ts_{number:027d}", account_id=account, credential_id="cr_1", started_at=1.0)


def test_a_list_is_walked_from_the_newest_within_one_account() -> None:
    live: LiveList[LiveEndpoint] = LiveList()
    for number in (3, 1, 5, 2, 4):
        live.put(endpoint(number, "ac_1" if number % 2 else "ac_2"))
    assert [each.id for each in live.older("ac_1")] == [endpoint(n).id for n in (5, 3, 1)]
    assert [each.id for each in live.older("ac_2")] == [endpoint(n).id for n in (4, 2)]
    assert list(live.older("ac_3")) == []


@pytest.mark.parametrize(("before", "left"), [(5, [3, 1]), (4, [3, 1]), (3, [1]), (1, []), (0, [])])
def test_a_page_begins_below_an_identifier_that_need_not_be_there(before: int, left: list[int]) -> None:
    live: LiveList[LiveEndpoint] = LiveList()
    for number in (1, 3, 5):
        live.put(endpoint(number))
    found = [each.id for each in live.older("ac_1", endpoint(before).id)]
    assert found == [endpoint(number).id for number in left]


def test_anothers_thing_is_not_there() -> None:
    live: LiveList[LiveEndpoint] = LiveList()
    live.put(endpoint(1))
    assert live.get("ac_1", endpoint(1).id) == endpoint(1)
    assert live.get("ac_2", endpoint(1).id) is None
    assert live.get("ac_1", "ep_absent") is None


def test_what_changes_during_a_walk_is_told_once_at_most() -> None:
    live: LiveList[LiveEndpoint] = LiveList()
    for number in range(6):
        live.put(endpoint(number))
    seen: list[str] = []
    for each in live.older("ac_1"):
        seen.append(each.id)
        live.drop(each.id)
        live.put(endpoint(9))
        live.drop(endpoint(1).id)
    assert seen == [endpoint(number).id for number in (5, 4, 3, 2, 0)]


def test_a_note_is_taken_over() -> None:
    live = LiveDirectory()
    live.apply(LiveNote(sessions=(session(1), session(2)), endpoints=(endpoint(1), endpoint(2))))
    live.apply(LiveNote(gone=(session(1).id, endpoint(1).id, "ep_unknown")))
    assert [each.id for each in live.sessions.older("ac_1")] == [session(2).id]
    assert [each.id for each in live.endpoints.older("ac_1")] == [endpoint(2).id]
    assert live.at(endpoint(1).url) == []
    assert live.at(endpoint(2).url) == [endpoint(2)]


def test_an_endpoint_is_found_by_the_url_that_it_has_now() -> None:
    live = LiveDirectory()
    live.apply(LiveNote(endpoints=(endpoint(1), endpoint(2, "ac_2", url=endpoint(1).url))))
    assert len(live.at(endpoint(1).url)) == 2
    live.apply(LiveNote(endpoints=(endpoint(1, url="https://other.portway.localhost"),)))
    assert [each.id for each in live.at(endpoint(1).url)] == [endpoint(2).id]
    assert [each.id for each in live.at("https://other.portway.localhost")] == [endpoint(1).id]


async def test_after_a_reset_nothing_is_known_until_all_has_been_told() -> None:
    live = LiveDirectory(known=False)
    assert not await live.known(0)
    live.apply(LiveNote(reset=True, complete=False, endpoints=(endpoint(1),)))
    assert not await live.known(0)
    live.apply(LiveNote(endpoints=(endpoint(2),)))
    assert await live.known(0)
    live.apply(LiveNote(complete=False, endpoints=(endpoint(3),)))
    assert await live.known(0)  # only a large change, not a beginning
    live.apply(LiveNote(reset=True, endpoints=(endpoint(4),)))
    assert [each.id for each in live.endpoints.older("ac_1")] == [endpoint(4).id]
    assert live.at(endpoint(1).url) == []


def test_ten_thousand_are_walked_page_by_page() -> None:
    live = LiveDirectory()
    live.apply(LiveNote(endpoints=tuple(endpoint(number) for number in range(10_000))))
    seen: list[str] = []
    while page := list(islice(live.endpoints.older("ac_1", seen[-1] if seen else ""), 100)):
        assert len(page) == 100
        seen += [each.id for each in page]
    assert seen == [endpoint(number).id for number in reversed(range(10_000))]
