"""From a description to an endpoint: policies from files and addresses, TLS of upstreams and visitors."""

import asyncio
import http.server
import ssl
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from portway.agent.config.model import EndpointConfig, Termination
from portway.cli.endpoints import POLICY_LIMIT, check, policy_of, put_online, termination_of
from portway.errors import ConfigError, PortwayError


class Recorder:
    """An agent that writes down what it is asked."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    async def forward(self, upstream: Any, **options: Any) -> None:
        await asyncio.sleep(0)
        self.said = {"upstream": upstream, **options}


async def online(endpoint: EndpointConfig) -> dict[str, Any]:
    agent: Any = Recorder()
    await put_online(agent, endpoint)
    return agent.said


async def test_everything_reaches_the_agent() -> None:
    said = await online(
        EndpointConfig(
            name="n", proto="tcp", upstream="22", url="tcp://h:1", description="d", metadata="m",
            bindings=("public",), pooling_enabled=True, traffic_policy="{}", modules={"IPRestriction": {}},
        )
    )  # fmt: skip
    assert repr(said.pop("upstream")) == "Upstream('22')"
    assert said == {
        "url": "tcp://h:1", "proto": "tcp", "name": "n", "description": "d", "metadata": "m",
        "bindings": ("public",), "pooling_enabled": True, "traffic_policy": "{}",
        "agent_tls_termination": None, "modules": {"IPRestriction": {}},
    }  # fmt: skip
    assert (await online(EndpointConfig(upstream="80", url="a.test")))["proto"] is None


@pytest.mark.row("K-28")
@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (EndpointConfig(upstream="0"), "'0' is not a port"),
        (EndpointConfig(proto="tcp", upstream="x"), "needs host:port"),
        (EndpointConfig(upstream="file:///nowhere"), "no such folder"),
        (EndpointConfig(upstream="80", url="htps://x"), "unsupported endpoint URL scheme: htps"),
        (
            EndpointConfig(upstream="80", traffic_policy_file=Path("/nowhere.yml")),
            "traffic policy /nowhere.yml: cannot be read",
        ),
        (
            EndpointConfig(upstream="80", tls_verify_cas=Path("/nowhere.pem")),
            "/nowhere.pem: these CA certificates",
        ),
        (
            EndpointConfig(
                proto="tls", upstream="80", termination=Termination(certificate=Path("/x"), key=Path("/y"))
            ),
            "/x",
        ),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_connected(endpoint: EndpointConfig, said: str) -> None:
    with pytest.raises(PortwayError) as caught:
        check(endpoint)
    assert said in str(caught.value)


def test_what_is_right_passes() -> None:
    for endpoint in (
        EndpointConfig(upstream="80"),
        EndpointConfig(proto="tcp", upstream="22", url="tcp://h:1"),
        EndpointConfig(upstream="80", labels={"edge": "edgtcp_1"}),
    ):
        check(endpoint)


async def test_an_authority_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match=r"ca\.pem: these CA certificates cannot be used"):
        await online(EndpointConfig(upstream="80", tls_verify_cas=tmp_path / "ca.pem"))


def test_tls_that_ends_here(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("A")
    ends = Termination(certificate=tmp_path / "a.pem", key=b"K", authorities=(b"X", tmp_path / "a.pem"))
    made = termination_of(EndpointConfig(proto="tls", upstream="1", termination=ends))
    assert made is not None
    assert (made.certificate, made.private_key, made.client_cas) == (b"A", b"K", b"X\nA")
    assert termination_of(EndpointConfig()) is None


async def test_a_policy_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "policy.yml"
    file.write_text("on_http_request: []\n")
    assert await policy_of(EndpointConfig(traffic_policy_file=file)) == "on_http_request: []\n"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        await policy_of(EndpointConfig(traffic_policy_file=file))
    file.write_bytes(b" " * (POLICY_LIMIT + 1))
    with pytest.raises(ConfigError, match=f"larger than {POLICY_LIMIT} bytes"):
        await policy_of(EndpointConfig(traffic_policy_file=file))
    with pytest.raises(ConfigError, match="cannot be read"):
        await policy_of(EndpointConfig(traffic_policy_file=tmp_path / "none"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    (tmp_path / "policy.yml").write_text("on_tcp_connect: []\n")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        timeout = 20

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(20)


async def test_a_policy_from_an_address(site: str) -> None:
    said = await policy_of(EndpointConfig(traffic_policy_url=f"{site}/policy.yml"))
    assert said == "on_tcp_connect: []\n"
    with pytest.raises(ConfigError, match="404"):
        await policy_of(EndpointConfig(traffic_policy_url=f"{site}/none.yml"))
    with pytest.raises(ConfigError, match="an http:// or https:// URL is wanted"):
        await policy_of(EndpointConfig(traffic_policy_url="file:///etc/passwd"))


def test_an_upstream_is_not_verified_unless_asked() -> None:
    async def contexts() -> list[ssl.VerifyMode]:
        found: list[ssl.VerifyMode] = []
        for verify in (False, True):
            said = await online(EndpointConfig(upstream="443", tls_verify=verify))
            found.append(said["upstream"]._spec.tls_context.verify_mode)  # pyright: ignore[reportPrivateUsage]
        return found

    assert asyncio.run(contexts()) == [ssl.CERT_NONE, ssl.CERT_REQUIRED]
