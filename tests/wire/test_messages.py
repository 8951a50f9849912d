"""Control messages: read in both dialects, written in one exact spelling."""

import json
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
import pytest

from portway.errors import Error, MessageError
from portway.wire import messages as m

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
REQUESTS: dict[int, type[msgspec.Struct]] = {
    0: m.Auth,
    1: m.Bind,
    2: m.Unbind,
    7: m.BindLabels,
    8: m.SrvInfo,
    10: m.Patch,
}


def captured() -> list[Any]:
    found: list[Any] = []
    for path in sorted(CAPTURES.glob("*.json")):
        for index, exchange in enumerate(json.loads(path.read_text())["exchanges"]):
            body = exchange.get("request_bytes_after_type")
            if body is not None:
                name = f"{path.stem}-{index}-{exchange['name']}"
                found.append(pytest.param(exchange["req_type"], body.encode(), id=name))
    return found


def flat(value: object, path: str = "") -> dict[str, object]:
    """Leaves of a JSON value under lower-case paths; null, "", 0, false and empty are left out."""
    if isinstance(value, dict):
        leaves: dict[str, object] = {}
        for key, item in cast("dict[str, object]", value).items():
            leaves |= flat(item, f"{path}.{key.lower()}")
        return leaves
    return {path: value} if value else {}


@pytest.mark.row("S16")
@pytest.mark.parametrize(("kind", "body"), captured())
def test_every_captured_request_is_read_without_loss(kind: int, body: bytes) -> None:
    message = m.decode(REQUESTS[kind], body)
    assert flat(json.loads(m.encode(message))) == flat(json.loads(body))
    if isinstance(message, m.Bind):
        assert message.opts == json.loads(body)["Opts"]  # verbatim, to be echoed


def test_the_captures_hold_every_dialect() -> None:
    kinds = [param.values[0] for param in captured()]
    assert len(kinds) > 60
    assert set(kinds) == set(REQUESTS)


@pytest.mark.row("A4")
def test_requests_of_the_go_agent_are_written_key_for_key() -> None:
    written = 0
    for exchange in json.loads((CAPTURES / "go-sdk-2.1.1.json").read_text())["exchanges"]:
        body = exchange.get("request_bytes_after_type")
        if body is None or exchange["req_type"] not in (0, 1):
            continue
        wanted = json.loads(body)
        ours = json.loads(m.encode(m.decode(REQUESTS[exchange["req_type"]], body.encode())))
        ours["Extra"].pop("Description", None) if exchange["req_type"] == 0 else None
        assert ours == wanted
        assert list(ours["Extra"]) == list(wanted["Extra"])
        written += 1
    assert written > 10


@pytest.mark.row("A4")
def test_an_empty_auth_has_every_key_of_the_go_spelling() -> None:
    assert json.loads(m.encode(m.Auth())) == {
        "Version": ["3", "2"],
        "ClientId": "",
        "Extra": {
            "OS": "",
            "Arch": "",
            "Authtoken": "",
            "Version": "",
            "Hostname": "",
            "UserAgent": "",
            "Metadata": "",
            "Cookie": "",
            "HeartbeatInterval": 0,
            "HeartbeatTolerance": 0,
            "Fingerprint": None,
            "UpdateUnsupportedError": None,
            "StopUnsupportedError": None,
            "RestartUnsupportedError": None,
            "ProxyType": "",
            "MutualTLS": False,
            "ServiceRun": False,
            "ConfigVersion": "",
            "CustomInterface": False,
            "CustomCAs": False,
            "ClientType": "",
            "LegNumber": 0,
            "Description": "",
        },
    }


def test_the_description_of_the_agent_has_a_key_of_its_own() -> None:
    auth = m.Auth(extra=m.AuthExtra(description="on the shelf"))
    assert m.decode(m.Auth, m.encode(auth)).extra.description == "on the shelf"


