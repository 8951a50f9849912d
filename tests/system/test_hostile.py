"""Agents that mean harm, against a running service: each limit, its exact answer, and nobody else harmed.

Visitors that mean harm are in ``test_hostile_visitors.py``; what is said of single parts is proved beside
those. Every attack runs while a tenant's visitors come and go, see ``tests/kit/stage.py``.
"""

import asyncio
import json
import time
from collections.abc import Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.kit.agent import Agent, code
from tests.kit.eventually import eventually
from tests.kit.raw_agent import RawAgent
from tests.kit.sessions import frame, typed
from tests.kit.stage import MIB, Stage, stage, unharmed
from tests.kit.traffic import get, visitor

from portway.wire.frames import FLAG_FIN, FLAG_SYN, ErrorCode, FrameType
from portway.wire.opening import StreamType

pytestmark = pytest.mark.xdist_group("hostile")

ENDPOINTS = 70
"""--endpoints-per-session of this service: more than it has TCP ports."""

DOMAIN = "portway.localhost"


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """One service for all agents."""
    with stage(tmp_path_factory.mktemp("hostile"), "--endpoints-per-session", str(ENDPOINTS)) as made:
        yield made


async def alive(agent: RawAgent) -> None:
    """See that a session still answers."""
    answer = await agent.call(StreamType.SRV_INFO, {})
    assert answer["Region"] == "local"


async def told_why(on: Stage, log: int, why: str) -> None:
    """See in the log why a session was ended: its GOAWAY is lost where an agent still writes."""

    def said() -> bool:
        return any(why in str(each.get("error")) for each in on.records(log))

    await asyncio.to_thread(eventually, said, f"the service says {why!r}")


# -- streams and frames --------------------------------------------------------------------------


async def test_an_agent_that_opens_streams_without_end(on: Stage) -> None:
    async with unharmed(on), on.agent() as agent:
        log = len(on.service.log)
        for _ in range(16):
            agent.send(*(frame(FrameType.DATA, FLAG_SYN, agent.stream(), b"\0") for _ in range(256)))
        await alive_is_refused(agent)
        assert agent.resets(ErrorCode.ACCEPT_QUEUE_FULL) == 1
        for _ in range(64):
            agent.send(*(frame(FrameType.DATA, FLAG_SYN, agent.stream(), b"\0") for _ in range(256)))
        await agent.until_closed()
        await told_why(on, log, "too many streams")
    assert agent.resets(ErrorCode.ACCEPT_QUEUE_FULL) > 1


async def alive_is_refused(agent: RawAgent) -> None:
    """Ask for something on the stream beyond the limit: it is reset, and only that."""
    stream = agent.open(StreamType.SRV_INFO, b"{}")
    await agent.until(lambda: agent.is_over(stream))
    assert [each.code for each in agent.of(stream)] == [ErrorCode.ACCEPT_QUEUE_FULL]


async def test_a_stranger_may_open_few_streams(on: Stage) -> None:
    async with unharmed(on), on.stranger() as agent:
        for _ in range(64):
            agent.send(frame(FrameType.DATA, FLAG_SYN, agent.stream(), b"\0"))
        await alive_is_refused(agent)


@pytest.mark.parametrize(
    ("kind", "body", "ends"),
    [
        (StreamType.BIND, b'{"Proto":"tcp","Opts":{"URL":""}}', True),
        (StreamType.SRV_INFO, b"{}", True),
        (StreamType.BIND, b'{"Proto":', False),
        (StreamType.HEARTBEAT, b"", False),
        (StreamType.PROXY, b'{"Id":"x"}', False),
    ],
)
async def test_streams_that_are_opened_and_reset_at_once(
    on: Stage, kind: StreamType, body: bytes, ends: bool
) -> None:
    """What costs work ends the session; what costs no more than its bytes does not."""
    opening, cancelled = typed(kind, body), ErrorCode.STREAM_CANCELLED.to_bytes(4, "big")
    async with unharmed(on), on.agent() as agent:
        cpu, log = on.service.cpu(), len(on.service.log)
        for _ in range(500):
            streams = [agent.stream() for _ in range(100)]
            pairs = (
                frame(FrameType.DATA, FLAG_SYN, each, opening) + frame(FrameType.RST, 0, each, cancelled)
                for each in streams
            )
            agent.send(*pairs)
            await asyncio.sleep(0)
        if ends:
            await agent.until_closed(timeout=60)
            await told_why(on, log, "requests were given up")
        else:
            last = agent.open(StreamType.SRV_INFO, b"{}")
            await agent.until(lambda: agent.frames[-1].stream == last, timeout=60)
            await alive(agent)
        assert on.service.cpu() - cpu < 10  # twelve before requests that nobody waits for were left out


