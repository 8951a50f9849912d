"""Which events of visitors anybody takes."""

from types import SimpleNamespace
from typing import Any

from portway.edge.view import View
from portway.edge.wishes import Wishes
from portway.model.event_types import HTTP, TCP
from portway.model.view import CredentialItem, EventWishItem


def _of(account: str) -> Any:
    return SimpleNamespace(account_id=account)


def test_wishes_follow_the_view_while_the_edge_runs() -> None:
    view, wishes = View(), Wishes()
    view.apply([EventWishItem("esb_1", "ac_1", {HTTP: False}), CredentialItem("cr_1", "ac_1")])
    wishes.follow(view)
    assert wishes.http(_of("ac_1"))
    assert not wishes.tcp(_of("ac_1"))
    assert not wishes.headers("ac_1")
    view.apply([EventWishItem("esb_2", "ac_1", {HTTP: True, TCP: False}), EventWishItem("esb_3", "ac_2", {})])
    assert wishes.tcp(_of("ac_1"))
    assert wishes.headers("ac_1")
    assert wishes.subscribed("ac_1", TCP)
    assert not wishes.http(_of("ac_2"))
    assert not wishes.http(None)
    view.apply([EventWishItem("esb_2", "ac_1", gone=True), EventWishItem("esb_1", "ac_1", {})])
    assert not wishes.http(_of("ac_1"))
    assert not wishes.headers("ac_1")


def test_the_log_takes_everything_but_fields_of_heads() -> None:
    wishes = Wishes(every=True)
    assert wishes.http(None)
    assert wishes.tcp(_of("ac_1"))
    assert not wishes.headers("ac_1")
    assert not wishes.subscribed("ac_1", HTTP)
