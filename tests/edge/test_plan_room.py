"""How many endpoints of agents a plan allows: at once, and at one URL."""

import pytest
from tests.kit.agent import code
from tests.kit.service import DOMAIN, running_worker, settings

from portway.edge.permits import Owner
from portway.edge.plan_room import PlanRoom
from portway.errors import Error
from portway.model.plan import Plan
from portway.session import StreamType

ME = Owner("ac_me", "client", "ts_1", plan="free")


def test_endpoints_are_counted_by_account_and_identifier() -> None:
    room = PlanRoom({"free": Plan(endpoints=1)})
    room.check(ME, "", None)
    room.take(ME, "ep_1")
    room.take(ME, "ep_1")
    room.check(ME, "ep_1", None)
    with pytest.raises(Error, match="18021"):
        room.check(ME, "", None)
    room.check(Owner("ac_other", "client", "ts_2", plan="free"), "", None)
    room.check(Owner("ac_me", "client", "ts_3", plan="team"), "", None)
    room.give_back(ME, "ep_1")
    with pytest.raises(Error, match="18021"):
        room.check(ME, "ep_2", None)
    room.give_back(ME, "ep_1")
    room.check(ME, "ep_2", None)
    assert repr(room) == "<PlanRoom 0 accounts>"


@pytest.mark.row("C24", "K-50")
async def test_agents_are_refused_one_endpoint_more_than_their_plan_has() -> None:
    config = settings(plans={"free": Plan(endpoints=3, pool_size=2)})
    shared = {"URL": f"https://shared.{DOMAIN}"}
    async with running_worker(config=config) as service:
        one, two = await service.two_agents()
        first = await one.bind("https", shared, PoolingEnabled=True)
        second = await two.bind("https", shared, PoolingEnabled=True)
        assert (first["Error"], second["Error"]) == ("", "")
        assert code(await one.bind("https", shared, PoolingEnabled=True)) == "18020"
        assert (await one.rebind("https", first, PoolingEnabled=True))["Error"] == "", "it is one of the two"
        assert (await one.bind("https"))["Error"] == ""
        assert code(await two.bind("tcp")) == "18021"
        await two.call(StreamType.UNBIND, {"Id": second["Id"]})
        assert (await two.bind("tcp"))["Error"] == ""
        await one.leave()
        await two.leave()
