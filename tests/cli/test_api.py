"""``portway api``: commands, what they send, what they print."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs

import click
import pytest
from click.testing import CliRunner
from tests.kit.fake_api import FakeApi, fake_api

from portway.cli import api as module
from portway.cli.api_document import Field, Operation

ROW = {"id": "ra_1", "uri": "https://x/ra_1", "addr": "localhost:20001", "region": "", "metadata": "{}"}
LIST = Operation(
    "reserved-addrs", "list", "GET", "/reserved_addrs", (),
    (Field("limit", "integer"), Field("before_id", "text"), Field("url", "list")), (), False, "List them.",
)  # fmt: skip
CREATE = Operation(
    "reserved-addrs", "create", "POST", "/reserved_addrs", (), (),
    (
        Field("description", "text"),
        Field("acl", "list"),
        Field("pooling_enabled", "boolean"),
        Field("policy.authority", "text"),
        Field("labels", "object"),
    ),
    True, "Make one.",
)  # fmt: skip
DELETE = Operation(
    "reserved-addrs", "delete", "DELETE", "/reserved_addrs/{id}", ("id",), (), (), False, "Remove it."
)


@pytest.mark.row("K-06")
def test_the_key_of_the_file_goes_behind_the_variables(tmp_path: Path) -> None:
    file = tmp_path / "agent.yml"
    file.write_text("version: 3\nagent: {api_key: FILE}\n")
    assert module.key_of_file({"PORTWAY_CONFIG": str(file)}) == "FILE"
    for name in ("PORTWAY_API_KEY", "NGROK_API_KEY"):
        assert module.key_of_file({"PORTWAY_CONFIG": str(file), name: "ENV"}) is None
    assert module.key_of_file({"HOME": str(tmp_path)}) is None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with fake_api() as running:
        monkeypatch.setenv("PORTWAY_API_URL", running.url)
        monkeypatch.setenv("PORTWAY_API_KEY", "key")
        yield running


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program believe that a person reads."""

    class Terminal:
        def isatty(self) -> bool:
            return True

    class Sys:
        stdout = Terminal()

    monkeypatch.setattr(module, "sys", Sys)