async def test_unfinished_requests_are_bounded_over_the_session(on: Stage) -> None:
    async with unharmed(on), on.agent() as agent:
        for _ in range(64):
            agent.open(StreamType.BIND, b'{"a":"' + bytes(60_000).replace(b"\0", b"x"))
        await agent.until(lambda: agent.resets(ErrorCode.ENHANCE_YOUR_CALM) >= 40)
        await alive(agent)


@pytest.mark.row("S6")
async def test_a_visitors_stream_above_its_window(on: Stage) -> None:
    async with unharmed(on), on.agent() as agent:
        port = int((await agent.bind("tcp"))["URL"].rpartition(":")[2])
        async with visitor(port) as (_, writer):  # it does not read
            await agent.until(agent.visitors)
            [stream] = agent.visitors()
            for _ in range(24 * MIB // 60_000):  # the kernel takes some for a visitor that does not read
                agent.send(frame(FrameType.DATA, 0, stream, bytes(60_000)))
            await agent.until(lambda: agent.is_over(stream))
            writer.transport.abort()
        assert agent.of(stream)[-1].code == ErrorCode.FLOW_CONTROL_ERROR
        async with visitor(port) as (reader, _):
            await agent.until(lambda: len(agent.visitors()) == 2)
            stream = agent.visitors()[1]
            agent.send(frame(FrameType.DATA, 0, stream, bytes(4 * MIB)))
            await agent.until(lambda: agent.is_over(stream))
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 10)
        assert agent.of(stream)[-1].code == ErrorCode.FRAME_SIZE_ERROR
        await alive(agent)


@pytest.mark.row("S11")
async def test_a_crowd_before_an_official_agent(on: Stage) -> None:
    """Such an agent dies of 512 streams; who comes beyond what it bears is closed."""
    async with unharmed(on), on.agent(user_agent="ngrok-rust/0.14.0") as agent, AsyncExitStack() as open_:
        port = int((await agent.bind("tcp"))["URL"].rpartition(":")[2])
        crowd = [await open_.enter_async_context(visitor(port)) for _ in range(500)]
        turned_away = [reader.read() for reader, _ in crowd[480:]]
        assert await asyncio.wait_for(asyncio.gather(*turned_away), 20) == [b""] * 20
        await alive(agent)
        assert 470 <= len(agent.visitors()) <= 480
        crowd[0][1].close()  # its place is free once the agent has ended its stream too
        stream = agent.visitors()[0]
        await agent.until(lambda: agent.is_over(stream))
        agent.send(frame(FrameType.DATA, FLAG_FIN, stream))
        await alive(agent)
        await open_.enter_async_context(visitor(port))
        count = len(agent.visitors())
        await agent.until(lambda: len(agent.visitors()) == count + 1)


@pytest.mark.row("S7", "S8")
async def test_stray_and_broken_frames(on: Stage) -> None:
    async with unharmed(on), on.agent() as agent:
        agent.send(frame(FrameType.DATA, 0, 4242, b"data on a stream of the service's that never was"))
        await agent.until(lambda: agent.of(4242))
        assert [each.code for each in agent.of(4242)] == [ErrorCode.STREAM_CLOSED]
        for kind in range(4, 16):
            agent.send(frame(kind, 15, 1, bytes(100)))  # unknown types are skipped
        await alive(agent)
        agent.send(frame(FrameType.RST, 0, 3, b"abcde"))
        frames = await agent.until_closed()
    assert frames[-1].kind == FrameType.GOAWAY
    assert frames[-1].code == ErrorCode.FRAME_SIZE_ERROR


