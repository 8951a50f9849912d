"""Calls of the control API: where it is found, what is sent, what comes of answers."""

import json
from pathlib import Path

import pytest
from tests.kit.certs import make_certs
from tests.kit.fake_api import FakeApi, fake_api

from portway.cli.api_client import Api, call, find
from portway.errors import ConfigError, ConnectError, Error

NOWHERE = Path("/nonexistent/bootstrap.json")


def _bootstrap(folder: Path) -> Path:
    known = {
        "https_url": "https://portway.localhost:7443",
        "api_key": "from-the-file",
        "ca_cert": "/ca.pem",
        "authtoken": "x",
    }
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(known))
    return path


def test_flags_come_before_the_environment_before_the_file(tmp_path: Path) -> None:
    bootstrap = _bootstrap(tmp_path)
    own = "https://api.portway.localhost:7443"
    environ = {"NGROK_API_URL": "https://n", "NGROK_API_KEY": "n"}
    assert find(None, None, {}, bootstrap) == Api(own, "from-the-file", "/ca.pem")
    assert find(None, None, environ, bootstrap) == Api("https://n", "n")
    environ |= {"PORTWAY_API_URL": "https://p/", "PORTWAY_API_KEY": "p"}
    assert find(None, None, environ, bootstrap) == Api("https://p", "p")
    assert find("https://f", "f", environ, bootstrap) == Api("https://f", "f")
    assert find(own, None, {"PORTWAY_CONNECT_CAS": "host"}, bootstrap) == Api(own, "from-the-file")


def test_the_key_of_the_file_is_for_its_own_service_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no API key"):
        find("https://elsewhere.example", None, {}, _bootstrap(tmp_path))


def test_an_unknown_address_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="set PORTWAY_API_URL"):
        find(None, "key", {}, NOWHERE)


def test_the_key_is_not_in_the_repr() -> None:
    assert "secret" not in repr(Api("https://x", "secret"))


def test_a_call_sends_key_version_and_body() -> None:
    with fake_api() as server:
        server.answer(201, {"id": "ra_1"})
        assert call(Api(server.url, "key"), "POST", "/reserved_addrs", {"description": "é"}) == {"id": "ra_1"}
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/reserved_addrs", {"description": "é"})
    assert asked.headers["authorization"] == "Bearer key"
    assert asked.headers["ngrok-version"] == "2"
    assert asked.headers["content-type"] == "application/json"


def test_tls_is_verified_against_the_authorities_given(tmp_path: Path) -> None:
    certs = make_certs("api.portway.localhost")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certs.ca)
    with fake_api(certs.server) as server:
        server.answer(200, {})
        assert call(Api(server.url, "key", str(ca)), "GET", "/self") == {}
        with pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            call(Api(server.url, "key"), "GET", "/self")


def test_a_refusal_keeps_its_code() -> None:
    with fake_api() as server:
        server.answer(400, {"msg": "too long", "error_code": "ERR_NGROK_504", "status_code": 400})
        with pytest.raises(Error, match="too long") as caught:
            call(Api(server.url, "key"), "POST", "/reserved_addrs", {})
    assert caught.value.code == "ERR_NGROK_504"


def test_no_body_is_none() -> None:
    with fake_api() as server:
        server.answer(204, None)
        assert call(Api(server.url, "key"), "DELETE", "/x") is None
    assert "content-type" not in server.asked[0].headers


def _answering(server: FakeApi, status: int, data: bytes) -> None:
    server.answer(status, data)
    call(Api(server.url, "key"), "GET", "/x")


def test_what_is_no_api_is_said_so() -> None:
    with fake_api() as server, pytest.raises(ConnectError, match="is it a control API"):
        _answering(server, 502, b"<html>")


def test_nobody_there() -> None:
    with pytest.raises(ConnectError, match=r"api\.portway\.localhost:1"):
        call(Api("http://api.portway.localhost:1", "key"), "GET", "/x")


def test_the_key_is_not_sent_to_another_host() -> None:
    with pytest.raises(ConnectError, match="another address"):
        call(Api("https://api.example.com", "key"), "GET", "https://api.example.com.evil.example/x")


@pytest.mark.parametrize("url", ["api.example.com", "ftp://x", "https://", "https://x:port", "https://x?y"])
def test_a_wrong_address_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of an API"):
        call(Api(url, "key"), "GET", "/x")
