"""Traffic Policies carried out on requests, on a real edge: what visitors and upstreams get to see."""

import gzip
import zlib

import pytest
from tests.kit.http2_client import certs2, visit2
from tests.kit.policies import action, ruled

REWRITE = """
on_http_request:
  - actions:
      - type: url-rewrite
        config: {from: "^(.*)/old/(.*)$", to: "$1/new/$2"}
      - type: add-headers
        config: {headers: {x-who: "${conn.client_ip}", host: "inner.example"}}
      - type: remove-headers
        config: {headers: [x-secret, x-forwarded-for]}
on_http_response:
  - actions:
      - type: add-headers
        config: {headers: {x-edge: "${res.status_code} ${req.method}"}}
      - type: remove-headers
        config: {headers: [server]}
"""


@pytest.mark.row("P-15", "P-36", "P-42")
async def test_heads_are_changed_both_ways() -> None:
    async with ruled(REWRITE) as on:
        client = await on.stand.visit()
        client.get("/old/a?b=1", "X-Secret: s", "Connection: x-who", "User-Agent: t")
        stream = await on.stand.agent.stream()
        head = await stream.heads()
        first, *lines = head.decode().strip().split("\r\n")
        assert first == "GET /new/a?b=1 HTTP/1.1"
        assert "Host: inner.example" in lines
        assert "x-who: 127.0.0.1" in lines  # a visitor's Connection field does not strip what a policy adds
        assert not any("secret" in line.lower() or "forwarded-for" in line.lower() for line in lines)
        assert sum(line.lower().startswith("x-forwarded-host: app.example") for line in lines) == 1
        stream.ok(
            b"hello", b"Server: s", b"Location: http://inner.example/x?y", b"ngrok-error-code: ERR_NGROK_1"
        )
        status, fields, body = await client.answer()
        assert (status, body) == (200, b"hello")
        assert fields["x-edge"] == "200 GET"
        assert "server" not in fields
        assert "ngrok-error-code" not in fields
        assert fields["location"] == "http://app.example/x?y"
        client.get("/old/b")
        assert b"/new/b" in await stream.heads(2)
        stream.ok()
        assert (await client.answer())[0] == 200


@pytest.mark.row("G-011", "G-012", "G-016", "P-37")
@pytest.mark.parametrize("field", ["body", "content"])
async def test_a_custom_response_passes_the_response_phase_and_never_the_upstream(field: str) -> None:
    text = f"""
on_http_request:
  - name: a name
    expressions: ["req.url.path == '/x'"]
    actions:
      - type: custom-response
        config: {{status_code: 418, {field}: "<p>${{req.method}}</p>", headers: {{x-a: b}}}}
on_http_response:
  - actions:
      - type: add-headers
        config: {{headers: {{x-after: "${{res.status_code}}"}}}}
"""
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/x")
        status, fields, body = await client.answer()
        assert (status, body) == (418, b"<p>GET</p>")
        assert fields["content-type"] == "text/html; charset=utf-8"
        assert (fields["x-a"], fields["x-after"]) == ("b", "418")
        assert on.stand.agent.streams == 0
        client.send("HEAD /x HTTP/1.1")
        status, fields = await client.head()
        assert (status, fields["content-length"]) == (418, "11")
        client.get("/y")
        (await on.stand.agent.stream()).ok()
        assert (await client.answer())[0] == 200
        event = await on.stand.request_told()
        assert (event.status, event.error_code) == (418, "")


@pytest.mark.row("P-37")
async def test_a_response_is_replaced_and_keeps_what_says_nothing_of_its_body() -> None:
    text = """
on_http_response:
  - expressions: ["res.status_code >= 500"]
    actions:
      - type: custom-response
        config: {status_code: 503, body: "sorry", headers: {x-a: b}}
"""
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/")
        stream = await on.stand.agent.stream()
        stream.ok(b"fine")
        assert (await client.answer())[2] == b"fine"
        client.get("/")
        await stream.heads(2)
        stream.say(b'HTTP/1.1 500 No\r\nContent-Length: 99999\r\nETag: "1"\r\nSet-Cookie: a=b\r\n\r\nlong')
        status, fields, body = await client.answer()
        assert (status, body, fields["x-a"], fields["set-cookie"]) == (503, b"sorry", "b", "a=b")
        assert "etag" not in fields
        await stream.cut()
        client.get("/again")
        (await on.stand.agent.stream(1)).ok()
        assert (await client.answer())[0] == 200


