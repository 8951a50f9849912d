"""Endpoints with labels, which edges of the service find."""

import asyncio
from typing import Any

import pytest
from tests.kit.certs import Certs
from tests.kit.fake_service import Arrived, FakeService, agent_of
from tests.kit.pipes import Recorder
from tests.kit.upstreams import echo, upstream, web
from tests.kit.visits import Visit

import portway
from portway import (
    AgentConnectSucceeded,
    ConfigError,
    Error,
    Event,
    HTTPRequestComplete,
    ListenerClosed,
    Session,
    Upstream,
)
from portway.agent import default
from portway.agent.agent import Agent
from portway.agent.labels import read_labels
from portway.wire.messages import AuthRespExtra, BindLabels, BindLabelsResp, ConnectAddress

LABELS = "edge:edgtcp_1"


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (None, {}),
        ("", None),
        ("edge:edgtcp_1", {"edge": "edgtcp_1"}),
        ("edge=a:b", {"edge": "a:b"}),
        ("edge:a=b", {"edge": "a=b"}),
        (["a:1", "b=2"], {"a": "1", "b": "2"}),
        ({"a": "1"}, {"a": "1"}),
        ({}, {}),
        ("edge", None),
        (":x", None),
        ("x:", None),
        ({"a": 1}, None),
        ([1], None),
    ],
)
def test_forms(given: Any, labels: dict[str, str] | None) -> None:
    if labels is None:
        with pytest.raises(ConfigError, match="labels"):
            read_labels(given)
    else:
        assert read_labels(given) == labels


@pytest.mark.row("T-080")
async def test_labels_metadata_and_where_it_goes_is_all_that_is_said(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen(labels={"edge": "edgtcp_1", "team": "a"}, metadata="m")
        forwarder = await agent.forward("db:5432", proto="labeled", labels=[LABELS])
        said = service.last.labels
        assert said[0].labels == {"edge": "edgtcp_1", "team": "a"}
        assert said[0].metadata == "m"
        assert said[0].forwards_to.startswith("app://")
        assert said[1] == BindLabels(labels={"edge": "edgtcp_1"}, forwards_to="tcp://db:5432")
        assert service.last.binds == []
        for endpoint in (listener, forwarder):
            assert (endpoint.url, endpoint.protocol, endpoint.id[:3]) == ("", "labeled", "lb_")
            assert endpoint.labels["edge"] == "edgtcp_1"
            assert "edge=edgtcp_1" in repr(endpoint)
        assert agent.endpoints == [listener, forwarder]
        with pytest.raises(ConfigError, match="change its edge"):
            await listener.update(metadata="n")
        await listener.close()
        assert service.last.unbinds == [listener.id]
        with pytest.raises(ListenerClosed, match="edge=edgtcp_1"):
            await listener.accept()


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        ({"url": "tcp://"}, "url"),
        ({"proto": "tcp"}, "proto"),
        ({"name": "n"}, "name"),
        ({"bindings": "internal"}, "bindings"),
        ({"pooling_enabled": True}, "pooling_enabled"),
        ({"traffic_policy": "{}"}, "traffic_policy"),
        ({"proxy_protocol": 2}, "proxy_protocol"),
    ],
)
async def test_the_rest_is_the_edges(service: FakeService, beside: dict[str, Any], why: str) -> None:
    agent = agent_of(service)
    with pytest.raises(ConfigError, match=why):
        await agent.listen(labels=LABELS, **beside)
    assert not service.arrived


async def test_none_at_all(service: FakeService) -> None:
    with pytest.raises(Error) as caught:
        await agent_of(service).listen(proto="labeled")
    assert caught.value.code == "ERR_NGROK_357"


async def test_a_refusal_is_raised(service: FakeService) -> None:
    async def refuse(arrived: Arrived, bind: BindLabels) -> BindLabelsResp:
        raise Error("no edges here", 358)

    service.on_labels = refuse
    async with agent_of(service) as agent:
        with pytest.raises(Error, match="no edges here") as caught:
            await agent.listen(labels=LABELS)
        assert caught.value.code == "ERR_NGROK_358"
        assert agent.endpoints == []


@pytest.mark.row("T-087")
async def test_visitors_of_each_kind_of_edge(service: FakeService) -> None:
    events: list[Event] = []
    async with (
        upstream(web) as site,
        upstream(echo) as other,
        agent_of(service, event_handlers=[events.append]) as agent,
    ):
        forwarder = await agent.forward(f"http://127.0.0.1:{site.port}", labels=LABELS)
        stream = await agent.forward(other.port, labels="edge:other")
        assert str(stream.upstream_url) == f"tcp://localhost:{other.port}"
        recorder = Recorder(service.bell)
        recorder.pipe = service.last.visit(stream.id, recorder, b"hello", proto="tcp")
        recorder.pipe.end()
        await service.until(lambda: bool(recorder.ends))
        assert recorder.data == b"hello"
        https = Recorder(service.bell)
        request = b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n"
        https.pipe = service.last.visit(forwarder.id, https, request, proto="https")
        await service.until(lambda: https.data.startswith(b"HTTP/1.1 200"))
        https.pipe.end()
        await service.until(lambda: bool(https.ends))
        [complete] = [event for event in events if isinstance(event, HTTPRequestComplete)]
        assert (complete.path, complete.endpoint) == ("/a", forwarder)


