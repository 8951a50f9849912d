"""How requests and connections of HTTP/1 end."""

import pytest
from tests.kit.certs import Certs
from tests.kit.http2_client import certs2
from tests.kit.http_edge import HOST, stand
from tests.kit.pipes import turns

from portway.edge.view import View
from portway.edge.wishes import Wishes
from portway.model.event_types import HTTP
from portway.model.view import EventWishItem
from portway.net.leg import reset


async def test_a_visitor_that_asks_to_close_is_closed_after_its_answer() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get("/", "Connection: close")
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok()
        _, fields, body = await client.answer()
        assert (fields["connection"], body) == ("close", b"hello")
        assert await client.rest() == b""
        await stream.ended()


@pytest.mark.parametrize("line", ["Connection: close", "Connection: keep-alive"])
async def test_a_visitor_that_leaves_behind_its_answer_costs_no_reset(line: str) -> None:
    async with stand() as made:
        client = await made.visit()
        client.get("/", line)
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok()
        await client.answer()
        await client.close()
        await stream.ended()
        await made.until(lambda: len(made.edge.connections) == 1)
        await turns(20)
        assert (stream.sink.ends, stream.sink.resets) == (1, [])


async def test_http_1_0_is_served_without_keep_alive() -> None:
    async with stand() as made:
        client = await made.visit()
        client.send("GET / HTTP/1.0", "Connection: keep-alive")
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok()
        _, fields, _ = await client.answer()
        assert fields["connection"] == "close"
        assert await client.rest() == b""


async def test_a_visitor_that_ends_its_side_still_gets_its_answer() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get()
        client.writer.write_eof()
        stream = await made.agent.stream()
        await stream.heads()
        stream.ok(b"late")
        assert (await client.answer())[2] == b"late"
        assert await client.rest() == b""


async def test_a_visitor_that_vanishes_costs_the_stream_a_reset() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get()
        stream = await made.agent.stream()
        await stream.heads()
        reset(client.transport)
        assert await stream.cut() == 6
        assert (await made.request_told()).aborted


async def test_half_a_head_and_an_end_is_closed_without_an_answer() -> None:
    async with stand() as made:
        client = await made.visit()
        client.writer.write(b"GET / HTT")
        client.writer.write_eof()
        assert await client.rest() == b""


async def test_a_page_of_ours_is_told_with_its_fields() -> None:
    async with stand() as made:
        view, made.edge.wishes = View(), Wishes()
        made.edge.wishes.follow(view)
        view.apply([EventWishItem("esb_1", "ac_1", {HTTP: True})])
        made.agent.usable = False
        client = await made.visit()
        client.get("/", "Accept: text/html")
        status, fields, _ = await client.answer()
        event = await made.request_told()
        told = {name.lower(): value for name, value in event.response_headers}
        assert (event.status, told["ngrok-error-code"]) == (status, "ERR_NGROK_3200")
        assert {name: fields[name] for name in told} == told
        assert {"content-type", "content-length"} <= told.keys()


@pytest.fixture(scope="module")
def certs() -> Certs:
    return certs2()


async def test_a_connection_over_tls_that_asks_for_nothing_is_told_of(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await made.visit()
        await client.close()
        await made.until(lambda: len(made.edge.connections) == 1)
        (event,) = made.edge.connections
        assert (event.account_id, event.server_name, made.edge.requests) == ("ac_1", HOST, [])
        assert made.endpoint.counters.connections == 1