@pytest.mark.row("S13")
async def test_a_flood_of_heartbeats_that_nobody_reads(on: Stage) -> None:
    async with unharmed(on), on.agent() as agent:
        stream = agent.open(StreamType.HEARTBEAT)
        values = [count.to_bytes(4, "big") for count in range(100_000)]
        for value in values:
            agent.send(frame(FrameType.DATA, 0, stream, value))
        for at in range(0, len(values), 10_000):  # credit for the echoes
            agent.send(frame(FrameType.WNDINC, 0, stream, (40_000).to_bytes(4, "big")))
            wanted = 4 * (at + 10_000)
            await agent.until(lambda wanted=wanted: agent.size(stream) >= wanted, timeout=60)
        assert agent.data(stream) == b"".join(values)
        await alive(agent)


async def test_a_visitor_that_an_agent_makes_up(on: Stage) -> None:
    """Streams of visitors come from the service; one from an agent reaches nobody."""
    online = next(each for each in on.records() if each["event"] == "endpoint online")
    header = {
        "Id": online["endpoint_id"],
        "ClientAddr": "10.0.0.1:1",
        "Proto": "http",
        "EdgeType": "1",
        "PassthroughTLS": False,
    }
    text = json.dumps(header).encode()
    async with unharmed(on), on.agent() as agent:
        stream = agent.open(
            StreamType.PROXY, len(text).to_bytes(8, "little") + text + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        await agent.until(lambda: agent.is_over(stream))
        assert agent.data(stream) == b""
        for kind in (StreamType.RESTART, StreamType.STOP, StreamType.UPDATE, StreamType.STOP_TUNNEL, 4711):
            stream = agent.open(kind, json.dumps({"Id": online["endpoint_id"]}).encode())
            await agent.until(lambda stream=stream: agent.is_over(stream))
            answer = agent.data(stream)
            assert not answer or code(json.loads(answer))
        answer = await agent.call(StreamType.UNBIND, {"Id": online["endpoint_id"]})
        assert answer["Error"] == ""  # told so, and nothing happens to it


# -- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"' + b"x" * 70_000 + b'"}',
        b'{"a":' * 17 + b"1" + b"}" * 17,
        b"[" * 60_000,
        b'{"a" 1}',
        b"\xff{}",
    ],
    ids=["long", "deep", "brackets", "malformed", "no object"],
)
async def test_requests_that_cannot_be_read(on: Stage, body: bytes) -> None:
    async with unharmed(on), on.agent() as agent:
        answer = await agent.call(StreamType.BIND, body)
        assert answer["Error"]
        await alive(agent)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_BIND = {
    "Id": "", "Proto": "tcp", "ForwardsTo": "x", "ForwardsProto": "", "Opts": {"URL": "", "ProxyProto": 0},
    "Extra": {"Name": "n", "Token": "", "Metadata": "", "Bindings": ["public"], "PoolingEnabled": False},
}  # fmt: skip
_PATCH = {"TunnelID": "tn_1", "Name": "n", "Metadata": "m", "PoolingEnabled": True, "TrafficPolicy": ""}
_MESSAGES: dict[StreamType, dict[str, Any]] = {
    StreamType.AUTH: {"Version": ["3"], "ClientId": "", "Extra": {"Authtoken": "x", "LegNumber": 0}},
    StreamType.BIND: _BIND,
    StreamType.UNBIND: {"Id": "x", "Extra": {}},
    StreamType.BIND_LABELS: {"Labels": {"a": "b"}, "Extra": {}},
    StreamType.PATCH: _PATCH,
    StreamType.SRV_INFO: {},
}


@st.composite
def _requests(draw: st.DrawFn) -> tuple[StreamType, bytes]:
    """Make one request in which some value is of any type."""
    kind = draw(st.sampled_from(sorted(_MESSAGES)))
    message = json.loads(json.dumps(_MESSAGES[kind]))
    for _ in range(draw(st.integers(1, 3))):
        target = message
        while target:
            key = draw(st.sampled_from(sorted(target)))
            if isinstance(target[key], dict) and target[key] and draw(st.booleans()):
                target = target[key]
                continue
            target[key] = draw(_json)
            break
    return kind, json.dumps(message).encode()


