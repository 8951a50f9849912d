"""What every request passes, and what every answer carries."""

import logging
from pathlib import Path

import pytest
from tests.kit.api import running_api
from tests.kit.store import Clock

from portway.control.service import credentials
from portway.control.store import keys

ACT = {"access-control-request-method": "POST", "origin": "https://app.example"}


@pytest.mark.row("C7", "C22")
async def test_every_answer_carries_an_operation_id_that_the_log_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portway.control.api.gate")
    async with running_api(tmp_path) as api:
        answers = [
            await api.get("/credentials"),
            await api.get("/credentials/cr_none"),
            await api.get("/nothing"),
            await api.with_key("wrong").get("/credentials"),
            await api.send("PUT", "/credentials"),
            await api.send("OPTIONS", "/credentials", headers=ACT),
        ]
    lines = [getattr(record, "fields", {}) for record in caplog.records if record.name.endswith("gate")]
    for answer, line in zip(answers, lines, strict=True):
        operation = answer.headers["ngrok-operation-id"]
        assert operation.startswith("op_")
        assert len(operation) == 30
        assert line["operation"] == operation
        assert line["status"] == answer.status
        if answer.status >= 400:
            assert answer["details"] == {"operation_id": operation}
            assert answer["status_code"] == answer.status
            assert answer["msg"]
    assert [answer.status for answer in answers] == [200, 404, 404, 401, 405, 204]
    assert (lines[0]["account"], lines[0]["key"][:3]) == (api.account_id, "ak_")
    assert api.key not in caplog.text
    assert "error_code" not in answers[1].json, "a plain 404 has no code"
    assert answers[4].headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"authorization": None}, 401, 200),
        ({"authorization": "garbage"}, 401, 201),
        ({"authorization": "Bearer"}, 401, 201),
        ({"authorization": "Bearer not a key"}, 401, 202),
        ({"authorization": "Bearer " + "x" * 20}, 401, 202),
        ({"authorization": "Bearer " + "x" * 27 + "_" + "y" * 21}, 401, 203),
        ({"authorization": "Bearer ak_" + "x" * 27}, 401, 208),
        ({"authorization": "Bearer cr_" + "x" * 27}, 401, 207),
        ({"ngrok-version": None}, 400, 218),
        ({"ngrok-version": "1"}, 400, 217),
        ({"ngrok-version": "2, 2"}, 400, 217),
    ],
)
@pytest.mark.row("C6")
async def test_who_and_which_version(
    tmp_path: Path, headers: dict[str, str | None], status: int, code: int
) -> None:
    async with running_api(tmp_path) as api:
        answer = await api.send("GET", "/credentials", headers=headers)
        absent = await api.send("GET", "/no/such/path", headers=headers)
    assert (answer.status, answer.code) == (status, code)
    assert (absent.status, absent.code) == (status, code), "a stranger does not learn which paths exist"


