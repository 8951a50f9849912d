"""The agent that is there without being made."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.kit.fake_service import FakeService

import portway
from portway.agent import default
from portway.agent.default import agent_for, older_address, said_token, sync_agent_for


@pytest.fixture
def known(service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeService:
    (tmp_path / "ca.pem").write_bytes(service.certs.ca)
    monkeypatch.setenv("PORTWAY_CONNECT_URL", service.connect_url)
    monkeypatch.setenv("PORTWAY_CONNECT_CAS", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(default, "default_agent", portway.Agent())
    return service


@pytest.mark.row("G-030", "G-002", "G-031", "G-007")
async def test_listen_with_nothing_said(known: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "of-env")
    listener = await portway.listen()
    agent = default.default_agent
    assert agent.endpoints == [listener]
    assert listener.agent is agent
    assert listener.url.scheme == "https"
    assert known.last.auth.extra.authtoken == "of-env"
    await agent.disconnect()


async def test_both_styles_of_a_tcp_listener(known: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTWAY_AUTHTOKEN", "of-env")
    older = await portway.listen(proto="tcp", authtoken_from_env=True)
    newer = await portway.listen("tcp://")
    assert [older.protocol, newer.protocol] == ["tcp", "tcp"]
    assert older.agent is not newer.agent
    fixed = await portway.listen(authtoken="of-env", remote_addr="localhost:20123", proxy_protocol=1)
    assert fixed.url == "tcp://localhost:20123"
    assert fixed.agent is older.agent
    await older.agent.disconnect()
    await newer.agent.disconnect()


async def test_one_agent_for_each_token(known: FakeService) -> None:
    assert agent_for("a") is agent_for("a")
    assert agent_for("a") is not agent_for("b")
    assert agent_for(None) is default.default_agent
    assert sync_agent_for("a") is sync_agent_for("a")


def test_which_token_a_call_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_token(None, from_env=False) is None
    assert said_token(None, from_env=True) == ""
    monkeypatch.setenv("NGROK_AUTHTOKEN", "of-env")
    assert said_token(None, from_env=True) == "of-env"
    assert said_token("own", from_env=True) == "own"


@pytest.mark.parametrize(
    ("proto", "url", "remote_addr", "expected"),
    [
        (None, "", "", ""),
        ("http", "", "", ""),
        ("http", "http://a", "", "http://a"),
        ("tcp", "", "", "tcp://"),
        ("tls", "a", "", "tls://a"),
        ("tcp", "", "h:1", "tcp://h:1"),
        (None, "a", "", "a"),
    ],
)
def test_older_addresses(proto: str | None, url: str, remote_addr: str, expected: str) -> None:
    assert older_address(proto, url, remote_addr) == (None, expected)


@pytest.mark.parametrize(
    ("proto", "url", "remote_addr"),
    [("http", "tcp://a:1", ""), ("http", "", "a:1"), ("tls", "https://a", ""), (None, "tcp://a:1", "b:1")],
)
def test_older_words_that_contradict_each_other(proto: str | None, url: str, remote_addr: str) -> None:
    with pytest.raises(portway.ConfigError, match=r"contradicts|remote_addr"):
        older_address(proto, url, remote_addr)


@pytest.mark.parametrize(
    "word", ["authtoken", "authtoken_from_env", "region", "proto", "remote_addr", "domain"]
)
def test_older_words_of_a_wrong_type(word: str) -> None:
    for call in (portway.forward, portway.listen):
        with pytest.raises(portway.ConfigError, match=word):
            call("localhost:1", **{word: 5})  # pyright: ignore[reportArgumentType, reportCallIssue]


LOOK = """
import sys, portway
assert not [name for name in sys.modules if name.startswith("portway.")], "import portway is not light"
agent = portway.default_agent
heavy = {"sqlalchemy", "cryptography", "structlog", "alembic", "rich", "click"}
print(agent, sorted(set(sys.modules) & heavy))
"""


@pytest.mark.row("G-030")
def test_importing_is_light_and_needs_no_token(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "<Agent not connected> []\n"


@pytest.mark.row("G-024")
def test_the_version_is_that_of_the_package() -> None:
    assert portway.__version__ == version("portway")


def test_every_public_name_can_be_had_and_is_documented() -> None:
    for name in portway.__all__:
        assert getattr(portway, name) is not None
        value = getattr(portway, name)
        if isinstance(value, type) or callable(value):
            assert value.__doc__, name
    assert set(dir(portway)) == set(portway.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = portway.nonsense  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
