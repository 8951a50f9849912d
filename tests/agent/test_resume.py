"""One process hands its session on to another."""

import asyncio

import pytest
from tests.kit.fake_service import Arrived, FakeService, agent_of
from tests.kit.service import running_worker

from portway import Agent, Error
from portway.agent.resume import Resumption
from portway.wire.messages import Bind, BindExtra, BindResp

BIND = Bind(id="ep_1", proto="https", opts={"URL": "https://a"}, extra=BindExtra(token="secret"))


def test_it_survives_being_written_down() -> None:
    kept = Resumption("id", "cookie", [BIND, Bind(id="ep_2", proto="tcp", opts={"Addr": "x:1"})])
    again = Resumption.load(kept.dump())
    assert (again.client_id, again.cookie) == ("id", "cookie")
    assert [(bind.id, bind.proto, bind.extra.token) for bind in again.binds] == [
        ("ep_1", "https", "secret"),
        ("ep_2", "tcp", ""),
    ]
    assert again.binds[1].opts["Addr"] == "x:1"
    assert "secret" not in repr(kept)
    assert "cookie" not in repr(kept).replace("client_id", "")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"client_id":1,"cookie":"","binds":[]}'])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Resumption.load(data)


def test_each_bind_is_taken_once_by_one_of_its_protocol() -> None:
    kept = Resumption("id", "cookie", [BIND])
    assert kept.take(Bind(proto="tcp")) is None
    taken = kept.take(Bind(proto="https", forwards_to="http://new", extra=BindExtra(metadata="m")))
    assert taken is not None
    assert (taken.id, taken.opts, taken.forwards_to) == ("ep_1", BIND.opts, "http://new")
    assert (taken.extra.token, taken.extra.metadata) == ("secret", "m")
    assert kept.take(Bind(proto="https")) is None


async def test_an_agent_comes_back_with_its_random_names() -> None:
    async with running_worker() as service:

        def agent(resume: Resumption | None = None) -> Agent:
            return Agent(
                authtoken="good",
                connect_url=f"localhost:{service.agent_port}",
                connect_cas=service.certs.ca,
                rpc_handler=lambda _session, _request: None,
                resume=resume,
            )

        first = agent()
        assert first.resumption() is None
        web, raw = await first.listen(), await first.listen("tcp://")
        kept = first.resumption()
        assert kept is not None
        assert service.worker.gateway is not None
        before = first.session.id
        await service.worker.gateway.command(before, "restart")
        await asyncio.wait_for(raw.wait(), 10)
        async with agent(Resumption.load(kept.dump())) as second:
            back = await second.listen("tcp://"), await second.listen(metadata="new")
            assert [(each.id, str(each.url)) for each in back] == [
                (each.id, str(each.url)) for each in (raw, web)
            ]
            assert second.session.id != before
            fresh = await second.listen("tcp://")
            assert fresh.id not in {raw.id, web.id}


async def test_what_the_service_gave_up_is_made_anew(service: FakeService) -> None:
    asked: list[str] = []

    async def grant(arrived: Arrived, bind: Bind) -> BindResp:
        asked.append(bind.id)
        if bind.id:
            raise Error("not yours any more", 334)
        return await FakeService.grant(service, arrived, bind)

    service.on_bind = grant
    gone = Bind(id="ep_old", proto="https", opts={"URL": "https://old.example"})
    async with agent_of(service, resume=Resumption("id", "cookie", [gone])) as agent:
        listener = await agent.listen()
        assert asked == ["ep_old", ""]
        assert listener.id != "ep_old"
        assert service.last.auth.client_id == "id"