@pytest.mark.row("P-15", "P-37", "P-38", "P-39", "P-42", "P-61")
@pytest.mark.parametrize(
    ("action", "status", "field"),
    [
        ("{type: deny}", 403, ""),
        ("{type: deny, config: {status_code: 405}}", 405, ""),
        ("{type: basic-auth, config: {credentials: ['ada:correct horse']}}", 401, "www-authenticate"),
        ("{type: restrict-ips, config: {allow: [10.0.0.0/8]}}", 403, "ngrok-error-code"),
        ("{type: redirect, config: {to: 'https://example.com/${req.url.path}'}}", 302, "location"),
        ("{type: user-agent-filter, config: {allow: [good]}}", 403, "ngrok-error-code"),
    ],
)
async def test_refusals_are_final(action: str, status: int, field: str) -> None:
    async with ruled(f"on_http_request: [{{actions: [{action}]}}]") as on:
        client = await on.stand.visit()
        for _ in range(2):
            client.get("/a")
            found, fields, _ = await client.answer()
            assert found == status
            assert not field or field in fields
        assert on.stand.agent.streams == 0


@pytest.mark.row("P-38", "P-65")
async def test_who_has_the_password_comes_in() -> None:
    text = "on_http_request: [{actions: [{type: basic-auth, config: {credentials: ['ada:correct horse']}}]}]"
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/", "Authorization: Basic YWRhOmNvcnJlY3QgaG9yc2U=")
        stream = await on.stand.agent.stream()
        assert b"YWRhOmNvcnJlY3QgaG9yc2U=" in await stream.heads()
        stream.ok()
        assert (await client.answer())[0] == 200
        event = await on.stand.request_told()
        assert (event.basic_auth_decision, event.basic_auth_username) == ("allow", "ada")
        assert event.traffic_policy_logs == ()


@pytest.mark.row("P-37")
async def test_close_connection_says_nothing() -> None:
    async with ruled("on_http_request: [{actions: [{type: close-connection}]}]") as on:
        client = await on.stand.visit()
        client.get("/")
        assert await client.is_cut() == b""


LIMIT = """
on_http_request:
  - actions:
      - type: rate-limit
        config: {name: a, algorithm: sliding_window, capacity: 2, rate: 60s, bucket_key: ["req.headers['k']"]}
"""


@pytest.mark.row("G-013", "P-13", "P-40")
async def test_counts_outlive_a_new_policy_if_the_limit_is_the_same() -> None:
    async with ruled(LIMIT) as on:
        client = await on.stand.visit()
        served = 0

        async def ask(key: str, expected: int = 200) -> None:
            nonlocal served
            client.get("/", f"K: {key}")
            if expected == 200:
                stream = await on.stand.agent.stream()
                served += 1
                await stream.heads(served)
                stream.ok()
            status, fields, _ = await client.answer()
            assert status == expected
            assert status != 429 or 1 <= int(fields["retry-after"]) <= 60

        await ask("a")
        await ask("a")
        await ask("a", 429)
        await ask("b")
        await on.rule(LIMIT + "  - actions: [{type: log, config: {metadata: {a: b}}}]\n")
        await ask("a", 429)  # the connection is the same, and so is what was counted
        on.stand.edge.clock += 61
        await ask("a")
        await on.rule(LIMIT.replace("capacity: 2", "capacity: 1"))
        await ask("a")  # another limit begins anew
        await ask("a", 429)