@pytest.mark.row("S16", "A5")
@pytest.mark.parametrize("key", ["Authtoken", "AuthToken", "authtoken", "AUTHTOKEN"])
def test_keys_are_matched_in_any_case_nested_too(key: str) -> None:
    body = json.dumps({"eXtRa": {key: "tok"}, "CLIENTID": "c1"}).encode()
    auth = m.decode(m.Auth, body)
    assert (auth.extra.authtoken, auth.client_id) == ("tok", "c1")


@pytest.mark.row("S16", "A5", "A16")
def test_null_is_absent_and_unknown_keys_are_skipped() -> None:
    body = b' {"Error":null,"Extra":null,"Id":"b1","Proto":null,"New":{"x":[1]},"URL":"tcp://h:1"}\n'
    assert m.decode(m.BindResp, body) == m.BindResp(id="b1", url="tcp://h:1")
    assert m.decode(m.AuthResp, b"{}") == m.AuthResp()


def test_labels_keep_their_keys() -> None:
    message = m.decode(m.BindLabels, b'{"labels":{"Env":"dev","env":"x"}}')
    assert message.labels == {"Env": "dev", "env": "x"}


@pytest.mark.row("S18")
def test_answers_have_every_key_in_the_exact_spelling() -> None:
    assert json.loads(m.encode(m.AuthResp(client_id="c"))) == {
        "Version": "3",
        "ClientId": "c",
        "Error": "",
        "Extra": {
            "Version": "",
            "Region": "",
            "Cookie": "",
            "AccountName": "",
            "SessionDuration": 0,
            "PlanName": "",
            "Banner": "",
            "DeprecationWarning": None,
            "ConnectAddresses": None,
            "AgentSessionID": "",
        },
    }
    assert json.loads(m.encode(m.BindResp(id="b", extra=m.BindRespExtra(token="t")))) == {
        "Id": "b",
        "URL": "",
        "Proto": "",
        "Opts": {},
        "Error": "",
        "Extra": {"Token": "t", "TunnelID": ""},
    }
    assert json.loads(m.encode(m.UnbindResp())) == {"Error": "", "Extra": {}}
    assert json.loads(m.encode(m.BindLabelsResp(id="l"))) == {"Id": "l", "Error": ""}
    assert m.encode(m.SrvInfoResp(region="local")) == b'{"Region":"local"}'
    assert m.encode(m.PatchResp()) == m.encode(m.CommandResp()) == b'{"Error":""}'


def test_commands_have_every_key() -> None:
    assert m.encode(m.Command()) == b"{}"
    assert m.encode(m.Update()) == b'{"Version":"","PermitMajorVersion":false}'
    assert m.encode(m.StopTunnel(id="b")) == b'{"Id":"b","Message":"","ErrorCode":""}'


@pytest.mark.row("S24")
def test_a_proxy_header_has_five_keys_and_a_string_as_edge_type() -> None:
    header = m.ProxyHeader("b1", "10.0.0.1:99", "http", "0", False)
    body = m.encode(header)
    assert json.loads(body) == {
        "Id": "b1",
        "ClientAddr": "10.0.0.1:99",
        "Proto": "http",
        "EdgeType": "0",
        "PassthroughTLS": False,
    }
    assert m.decode(m.ProxyHeader, body) == header


@pytest.mark.row("A15")
def test_a_proxy_header_of_another_spelling_is_read_too() -> None:
    header = m.decode(m.ProxyHeader, b'{"id":"b1","CLIENTADDR":null,"Proto":"tcp","extra":1}')
    assert header == m.ProxyHeader("b1", "", "tcp", "", False)


def test_a_patch_tells_absent_from_empty() -> None:
    patch = m.decode(m.Patch, b'{"TunnelId":"tn","Name":"","Metadata":null,"PoolingEnabled":false}')
    assert (patch.name, patch.pooling_enabled) == ("", False)
    assert patch.description is patch.metadata is patch.traffic_policy is msgspec.UNSET
    assert m.encode(patch) == b'{"TunnelId":"tn","Name":"","PoolingEnabled":false}'