def test_values_of_any_type_in_every_request(on: Stage) -> None:
    with asyncio.Runner() as runner:

        async def connect() -> Agent:
            known, ca = on.known, Path(on.known.ca_cert).read_bytes()  # noqa: ASYNC240 - nothing runs yet
            agent = Agent(int(known.connect_url.rpartition(":")[2]), ca, token=on.attacker)
            await agent.connect()
            assert not (await agent.auth())["Error"]
            return agent

        @settings(
            max_examples=200,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        )
        @given(_requests())
        def send(request: tuple[StreamType, bytes]) -> None:
            kind, body = request
            answer = runner.run(agent.call(kind, body))
            if kind is StreamType.AUTH:
                assert answer["Error"] == "This session has authenticated already."
            elif kind is StreamType.BIND and not answer["Error"]:
                runner.run(agent.call(StreamType.UNBIND, {"Id": answer["Id"]}))

        log = len(on.service.log)
        agent = runner.run(connect())
        send()
        runner.run(agent.leave())
    faults = [each for each in on.records(log) if "traceback" in each or each["level"] == "error"]
    assert not faults, faults[:2]


async def test_endpoints_of_one_session_and_ports_of_all(on: Stage) -> None:
    async with unharmed(on), on.agent() as agent:
        ports: list[dict[str, Any]] = []
        while not (answer := await agent.bind("tcp"))["Error"]:
            ports.append(answer)
        assert code(answer) == "503"
        assert len(ports) == 60
        for _ in range(ENDPOINTS - len(ports)):
            assert not (await agent.bind("http"))["Error"]
        assert code(await agent.bind("http")) == "324"
        assert (await agent.call(StreamType.UNBIND, {"Id": ports[0]["Id"]}))["Error"] == ""
        again = await agent.bind("tcp")
        assert again["URL"] == ports[0]["URL"]  # the only one


# -- who may have what ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://tenant.portway.localhost", "320"),
        ("https://tenant.portway.localhost", "320"),
        ("tls://TENANT.portway.localhost.", "320"),
        ("https://below.tenant.portway.localhost", "320"),
        ("https://*.tenant.portway.localhost", "318"),
        ("https://*.portway.localhost", "320"),
        ("https://*.com", "331"),
        ("https://com", "331"),
        ("https://*", "402"),
        ("https://portway.localhost", "320"),
        ("https://localhost", "320"),
        ("https://api.portway.localhost", "320"),
        ("https://API.PORTWAY.LOCALHOST.", "320"),
        ("https://\uff41pi.portway.localhost", "320"),
        ("http://connect.portway.localhost", "320"),
        ("http://127.0.0.1", "9032"),
        ("http://[::1]", "9032"),
        ("http://x@tenant.portway.localhost", "9037"),
        ("http://a.portway.localhost/../tenant", "9037"),
        ("http://a.portway.localhost\r\nHost: x", "9034"),
        ("tcp://localhost:22", "307"),
        ("tcp://elsewhere.example:20000", "307"),
    ],
)
async def test_names_that_are_not_for_the_taking(on: Stage, url: str, refused: str) -> None:
    async with on.agent() as agent:
        assert code(await agent.bind(url.partition(":")[0], url)) == refused
    await on.visit()


async def test_proofs_serve_only_whom_they_were_given(on: Stage) -> None:
    async with unharmed(on), on.agent(on.known.authtoken) as owner, on.agent() as thief:
        first = await owner.bind("https", "https://proof.portway.localhost")
        other = await owner.bind("https", "https://other.portway.localhost")

        async def rebind(agent: RawAgent, **changes: str) -> dict[str, Any]:
            wanted = {"id": first["Id"], "url": first["URL"], "token": first["Extra"]["Token"]} | changes
            request = {
                "Id": wanted["id"],
                "Proto": "https",
                "Opts": {"URL": wanted["url"]},
                "Extra": {"Token": wanted["token"]},
            }
            return await agent.call(StreamType.BIND, request)

        assert code(await rebind(thief)) == "335"  # another account's token
        assert code(await rebind(owner, id=other["Id"])) == "335"  # on another bind id
        assert code(await rebind(owner, url=other["URL"])) == "335"  # for another name
        assert code(await rebind(owner, url="")) == "335"
        assert code(await rebind(owner, token="")) == "335"
        assert code(await rebind(owner, token=first["Extra"]["Token"][:-1] + "\u20ac")) == "335"
        assert (await rebind(owner))["URL"] == first["URL"]  # and the right one is good