@pytest.mark.row("P-41", "P-65")
async def test_a_breaker_opens_answers_503_and_tries_again() -> None:
    text = """
on_http_request:
  - actions:
      - type: circuit-breaker
        config: {error_threshold: 0.5, volume_threshold: 2, tripped_duration: 5s}
"""
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/")
        stream = await on.stand.agent.stream()
        for asked in (1, 2):
            if asked > 1:
                client.get("/")
            await stream.heads(asked)
            stream.say(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            assert (await client.answer())[0] == 500
        client.get("/")
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (503, "ERR_NGROK_3202")
        assert (await on.stand.request_told(3)).circuit_breaker_decision == "block"
        on.stand.edge.clock += 6
        client.get("/")
        await stream.heads(3)
        stream.ok()
        assert (await client.answer())[0] == 200
        assert (await on.stand.request_told(4)).circuit_breaker_decision == "allow_while_open"


@pytest.mark.row("P-45")
async def test_an_answer_is_compressed_as_it_streams() -> None:
    text = "on_http_response: [{actions: [{type: compress-response}]}]"
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/", "Accept-Encoding: gzip;q=0.5, deflate")
        stream = await on.stand.agent.stream()
        await stream.heads()
        stream.say(
            b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nETag: "1"\r\n'
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        status, fields = await client.head()
        assert (status, fields["content-encoding"], fields["vary"]) == (200, "deflate", "Accept-Encoding")
        assert (fields["transfer-encoding"], fields["etag"]) == ("chunked", 'W/"1"')
        body = zlib.decompressobj()
        for n in range(3):
            stream.say(b"9\r\ndata: %d..\r\n" % n)
            size = int(await client.reader.readuntil(b"\r\n"), 16)
            assert body.decompress((await client.body(size + 2))[:-2]) == b"data: %d.." % n
        stream.say(b"0\r\n\r\n")
        size = int(await client.reader.readuntil(b"\r\n"), 16)
        assert body.decompress((await client.body(size + 2))[:-2]) == b""
        assert await client.body(5) == b"0\r\n\r\n"
        assert body.eof
        event = await on.stand.request_told()
        assert event.compression_algorithm == "deflate"


async def test_what_needs_no_compression_passes_as_it_is() -> None:
    text = "on_http_response: [{actions: [{type: compress-response}]}]"
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/")
        stream = await on.stand.agent.stream()
        stream.ok(b"x" * 100)
        _, fields, body = await client.answer()
        assert (body, fields["vary"], "content-encoding" in fields) == (b"x" * 100, "Accept-Encoding", False)
        client.get("/", "Accept-Encoding: gzip")
        await stream.heads(2)
        coded = gzip.compress(b"y")
        stream.ok(coded, b"Content-Encoding: gzip")
        assert (await client.answer())[2] == coded
        client.send("HEAD / HTTP/1.1", "Accept-Encoding: gzip")
        await stream.heads(3)
        stream.say(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
        assert (await client.head())[1]["content-length"] == "7"


REPLACE = """
on_http_request:
  - actions:
      - type: request-body-find-replace
        config: {replacements: [{from: "s(e+)cret", to: "<$1>"}, {from: "<", to: "["}]}
on_http_response:
  - actions:
      - type: response-body-find-replace
        config: {replacements: [{from: "${req.method}", to: "$0$0"}]}
      - type: add-headers
        config:
          headers:
            x-found: "${actions.ngrok.request_body_find_replace.replacements[0].matched_content}"
"""


@pytest.mark.row("P-17", "P-46")
async def test_bodies_are_gathered_changed_and_go_on_with_their_new_length() -> None:
    async with ruled(REPLACE) as on:
        client = await on.stand.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 14", "Expect: 100-continue")
        assert (await client.head())[0] == 100
        client.writer.write(b"my seeecret, y")
        stream = await on.stand.agent.stream()
        sent = await stream.until(b", y")
        assert sent.endswith(b"\r\n\r\nmy [eee>, y")
        assert b"Content-Length: 11" in sent
        assert b"expect" not in sent.lower()
        stream.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na \r\n")
        stream.say(b"3\r\nPOS\r\n2\r\nT.\r\n0\r\n\r\n")
        status, fields, body = await client.answer()
        assert (status, body) == (200, b"a POSTPOST.")
        assert fields["x-found"] == "seeecret"
        client.send("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"6\r\nsecret\r\n0\r\n\r\n")
        sent = await stream.until(b"[e>")
        assert b"Transfer-Encoding" not in sent
        coded = gzip.compress(b"POST")
        stream.ok(coded, b"Content-Encoding: gzip")
        _, fields, body = await client.answer()
        assert (body, "content-encoding" in fields) == (b"POSTPOST", False)


async def test_a_body_that_is_too_long_to_be_gathered_is_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.policy.actions.bodies.WHOLE", 10)
    async with ruled(REPLACE) as on:
        client = await on.stand.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 14", body=b"x" * 14)
        status, fields = await client.head()
        assert (status, fields["ngrok-error-code"]) == (413, "ERR_NGROK_3903")
        assert on.stand.agent.streams == 0
        await on.rule("on_http_response" + REPLACE.split("on_http_response")[1].split("      - type: add")[0])
        client = await on.stand.visit()
        client.get("/")
        stream = await on.stand.agent.stream()
        stream.ok(b"x" * 14)
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (502, "ERR_NGROK_3903")


@pytest.mark.row("P-18", "P-47")
async def test_events_of_a_stream_are_rewritten_one_by_one() -> None:
    text = """
on_event_stream_message:
  - actions:
      - type: sse-find-replace
        config: {replacements: [{from: "secret", to: "***"}, {from: "1", to: "2", field: retry}]}
"""
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/", "Accept-Encoding: gzip")
        stream = await on.stand.agent.stream()
        assert b"accept-encoding" not in (await stream.heads()).lower()
        stream.say(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
            b"data: a secret\nretry: 100\n\n: ping\n\n"
        )
        await client.head()
        expected = b"data: a ***\nretry: 200\n\n: ping\n\n"
        got = b""
        while len(got) < len(expected):
            size = int(await client.reader.readuntil(b"\r\n"), 16)
            got += (await client.body(size + 2))[:-2]
        assert got == expected
        stream.pipe.end()
        assert await client.body(5) == b"0\r\n\r\n"


async def test_other_answers_are_no_event_streams() -> None:
    text = """
on_event_stream_message:
  - actions: [{type: sse-find-replace, config: {replacements: [{from: secret, to: x}]}}]
"""
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/")
        (await on.stand.agent.stream()).ok(b"data: secret\n\n")
        assert (await client.answer())[2] == b"data: secret\n\n"


FORWARD = """
on_http_request:
  - expressions: ["req.url.path.startsWith('/in')"]
    actions:
      - type: forward-internal
        config: {url: "https://${req.url.query}.internal", on_error: MODE}
  - actions:
      - type: add-headers
        config:
          headers:
            x-error: "${has(actions.ngrok.forward_internal.error.code)
              ? actions.ngrok.forward_internal.error.code : ''}"
on_http_response:
  - actions: [{type: add-headers, config: {headers: {x-outer: "${res.headers['x-inner'].size()}"}}}]
"""
INNER = """
on_http_request:
  - expressions: ["req.url.path == '/in/deny'"]
    actions: [{type: deny, config: {status_code: 418}}]
on_http_response:
  - actions: [{type: add-headers, config: {headers: {x-inner: y}}}]
"""


@pytest.mark.row("P-14", "P-49")
async def test_a_request_is_forwarded_and_both_policies_rule() -> None:
    async with ruled(FORWARD.replace("MODE", "halt")) as on:
        inner = await on.internal("https://a.internal", INNER)
        client = await on.stand.visit()
        client.get("/in?a")
        stream = await inner.stream()
        head = await stream.heads()
        assert b"Host: app.example" in head  # the public name
        stream.ok(b"inside")
        status, fields, body = await client.answer()
        assert (status, body, fields["x-inner"], fields["x-outer"]) == (200, b"inside", "y", "1")
        client.get("/in/deny?a")
        assert (await client.answer())[0] == 418
        client.get("/in?b")
        status, fields, _ = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (404, "ERR_NGROK_3200")
        assert on.stand.agent.streams == 0


@pytest.mark.row("P-49")
async def test_who_goes_on_after_an_error_sees_what_it_was() -> None:
    async with ruled(FORWARD.replace("MODE", "continue")) as on:
        other = await on.internal("https://theirs.internal", account="ac_2")
        gone = await on.internal("https://gone.internal", INNER)
        gone.usable = False
        client = await on.stand.visit()
        for n, name in enumerate(("nobody", "theirs", "gone", "not a host")):
            client.get(f"/in?{name.replace(' ', '%20')}")
            stream = await on.stand.agent.stream()
            await stream.heads(n + 1)
            code = b"2247" if name == "not a host" else b"3200"
            assert b"x-error: ERR_NGROK_" + code in stream.data.split(b"\r\n\r\n")[n], name
            stream.ok()
            assert (await client.answer())[0] == 200
        assert other.streams == gone.streams == 0


@pytest.mark.row("P-49")
@pytest.mark.parametrize(("names", "status", "code"), [("ab", 508, "3603"), ("abcdefghijk", 502, "3501")])
async def test_requests_do_not_go_round_for_ever(names: str, status: int, code: str) -> None:
    jump = "on_http_request: [{actions: [{type: forward-internal, config: {url: 'http://%s.internal'}}]}]"
    async with ruled(jump % "a") as on:
        for name, after in zip(names, names[1:] + names[0], strict=True):
            await on.internal(f"http://{name}.internal", jump % after)
        client = await on.stand.visit()
        client.get("/")
        found, fields, _ = await client.answer()
        assert (found, fields["ngrok-error-code"]) == (status, f"ERR_NGROK_{code}")


@pytest.mark.row("P-17")
async def test_an_upgrade_is_judged_and_then_raw() -> None:
    async with ruled(REWRITE) as on:
        client = await on.stand.visit()
        client.get("/old/ws", "Connection: Upgrade", "Upgrade: websocket")
        stream = await on.stand.agent.stream()
        head = await stream.heads()
        assert head.startswith(b"GET /new/ws HTTP/1.1")
        assert b"Upgrade: websocket" in head
        stream.say(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw")
        status, fields = await client.head()
        assert (status, fields["x-edge"]) == (101, "101 GET")
        assert await client.body(3) == b"raw"
        client.writer.write(b"back")
        await stream.until(b"back")


@pytest.mark.row("P-12", "P-15")
async def test_what_fails_is_answered_with_its_code() -> None:
    text = """
on_http_request:
  - actions: [{type: add-headers, config: {headers: {x: "${req.headers['none'][0]}"}}}]
"""
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/", "Accept: text/html")
        status, fields, body = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (500, "ERR_NGROK_2238")
        assert b"<html" in body
        assert b"Traceback" not in body


@pytest.mark.row("P-43", "P-65")
async def test_logs_reach_the_event() -> None:
    text = """
on_http_request:
  - actions:
      - type: log
        config: {metadata: {path: "${req.url.path}", n: 1, gone: "${req.headers['a'][0]}"}}
on_http_response:
  - actions: [{type: log, config: {metadata: {status: "${res.status_code}"}}}]
"""
    async with ruled(text) as on:
        client = await on.stand.visit()
        client.get("/p")
        (await on.stand.agent.stream()).ok()
        await client.answer()
        event = await on.stand.request_told()
        assert event.traffic_policy_logs == (
            {"metadata": {"path": "/p", "n": 1, "gone": ""}},
            {"metadata": {"status": 200}},
        )


WHO_POSTS = """
on_http_request:
  - expressions: ["req.method == 'POST'", "req.url.path.startsWith('/a')"]
    actions:
      - type: add-headers
        config: {headers: {x-matched: "${req.url.path}"}}
      - {type: log, config: {metadata: {matched: true}}}
"""
"""Most requests are none of its business."""


async def test_a_request_that_no_rule_matches_is_merely_relayed() -> None:
    """Some match on the same connection: what they rule over, and what is relayed, have a stream each."""
    async with ruled(WHO_POSTS) as on:
        client = await on.stand.visit()
        served = [0, 0]
        for number, (method, path, ruled_over) in enumerate(
            (("GET", "/a", 0), ("POST", "/a", 1), ("POST", "/b", 0), ("POST", "/a", 1)), 1
        ):
            client.send(f"{method} {path} HTTP/1.1", "Content-Length: 4", body=b"body")
            stream = await on.stand.agent.stream(ruled_over)
            served[ruled_over] += 1
            head = await stream.until(b"body", served[ruled_over])
            assert head.count(b"x-matched: /a") == ruled_over * served[ruled_over]
            stream.ok()
            assert (await client.answer())[0] == 200
            event = await on.stand.request_told(number)
            assert (event.method, event.status, event.request_length) == (method, 200, 4)
            assert event.traffic_policy_logs == ruled_over * ({"metadata": {"matched": True}},)
        assert on.stand.agent.streams == 2
        counted = on.stand.endpoint.counters.counted()
        assert (counted.requests, counted.open, counted.answers[2]) == (4, 0, 4)


async def test_a_policy_that_judges_answers_judges_all_of_them() -> None:
    async with ruled(WHO_POSTS + action("add-headers", "headers: {x-seen: a}", "on_http_response")) as on:
        client = await on.stand.visit()
        client.get("/b")
        (await on.stand.agent.stream()).ok()
        assert (await client.answer())[1]["x-seen"] == "a"


@pytest.mark.row("P-17")
async def test_requests_of_http2_are_ruled_too() -> None:
    text = """
on_http_request:
  - expressions: ["req.version != 'HTTP/2.0'"]
    actions: [{type: deny}]
  - expressions: ["req.url.path == '/tea'"]
    actions: [{type: custom-response, config: {status_code: 418, body: tea}}]
  - actions: [{type: add-headers, config: {headers: {x-seen: "${conn.tls.negotiated_alpn}"}}}]
on_http_response:
  - actions: [{type: compress-response}]
"""
    async with ruled(text, certs=certs2()) as on:
        client = await visit2(on.stand)
        answer = await client.answer(client.ask("/tea"))
        assert (answer.status, answer.body) == (418, b"tea")
        stream = client.ask("/", ("accept-encoding", "gzip"))
        agent = await on.stand.agent.stream()
        assert b"x-seen: h2" in await agent.heads()
        agent.ok(b"hello")
        answer = await client.answer(stream)
        assert (answer.status, answer.fields["content-encoding"]) == (200, "gzip")
        assert gzip.decompress(bytes(answer.body)) == b"hello"
        await client.close()


SEEN = """
on_http_request:
  - actions: [{type: add-headers, config: {headers: {x-early: "${has(req.ts.body_received)}"}}}]
on_http_response:
  - actions:
      - type: add-headers
        config:
          headers:
            x-seen: "${conn.bytes_in} ${conn.bytes_out} ${has(req.ts.body_received)} ${req.trailers['x-t']}"
"""


@pytest.mark.row("P-19", "P-20")
async def test_what_has_come_by_the_time_of_the_answer() -> None:
    async with ruled(SEEN) as on:
        client = await on.stand.visit()
        client.send("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-T")
        stream = await on.stand.agent.stream()
        assert b"x-early: false" in await stream.heads()
        client.writer.write(b"3\r\nabc\r\n0\r\nX-T: u\r\n\r\n")
        await stream.until(b"X-T: u")
        stream.ok(b"ok")
        status, fields, _ = await client.answer()
        sent = on.stand.visitor.bytes_in
        assert (status, fields["x-seen"]) == (200, f'{sent} 0 true ["u"]')
        before = on.stand.visitor.bytes_out
        client.get("/")
        await stream.heads(2)
        stream.ok()
        _, fields, _ = await client.answer()
        assert fields["x-seen"] == f"{on.stand.visitor.bytes_in} {before} false []"


@pytest.mark.row("P-19")
async def test_what_has_come_over_a_connection_of_http2() -> None:
    async with ruled(SEEN, certs=certs2()) as on:
        client = await visit2(on.stand)
        counts: list[int] = []
        for number in (1, 2):
            asked = client.ask("/")
            stream = await on.stand.agent.stream()
            await stream.heads(number)
            stream.ok()
            answer = await client.answer(asked)
            counts.append(int(answer.fields["x-seen"].split()[0]))
        assert 0 < counts[0] < counts[1]
        await client.close()