@pytest.mark.parametrize(
    ("cls", "body", "text"),
    [
        (m.Bind, b'{"Extra":{"TOKEN":1}}', "Bind.Extra.Token: expected str, got int"),
        (m.Bind, b'{"opts":[]}', "Bind.Opts: expected object, got array"),
        (m.Auth, b'{"Extra":""}', "Auth.Extra: expected object, got str"),
        (m.Auth, b'{"version":["3",4]}', "Auth.Version[1]: expected str, got int"),
        (m.ProxyHeader, b'{"EdgeType":0}', "ProxyHeader.EdgeType: expected str, got int"),
        (m.Unbind, b"[]", "Unbind: expected object, got array"),
        (m.Unbind, b"null", "Unbind: expected object, got null"),
        (m.Unbind, b'{"Id":', "Unbind: not JSON: "),
        (m.Unbind, b"{} {}", "Unbind: not JSON: "),
        (m.Unbind, b'{"Id":"\xff"}', "Unbind: not JSON: "),
        (m.Unbind, b"", "Unbind: not JSON: "),
        (m.Unbind, b'{"a":' * 17 + b"1" + b"}" * 17, "Unbind: nested deeper than 16 levels"),
        (m.Unbind, b"[" * 60_000, "Unbind: nested too deeply"),
        (m.Unbind, b'{"Id":"' + b"x" * 65_536 + b'"}', "Unbind: longer than 65536 bytes"),
    ],
)
def test_what_cannot_be_read_names_the_key(cls: type[msgspec.Struct], body: bytes, text: str) -> None:
    with pytest.raises(MessageError) as caught:
        m.decode(cls, body)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_whatever_comes_is_a_value_or_the_one_error() -> None:
    """Captured requests with bytes exchanged, cut, doubled: nothing else may be raised."""
    chance = Random(7)
    bodies = [param.values[1] for param in captured()]
    bodies += [m.encode(m.ProxyHeader("b", "1.2.3.4:5", "http", "0", False)), m.encode(m.Update())]
    pieces = [
        b"null",
        b"{}",
        b"[]",
        b"1e999",
        b'"',
        b"\\u0000",
        b"\\ud800",
        b"\xff",
        b"-",
        b"{" * 40,
        b"99999999999999999999",
    ]
    classes = [*REQUESTS.values(), m.ProxyHeader, m.AuthResp, m.BindResp, m.Update, m.StopTunnel]
    refusals: list[str] = []
    for _ in range(4000):
        body = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body) + 1)
            body[at : at + chance.randint(0, 6)] = chance.choice(pieces)
        try:
            message = m.decode(chance.choice(classes), body)
            if isinstance(message, m.Bind):
                m.OptsView.of(message.opts)
        except MessageError as error:
            refusals.append(str(error))
    assert 1000 < len(refusals) < 4000
    assert all(0 < len(text) < 500 for text in refusals)


def test_sixteen_levels_are_read() -> None:
    assert m.decode(m.Unbind, b'{"a":' * 16 + b"1" + b"}" * 16) == m.Unbind()


@pytest.mark.row("S27")
def test_a_refusal_carries_the_code_alone_on_a_line() -> None:
    answer = m.decode(m.BindResp, m.refusal(Error("The name is taken.", 334)))
    assert answer.error == "The name is taken.\r\n\r\nERR_NGROK_334\r\n"
    assert Error.parse(answer.error).code == "ERR_NGROK_334"
    assert m.decode(m.BindResp, m.encode(m.BindResp())).error == ""


def test_secrets_do_not_show() -> None:
    auth = m.Auth(extra=m.AuthExtra(authtoken="tok_secret", cookie="cook_secret"))
    answer = m.AuthResp(extra=m.AuthRespExtra(cookie="cook_secret"))
    assert "secret" not in repr(auth) + repr(answer)