async def test_a_cookie_of_another_account_resumes_nothing(on: Stage) -> None:
    async with unharmed(on), on.stranger() as owner, on.stranger() as thief:
        mine = await owner.auth(on.known.authtoken)
        await owner.bind("https", "https://cookie.portway.localhost")
        request = {
            "Version": ["3"],
            "ClientId": mine["ClientId"],
            "Extra": {"Authtoken": on.attacker, "Cookie": mine["Extra"]["Cookie"], "UserAgent": "portway/1"},
        }
        answer = await thief.call(StreamType.AUTH, request)
        assert not answer["Error"]
        assert answer["ClientId"] != mine["ClientId"]
        assert code(await thief.bind("https", "https://cookie.portway.localhost")) == "320"
        await alive(owner)  # was not replaced


# -- strangers -----------------------------------------------------------------------------------


async def test_connections_that_never_authenticate(on: Stage) -> None:
    sources = [f"127.0.1.{count}" for count in range(1, 17)]
    async with unharmed(on), AsyncExitStack() as open_:
        began = time.monotonic()
        held: list[RawAgent] = []
        for source in sources:
            held += [await open_.enter_async_context(on.stranger(source)) for _ in range(16)]
            if source == sources[0]:
                with pytest.raises(OSError):  # the 17th from one address
                    await open_.enter_async_context(on.stranger(source))
                async with on.agent() as other:
                    await alive(other)  # from another one it is welcome
        with pytest.raises(OSError):  # the 257th of all, from the network that holds them
            await open_.enter_async_context(on.stranger("127.0.1.17"))
        async with on.agent() as other:  # who comes from elsewhere gets the oldest one's place
            await held[0].until_closed()
            await alive(other)
        took = time.monotonic() - began
        await asyncio.gather(*(each.until_closed() for each in held[1:]))
        assert 15 - took <= time.monotonic() - began < 20 + took
        async with on.agent() as other:
            await alive(other)


async def test_guessing_tokens_gets_slow_and_a_right_one_elsewhere_does_not(on: Stage) -> None:
    async def guess() -> float:
        async with on.stranger("127.0.3.1") as agent:
            began = time.monotonic()
            assert code(await agent.auth("3MRCbtcixqnrQjh79jc7yeuFgPw_JgYMfZGzXKlnUYNeE37xG")) == "107"
            return time.monotonic() - began

    async with unharmed(on):
        for _ in range(10):
            assert await guess() < 3
        late = asyncio.gather(*(guess() for _ in range(5)))
        async with on.agent() as other:
            began = time.monotonic()
            await alive(other)
            assert time.monotonic() - began < 3
        assert min(await late) >= 4.9


async def test_nothing_that_an_agent_says_can_forge_a_line_of_the_log(on: Stage) -> None:
    forged = '\n{"time":"now","level":"error","event":"forged"}\r\x1b[2J\u2028'
    async with unharmed(on), on.agent(user_agent="portway/1") as agent:
        request = {
            "Proto": "http",
            "Opts": {"URL": "http://log.portway.localhost"},
            "ForwardsTo": forged,
            "Extra": {"Name": forged, "Description": forged, "Metadata": forged},
        }
        assert not (await agent.call(StreamType.BIND, request))["Error"]
        async with on.stranger() as other:
            assert code(await other.auth(on.attacker, f"portway/1 {forged}")) == "124"
        async with on.stranger() as other:
            assert code(await other.auth(f"{forged}_{forged}")) == "105"
        assert code(await agent.bind(forged)) == "332"
        await get(f"http://{DOMAIN}:{on.known.http_port}/x%0A{{}}", on.known.http_port)
    records = on.records()  # every line is one JSON object
    assert not [each for each in records if each["event"] == "forged"]
    assert any(each.get("name") == forged for each in records)
    assert not [line for line in on.lines() if on.attacker in line or on.known.authtoken in line]