@pytest.mark.row("C6")
async def test_an_authtoken_is_told_from_a_key(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        token = (await credentials.add(api.context)).token
        assert (await api.with_key(token).get("/credentials")).code == 206


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", "/credentials", None, {}, 201, 0),
        ("POST", "/credentials", b"{}", {"content-type": None}, 400, 216),
        ("POST", "/credentials", b"{}", {"content-type": "text/plain"}, 400, 210),
        ("POST", "/credentials", b"{}", {"content-type": "application/json; charset=latin-1"}, 400, 210),
        ("POST", "/credentials", b"{}", {"content-type": "Application/JSON; charset=UTF-8"}, 201, 0),
        ("POST", "/credentials", b"{", {}, 400, 213),
        ("POST", "/credentials", b"[]", {}, 400, 213),
        ("POST", "/credentials", b"null", {}, 400, 213),
        ("POST", "/credentials", b'{"nothing": 1}', {}, 400, 214),
        ("POST", "/credentials", b'{"description": 1}', {}, 400, 215),
        ("POST", "/credentials", b'{"acl": "bind:*"}', {}, 400, 215),
        ("POST", "/credentials", b'{"acl": [1]}', {}, 400, 215),
        ("POST", "/credentials", b'{"acl": ["*"], "description": null}', {}, 201, 0),
        ("POST", "/credentials", b" " * ((1 << 20) + 1), {}, 413, 212),
        ("POST", "/credentials", b"{}", {"content-length": "1048577"}, 413, 212),
        ("POST", "/credentials", b"{}", {"content-length": "9" * 30}, 413, 212),
        ("GET", "/credentials", b"{}", {}, 400, 211),
        ("DELETE", "/credentials/cr_x", b"{}", {}, 400, 211),
        ("GET", "/credentials?limit=0", None, {}, 400, 233),
        ("GET", "/credentials?limit=101", None, {}, 400, 233),
        ("GET", "/credentials?limit=abc", None, {}, 400, 244),
        ("GET", "/credentials?limit=", None, {}, 400, 244),
        ("GET", "/credentials?before_id=ak_x", None, {}, 400, 227),
        ("GET", "/credentials?before_id=cr_%20", None, {}, 400, 227),
        ("GET", "/credentials?before_id=", None, {}, 200, 0),
        ("GET", "/credentials?unknown=1", None, {}, 400, 231),
        ("GET", "/credentials?limit=1&limit=1", None, {}, 400, 232),
        ("GET", "/credentials?limit=%zz", None, {}, 400, 230),
        ("GET", "/credentials?filter=obj.id", None, {}, 200, 0),
        ("GET", "/credentials?filter=1%2B1", None, {}, 400, 250),
        ("GET", "/credentials/ak_" + "x" * 27, None, {}, 400, 227),
        ("GET", "/credentials/cr_\0", None, {}, 400, 227),
        ("GET", "/credentials/", None, {}, 404, 0),
        ("GET", "/Credentials", None, {}, 404, 0),
        ("GET", "//credentials", None, {}, 200, 0),
        ("GET", "///credentials", None, {}, 200, 0),
        ("HEAD", "/credentials", None, {}, 200, 0),
        ("HEAD", "/nothing", None, {}, 404, 0),
        ("TRACE", "/credentials", None, {}, 405, 0),
        ("OPTIONS", "/credentials", None, {}, 405, 0),
    ],
)
@pytest.mark.row("C5", "C8")
async def test_faults_of_requests_have_their_codes(
    tmp_path: Path,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str | None],
    status: int,
    code: int,
) -> None:
    async with running_api(tmp_path) as api:
        answer = await api.send(method, path, body, headers)
    assert answer.status == status
    assert method == "HEAD" or answer.code == code
    assert method != "HEAD" or answer.body == b""
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.row("C3")
async def test_a_deleted_thing_is_answered_with_nothing_and_then_404(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post("/credentials", {})
        gone = await api.delete(f"/credentials/{made['id']}")
        again = await api.delete(f"/credentials/{made['id']}")
    assert (gone.status, gone.body, "content-type" in gone.headers) == (204, b"", False)
    assert again.status == 404
    assert api.context.measures.requests == {"POST 2xx": 1, "DELETE 2xx": 1, "DELETE 4xx": 1}
    assert sum(api.context.measures.times.buckets) == 3


@pytest.mark.row("C20")
async def test_browsers_may_call(tmp_path: Path) -> None:
    asked = ACT | {"access-control-request-headers": "authorization, ngrok-version"}
    async with running_api(tmp_path) as api:
        allowed = await api.send("OPTIONS", "/credentials/cr_x", headers=asked | {"authorization": None})
        absent = await api.send("OPTIONS", "/nothing", headers=asked)
        plain = await api.send("GET", "/credentials", headers={"origin": "https://app.example"})
        refused = await api.send("GET", "/nothing", headers={"origin": "https://app.example"})
    assert (allowed.status, absent.status) == (204, 404)
    assert allowed.headers["access-control-allow-methods"] == "GET, PATCH, DELETE"
    assert allowed.headers["access-control-allow-headers"] == "authorization, ngrok-version"
    assert allowed.headers["access-control-max-age"] == "600"
    for answer in (allowed, plain, refused):
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.row("C7")
async def test_a_fault_of_ours_shows_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(keys, "owned", broken)
    async with running_api(tmp_path) as api:
        answer = await api.get("/credentials/cr_x")
        after = await api.get("/credentials")
    assert (answer.status, after.status) == (500, 200)
    assert b"secret" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert "the secret inside" in caplog.text


@pytest.mark.row("C4")
async def test_a_prefix_of_the_base_url_is_dropped_and_shown(tmp_path: Path) -> None:
    async with running_api(tmp_path, api_url="https://example.com/ngrok/api") as api:
        plain = await api.get("/credentials")
        prefixed = await api.get("/ngrok/api/credentials")
    assert plain["uri"] == prefixed["uri"] == "https://example.com/ngrok/api/credentials"


async def test_the_document_needs_no_key(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        answer = await api.send("GET", "/openapi.json", headers={"authorization": None})
    assert answer.status == 200
    assert answer["openapi"].startswith("3.")


async def test_what_is_not_http_is_left_alone(tmp_path: Path) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("nobody asked")

    async with running_api(tmp_path) as api:
        await api.app({"type": "websocket"}, never, never)  # type: ignore[arg-type]


@pytest.mark.row("C20")
async def test_rates_are_off_and_can_be_set(tmp_path: Path) -> None:
    clock = Clock()
    async with running_api(tmp_path, clock=clock, api_rate=3) as api:
        statuses = [(await api.get("/credentials")).status for _ in range(4)]
        refused = await api.get("/credentials")
        other = await (await api.other_account()).get("/credentials")
        clock.now += 61
        later = await api.get("/credentials")
    assert statuses == [200, 200, 200, 429]
    assert refused.code == 226
    assert int(refused.headers["retry-after"]) in range(1, 62)
    assert (other.status, later.status) == (200, 200)