async def test_an_application_behind_an_https_edge(service: FakeService) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"hi"]

    async with agent_of(service) as agent:
        listener = await agent.listen(labels=LABELS)
        serving = asyncio.create_task(listener.serve(app, interface="wsgi"))
        async with Visit(service, listener) as visit:
            assert (await visit.ask("GET / HTTP/1.1")).body == b"hi"
        await listener.close()
        await serving


async def test_tls_ends_here_where_the_edge_has_passed_it_through(service: FakeService, certs: Certs) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen(labels=LABELS, agent_tls_termination=certs.server)
        plain = Recorder(service.bell)
        service.last.visit(listener.id, plain, b"plain", proto="https")
        connection = await listener.accept()
        assert await connection.reader.readexactly(5) == b"plain"
        assert connection.tls is None
        connection.abort()
        garbage = Recorder(service.bell)
        garbage.pipe = service.last.visit(listener.id, garbage, b"no TLS", proto="tls", passed=True)
        await service.until(lambda: bool(garbage.ends or garbage.resets))


async def test_a_reconnect_says_them_again_and_takes_the_new_id(service: FakeService) -> None:
    connected: list[Event] = []

    def hear(event: Event) -> None:
        if isinstance(event, AgentConnectSucceeded):
            connected.append(event)
            service.bell.ring()

    async with agent_of(service, event_handlers=[hear]) as agent:
        first = await agent.listen("tcp://")
        listener = await agent.listen(labels=LABELS)
        last = await agent.listen("tcp://")
        before = listener.id
        service.last.drop()
        await service.until(lambda: len(connected) == 2)
        assert service.last.labels == service.arrived[0].labels
        assert listener.id != before
        assert not listener.done()
        assert agent.endpoints == [first, listener, last]
        recorder = Recorder(service.bell)
        service.last.visit(listener.id, recorder, b"hello")
        connection = await listener.accept()
        assert await connection.reader.readexactly(5) == b"hello"
        connection.abort()
        resumption = agent.resumption()
        assert resumption is not None
        assert len(resumption.binds) == 2, "a restart says labels anew"


async def test_visitors_and_a_stop_may_come_before_the_new_id_is_known(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen(labels=LABELS)
        stopped = await agent.listen(labels="edge:other")
        recorder = Recorder(service.bell)

        async def hasty(arrived: Arrived, bind: BindLabels) -> BindLabelsResp:
            name = f"lb_{bind.labels['edge']}"
            if name == "lb_other":
                arrived.stop_tunnel(name, "stopped", "ERR_NGROK_205")
            else:
                arrived.visit(name, recorder, b"early")
            return BindLabelsResp(id=name)

        service.on_labels = hasty
        service.last.drop()
        connection = await listener.accept()
        assert await connection.reader.readexactly(5) == b"early"
        connection.abort()
        await stopped.wait()
        assert isinstance(stopped.error, Error)
        assert agent.endpoints == [listener]


async def test_with_several_sessions_they_are_on_the_first(service: FakeService) -> None:
    address = ConnectAddress(region="test", server_addr=service.connect_url)
    service.extra = AuthRespExtra(version="portway/0", region="test", connect_addresses=(address,) * 2)
    async with agent_of(service, multi_leg=True) as agent:
        listener = await agent.listen(labels=LABELS)
        legs = {each.auth.extra.leg_number: each for each in service.arrived}
        assert (len(legs[0].labels), len(legs[1].labels)) == (1, 0)
        legs[1].drop()
        await service.until(lambda: len(service.arrived) == 3 and service.last.auth.extra.leg_number == 1)
        await agent.listen("tcp://")
        assert service.last.labels == []
        await listener.close()
        assert (legs[0].unbinds, service.last.unbinds) == ([listener.id], [])


@pytest.fixture
def known(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> FakeService:
    agent = Agent(connect_url=service.connect_url, connect_cas=service.certs.ca, authtoken="t")
    monkeypatch.setattr(default, "default_agent", agent)
    return service


async def test_older_forms(known: FakeService) -> None:
    made = [
        await portway.listen(labels=LABELS, proto="labeled", metadata="m"),
        await portway.listen(labels=LABELS),
        await portway.forward(addr=80, labels=[LABELS, "a:b"], proto="labeled"),
        await portway.forward(Upstream("https://a.example"), labels=LABELS),
    ]
    assert [said.labels["edge"] for said in known.last.labels] == ["edgtcp_1"] * 4
    forwarded = [said.forwards_to for said in known.last.labels[2:]]
    assert forwarded == ["tcp://localhost:80", "https://a.example:443"]
    await made[0].agent.disconnect()


async def test_builder(service: FakeService) -> None:
    session = await (
        Session.builder().server_addr(service.connect_url).ca_cert(service.certs.ca).authtoken("t").connect()
    )
    listener = await session.labeled_listener().label("edge", "e1").label("a", "b").metadata("m").listen()
    assert listener.labels == {"edge": "e1", "a": "b"}
    builder = session.labeled_listener().label("edge", "e2").app_protocol("http2").verify_upstream_tls(False)
    forwarder = await builder.listen_and_forward("https://localhost:1")
    assert service.last.labels[0].metadata == "m"
    assert service.last.labels[1].forwards_proto == "http2"
    assert forwarder.upstream_protocol == "http2"
    with pytest.raises(Error) as caught:
        await session.labeled_listener().listen()
    assert caught.value.code == "ERR_NGROK_357"
    await session.close()