def _run(operation: Operation, *arguments: str) -> str:
    result = CliRunner().invoke(module.make_command("x", operation), list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_pipe_gets_json_as_the_api_said_it(server: FakeApi) -> None:
    server.answer(200, {"reserved_addrs": [ROW], "uri": "u", "next_page_uri": None})
    assert json.loads(_run(LIST, "--limit", "5", "--url", "a b", "--url", "c"))["reserved_addrs"] == [ROW]
    assert server.asked[0].target == "/reserved_addrs?limit=5&url=a+b&url=c"


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_table_of_what_is_set(server: FakeApi) -> None:
    server.answer(200, {"reserved_addrs": [ROW], "uri": "u", "next_page_uri": "more"})
    lines = _run(LIST).splitlines()
    assert lines[:2] == ["ID    ADDR", "ra_1  localhost:20001"]
    assert "--all" in lines[2]


@pytest.mark.usefixtures("terminal")
def test_an_empty_list_says_so(server: FakeApi) -> None:
    server.answer(200, {"reserved_addrs": [], "uri": "u", "next_page_uri": None})
    assert _run(LIST) == "There are no reserved addrs.\n"


@pytest.mark.usefixtures("terminal")
def test_one_thing_is_shown_line_by_line(server: FakeApi) -> None:
    shown = {"id": "cr_1", "token": "t", "owner": {"id": "usr_1", "uri": ""}, "acl": ["a", "b"], "x": None}
    server.answer(201, shown)
    out = _run(CREATE)
    assert "id     cr_1\ntoken  t\nowner  usr_1\nacl    a, b\n" in out
    assert "shown once" in out


def test_all_pages_are_one_answer(server: FakeApi) -> None:
    more = f"{server.url}/reserved_addrs?before_id=2"
    server.answer(200, {"reserved_addrs": [{"id": "2"}], "uri": "u", "next_page_uri": more})
    server.answer(200, {"reserved_addrs": [{"id": "1"}], "uri": "u", "next_page_uri": None})
    whole = json.loads(_run(LIST, "--all"))
    assert whole == {"reserved_addrs": [{"id": "2"}, {"id": "1"}], "uri": "u", "next_page_uri": None}
    assert [each.target for each in server.asked] == ["/reserved_addrs", "/reserved_addrs?before_id=2"]


def test_only_what_was_said_is_sent(server: FakeApi) -> None:
    server.answer(201, ROW)
    server.answer(201, ROW)
    _run(CREATE)
    given = ("--description", "", "--acl", "bind:*", "--no-pooling-enabled", "--policy.authority", "ours")
    _run(CREATE, *given, "--labels", '{"a": 1}')
    assert server.asked[0].body == {}
    assert server.asked[1].body == {
        "description": "",
        "acl": ["bind:*"],
        "pooling_enabled": False,
        "policy": {"authority": "ours"},
        "labels": {"a": 1},
    }


def test_a_text_may_stand_in_a_file(server: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("line\nline\n")
    server.answer(201, ROW)
    _run(CREATE, "--description", f"@{file}", "--acl", "@@home")
    assert server.asked[0].body == {"description": "line\nline\n", "acl": ["@home"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--description", "@/nonexistent"), "cannot be read"), (("--labels", "{"), "takes JSON")],
)
@pytest.mark.usefixtures("server")
def test_a_wrong_value_names_its_flag(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError, match=f"{arguments[0]}.*{said}"):
        module.make_command("x", CREATE).main(list(arguments), standalone_mode=False)


@pytest.mark.usefixtures("terminal")
def test_what_is_deleted_is_gone_and_an_id_is_one_part_of_the_path(server: FakeApi) -> None:
    server.answer(204, None)
    assert _run(DELETE, "ra_1/../x?y") == "deleted\n"
    assert server.asked[0].target == "/reserved_addrs/ra_1%2F..%2Fx%3Fy"


def test_the_shipped_document_makes_a_command_of_every_operation() -> None:
    context = click.Context(module.api)
    for resource in module.api.list_commands(context):
        command = module.api.get_command(context, resource)
        assert command is not None
        assert "--api-key" in command.get_help(context) or isinstance(command, click.Group)
    assert module.api.get_command(context, "no-such-resource") is None


@pytest.mark.row("K-16")
@pytest.mark.parametrize(
    ("words", "same"),
    [
        ("edges tcp list", "edges-tcp list"),
        ("edges https-routes create", "edges-https-routes create"),
        ("backends static-address list", "backends-static list"),
        ("edge-modules tcp-edge-backend replace", "edge-modules tcp-edge-backend-replace"),
        ("secrets create", "vault-secrets create"),
    ],
)
def test_names_of_ngroks_program(words: str, same: str) -> None:
    assert _command(words).help == _command(same).help
    assert _command(words).help


def _command(words: str) -> click.Command:
    context, found = click.Context(module.api), cast("click.Command | None", module.api)
    for word in words.split():
        assert isinstance(found, click.Group), words
        found = found.get_command(context, word)
    assert found is not None, words
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("endpoint list", "there is no resource 'endpoint'; did you mean endpoints?"),
        ("zzz", "there is no resource 'zzz'; `portway api --help` names"),
        ("edges tcq list", "No such command 'tcq'"),
        ("endpoints create --traffic-policy-url ftp://x", "--traffic-policy-url: an http:// or https:// URL"),
        ("endpoints create --traffic-policy-file /no/such", "--traffic-policy-file: /no/such cannot be read"),
        (
            "endpoints create --traffic-policy x --traffic-policy-file y",
            "--traffic-policy is said in several",
        ),
    ],
)
def test_what_is_wrong_is_said(words: str, said: str, server: FakeApi) -> None:
    done = CliRunner().invoke(module.api, words.split())
    assert done.exit_code == 2
    assert said in done.output
    assert not server.asked


def test_a_policy_from_a_file_and_from_an_address(server: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "policy.yml"
    file.write_text("@on_http_request: []\n")
    server.answer(201, {"id": "ep_1"})
    create = _command("endpoints create")
    assert not CliRunner().invoke(create, ["--traffic-policy-file", str(file)]).exit_code
    assert server.asked[0].body == {"traffic_policy": "@on_http_request: []\n"}
    server.answer(200, b"on_http_request: []")
    server.answer(201, {"id": "ep_1"})
    address = f"http://127.0.0.1:{server.url.rpartition(':')[2]}/policy.yml"
    assert not CliRunner().invoke(create, ["--traffic-policy-url", address]).exit_code
    assert server.asked[2].body == {"traffic_policy": "on_http_request: []"}


WRITTEN: Final[dict[str, tuple[str, object]]] = {
    "text": ("some text", "some text"),
    "integer": ("7", 7),
    "number": ("0.5", 0.5),
    "list": ("one", ["one"]),
    "object": ('{"a": 1}', {"a": 1}),
    "objects": ('{"a": 1}', [{"a": 1}]),
}
"""How a value of each kind is written, and what becomes of it."""


def _shipped() -> list[Operation]:
    return [each for found in module.api.operations().values() for each in found]


@pytest.mark.row("K-16")
def test_every_command_makes_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the document has: each flag is taken, and method, path, query and body are those it says."""
    calls: list[tuple[str, str, Any]] = []

    def call(_api: object, method: str, target: str, body: object) -> object:
        calls.append((method, target, body))
        return {}

    monkeypatch.setattr(module.api_client, "call", call)
    monkeypatch.setenv("PORTWAY_API_URL", "http://api.test")
    monkeypatch.setenv("PORTWAY_API_KEY", "key")
    for operation in _shipped():
        words = [f"{name}_1" for name in operation.place]
        for field in (*operation.query, *operation.body):
            words += [field.flag] if field.kind == "boolean" else [field.flag, WRITTEN[field.kind][0]]
        command = module.make_command("x", operation)
        done = CliRunner().invoke(command, words, catch_exceptions=False)
        assert done.exit_code == 0, (operation, done.output)
        method, target, body = calls.pop()
        path, _, query = target.partition("?")
        assert method == operation.method
        assert path == operation.path.format(**{name: f"{name}_1" for name in operation.place})
        assert {*parse_qs(query)} == {field.name for field in operation.query}, operation
        for field in operation.body:
            found: Any = body
            for part in field.name.split("."):
                found = found[part]
            assert found == (True if field.kind == "boolean" else WRITTEN[field.kind][1]), field
        assert operation.has_body == (body is not None)
