"""`portway http`, `tcp` and `tls` as a person or a script runs them."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.kit.eventually import eventually
from tests.kit.product import AgentProcess, Service, agent_beside
from tests.kit.proxies import Login, little_proxy
from tests.kit.rest import Rest
from tests.kit.terminal import Terminal
from tests.kit.traffic import echo, get, hello_http, server, visitor

from portway.cli.main import run

pytestmark = pytest.mark.xdist_group("cli")


@contextlib.contextmanager
def on_terminal(service: Service, *command: str, columns: int = 110) -> Generator[Terminal]:
    terminal = Terminal(*command, columns=columns, environ=service.agent_environment())
    try:
        yield terminal
    finally:
        terminal.close()


async def shown(terminal: Terminal, *parts: str) -> str:
    """Wait until the screen shows all the parts; the upstream is served meanwhile."""

    def look() -> str:
        text = terminal.text()
        assert all(part in text for part in parts), text
        return text

    return await asyncio.to_thread(eventually, look, f"the screen shows {parts}", timeout=20)


@pytest.mark.row("K-15")
async def test_the_status_screen_of_an_http_endpoint(service: Service) -> None:
    port = service.bootstrap.http_port
    async with server(hello_http) as upstream:
        url = f"http://screen.portway.localhost:{port}"
        with on_terminal(service, "http", str(upstream), "--url", url) as terminal:
            await shown(terminal, "online", f"{url} -> http://localhost:{upstream}")
            assert (await get(url + "/some/page", port)).status == 200
            text = await shown(terminal, "GET     /some/page", "200 OK", "Latency", "ms")
            assert "Account                       default" in text
            assert "Region                        local" in text
            assert "Ctrl+C to quit" in text
            assert await asyncio.to_thread(terminal.interrupt) == 0
            assert terminal.raw.rindex(b"\x1b[?1049l") > terminal.raw.rindex(b"\x1b[?1049h")
            assert b"Traceback" not in terminal.raw
        assert (await get(url, port)).status == 404, "offline after Ctrl+C"


async def test_a_window_that_changes_its_size(service: Service) -> None:
    """From 200 columns to 40 and back, in one life of the agent."""
    url = f"http://a-long-name-for-a-window.portway.localhost:{service.bootstrap.http_port}"
    with on_terminal(service, "http", "9", "--url", url, "--qr", columns=200) as terminal:
        text = await shown(terminal, "online", f"{url} -> http://localhost:9", "too small for the QR")
        assert "Session Status                online" in text
        for columns in (80, 40, 200):
            terminal.resize(columns, 45)
            parts = ("online", "-> http://localhost:9", url[:40], url[40:], "█▀▀▀▀▀▀▀█", "HTTP Requests")
            text = await shown(terminal, *parts)
            assert max(map(len, text.splitlines())) <= columns
            assert text.count("Session Status") == 1, "nothing of the other size is left"
        assert await asyncio.to_thread(terminal.interrupt) == 0


async def test_a_narrow_terminal_still_shows_the_address(service: Service) -> None:
    with on_terminal(service, "tcp", "9", columns=44) as terminal:
        await shown(terminal, "online", "tcp://localhost:", "localhost:9")


def test_a_refusal_ends_on_the_plain_terminal(service: Service) -> None:
    with on_terminal(service, "http", "80", "--authtoken", "nobody_knows") as terminal:
        assert terminal.wait() == 1
        assert "ERR_NGROK_107" in terminal.text()
        assert "Traceback" not in terminal.text()


@pytest.mark.row("T-020", "K-14", "K-15")
async def test_piped_it_writes_plain_lines_and_ends_in_order(service: Service) -> None:
    async with server(echo) as upstream, agent_beside(service, "tcp", str(upstream)) as (agent, url):
        port = int(url.rpartition(":")[2])
        assert url == f"tcp://localhost:{port}"
        async with visitor(port) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
        closed = await asyncio.to_thread(
            eventually,
            lambda: [r for r in agent.records() if r["msg"] == "connection closed"],
            "the end of the connection is logged",
        )
        assert (closed[0]["bytes_in"], closed[0]["bytes_out"]) == (5, 5)
        assert await asyncio.to_thread(agent.stop) == 0
        assert "\x1b" not in agent.log
        assert [r["msg"] for r in agent.records()][-1] == "stopped"
    with pytest.raises(OSError, match=r"."):
        async with visitor(port):
            pass


@pytest.mark.row("K-14")
async def test_lines_for_grep_are_the_default_in_a_pipe(service: Service, tmp_path: Path) -> None:
    agent = AgentProcess(tmp_path, service)
    try:
        agent.spawn("http", "9", environ=service.agent_environment())
        await asyncio.to_thread(
            eventually, lambda: "url=https://" in agent.log, "the URL is logged", timeout=20
        )
        assert (
            'lvl=info msg="started tunnel" name=command_line addr=http://localhost:9 url=https://'
            in agent.log
        )
    finally:
        agent.kill()


def test_an_agent_that_is_told_nothing_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PORTWAY_CONNECT_URL", "PORTWAY_AUTHTOKEN", "NGROK_AUTHTOKEN", "PORTWAY_CONNECT_CAS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(tmp_path))
    assert run(["http", "80"]) == 1
    text = capsys.readouterr().err
    assert "--connect-url" in text or "PORTWAY_CONNECT_URL" in text


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (["tcp", "nonsense:port"], "'port' is not a port"),
        (["http", "ftp://x"], "ftp"),
        (["http", "80", "--log", "/no/such/folder/file"], "--log: cannot write"),
    ],
)
def test_wrong_arguments_are_one_clear_line(
    service: Service, command: list[str], part: str, tmp_path: Path
) -> None:
    agent = AgentProcess(tmp_path, service)
    agent.spawn(*command, environ=service.agent_environment())
    assert eventually(lambda: agent.exited() is not None, "it ends", timeout=20)
    assert agent.exited() == 1
    errors = [line for line in agent.log.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert part in errors[0]
    assert "Traceback" not in agent.log


@pytest.mark.row("K-01")
async def test_the_https_url_that_is_printed_works(service: Service) -> None:
    known = service.bootstrap
    trust = ssl.create_default_context(cafile=known.ca_cert)
    async with server(hello_http) as upstream, agent_beside(service, "http", str(upstream)) as (_, url):
        assert url.startswith("https://")
        answer = await get(f"{url}/page", known.https_port, tls=trust)
        assert (answer.status, answer.body.startswith(b"hello /page")) == (200, True)


@pytest.mark.row("K-22")
async def test_an_agent_that_is_not_to_be_managed(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "agent.yml"
    file.write_text("version: 3\nagent: {remote_management: false, metadata: alone}\n")
    agent, api = AgentProcess(tmp_path, service), Rest(service)
    agent.spawn("start", "--none", "--config", str(file), environ=service.agent_environment())
    try:

        def listed() -> str:
            found = api.done("GET", "/tunnel_sessions")["tunnel_sessions"]
            return next((str(each["id"]) for each in found if each["metadata"] == "alone"), "")

        session = await asyncio.to_thread(eventually, listed, "the session is listed", timeout=20)
        for what, code in (("restart", "804"), ("stop", "805"), ("update", "806")):
            assert api.call("POST", f"/tunnel_sessions/{session}/{what}", {}).code == code
        assert agent.exited() is None
    finally:
        agent.kill()


@pytest.mark.row("K-14")
async def test_json_lines_parse(service: Service) -> None:
    async with agent_beside(service, "tls", "9", "--url", "tls://lines.portway.localhost") as (agent, url):
        assert url.startswith("tls://lines.portway.localhost")
        assert all(json.loads(line) for line in agent.log.splitlines())


@pytest.mark.row("K-04")
async def test_older_flags_and_a_policy_do_what_they_say(service: Service, tmp_path: Path) -> None:
    """Modules and the document hold together: addresses, header fields, and a rule that denies."""
    policy = tmp_path / "policy.yml"
    policy.write_text(
        "on_http_request:\n  - expressions: [\"req.url.path == '/closed'\"]\n    actions: [{type: deny}]\n"
    )
    flags = ["--traffic-policy-file", str(policy), "--cidr-allow", "127.0.0.0/8", "--host-header", "rewrite"]
    async with server(hello_http) as upstream:
        command = ("http", str(upstream), "--url", "http://", *flags)
        async with agent_beside(service, *command) as (agent, url):
            port = service.bootstrap.http_port
            answer = await get(f"{url}/open", port)
            assert answer.status == 200
            assert f"host=localhost:{upstream}".encode() in answer.body
            assert (await get(f"{url}/closed", port)).status == 403
            assert "--cidr-allow is deprecated; write a traffic policy" in agent.log


@pytest.mark.row("T-013", "K-04")
async def test_networks_of_a_tcp_endpoint(service: Service) -> None:
    flags = ("--cidr-allow", "127.0.0.0/8", "--cidr-deny", "127.0.0.2/32")
    async with server(echo) as upstream, agent_beside(service, "tcp", str(upstream), *flags) as (agent, url):
        port = int(url.rpartition(":")[2])
        assert "is deprecated" not in agent.log
        for source, answer in (("127.0.0.1", b"hello"), ("127.0.0.2", b"")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            got = b""
            with contextlib.suppress(ConnectionError), contextlib.closing(writer):
                writer.write(b"hello")
                writer.write_eof()
                got = await asyncio.wait_for(reader.read(-1), 20)
            assert got == answer


ENDPOINTS = """\
version: 3
endpoints:
  - {{name: web, url: "http://", upstream: {{url: "{web}"}}}}
  - {{name: taken, url: "tcp://localhost:{port}", upstream: {{url: 9}}}}
"""


def low_port(service: Service) -> int:
    """Return a port of the service's TCP endpoints, which nobody has reserved."""
    return int(service._tcp.partition("-")[0])  # pyright: ignore[reportPrivateUsage]


@pytest.mark.row("K-07", "K-03")
async def test_one_endpoint_of_a_file_whose_upstream_is_a_folder(service: Service, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("from a folder")
    file = tmp_path / "agent.yml"
    file.write_text(ENDPOINTS.format(web=f"file://{tmp_path}", port=low_port(service)))
    async with agent_beside(service, "start", "web", "--config", str(file)) as (agent, url):
        answer = await get(url, service.bootstrap.http_port)
        assert (answer.status, answer.body) == (200, b"from a folder")
        (started,) = [record for record in agent.records() if record.get("url")]
        assert (started["name"], started["addr"]) == ("web", f"file://{tmp_path}")


@pytest.mark.row("K-07")
def test_one_endpoint_that_is_refused_ends_all(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "agent.yml"
    file.write_text(ENDPOINTS.format(web="9", port=low_port(service)))
    agent = AgentProcess(tmp_path, service)
    agent.spawn("start", "--all", "--config", str(file), environ=service.agent_environment())
    assert eventually(lambda: agent.exited() is not None, "it ends", timeout=20)
    assert agent.exited() == 1
    assert "ERR_NGROK_307" in agent.log


@pytest.mark.row("K-07")
def test_none_stays_connected_until_it_is_told_to_end(service: Service, tmp_path: Path) -> None:
    agent = AgentProcess(tmp_path, service)
    agent.spawn("start", "--none", environ=service.agent_environment())
    eventually(lambda: "session established" in agent.log, "it is connected", timeout=20)
    assert agent.stop() == 0
    assert "started tunnel" not in agent.log


@pytest.mark.row("K-07")
@pytest.mark.row("K-08")
@pytest.mark.parametrize("form", ["flags", "version 2", "version 3"])
async def test_a_labelled_tunnel_serves_its_edge(form: str, service: Service, tmp_path: Path) -> None:
    edge = await asyncio.to_thread(Rest(service).done, "POST", "/edges/tcp?whole=true", {})
    label = f"edge={edge['id']}"
    async with server(echo) as upstream:
        command = ["tunnel", "--label", label, str(upstream)]
        if form != "flags":
            file = tmp_path / "agent.yml"
            tunnels = f"tunnels: {{t: {{labels: [{label}], addr: {upstream}}}}}\n"
            file.write_text(f"version: {form[-1]}\n{tunnels}")
            command = ["start", "t", "--config", str(file)]
        async with agent_beside(service, *command) as (_, where):
            assert where == label
            async with visitor(int(edge["hostports"][0].rpartition(":")[2])) as (reader, writer):
                writer.write(b"hello")
                assert await asyncio.wait_for(reader.readexactly(5), 20) == b"hello"


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["nope"], "there is no endpoint 'nope' in"),
        (["nope"], "there are: taken, web"),
    ],
)
def test_names_that_cannot_be_started(
    names: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.yml"
    file.write_text(ENDPOINTS.format(web="9", port=1))
    assert run(["start", *names, "--config", str(file)]) == 1
    assert what in capsys.readouterr().err


def test_nothing_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(["start", "--all"]) == 1
    assert "there is no configuration file; `portway config check` says where" in capsys.readouterr().err


@pytest.mark.row("A18", "G-063")
@pytest.mark.parametrize(
    ("flags", "environ", "named"),
    [
        ([], {"http_proxy": "ann:secret@proxy.test:3128"}, "http_proxy"),
        ([], {"PORTWAY_PROXY_URL": "ftp://ann:secret@proxy.test"}, "PORTWAY_PROXY_URL"),
        (["--proxy-url", "ann:secret@proxy.test"], {"http_proxy": "http://proxy.test"}, "the proxy URL"),
    ],
)
def test_a_proxy_url_without_its_scheme(
    flags: list[str],
    environ: dict[str, str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(tmp_path))
    for name in ("PORTWAY_PROXY_URL", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert run(["http", "80", "--connect-url", "service.test:4443", *flags]) == 1
    text = capsys.readouterr().err
    assert named in text
    assert "http" in text
    assert "secret" not in text


@pytest.mark.row("A18")
async def test_an_endpoint_through_a_proxy(service: Service) -> None:
    """By the flag, which holds for a service on this machine too."""
    gateway = int(service.bootstrap.connect_url.rpartition(":")[2])
    login = Login("ann", "secret")
    async with (
        server(echo) as upstream,
        little_proxy("socks5", {"127.0.0.1": gateway, "localhost": gateway}, login=login) as proxy,
        agent_beside(service, "tcp", str(upstream), "--proxy-url", proxy.url("ann:secret")) as (agent, url),
    ):
        async with visitor(int(url.rpartition(":")[2])) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
        assert proxy.logins == [login]
        assert proxy.targets == [service.bootstrap.connect_url]
        assert await asyncio.to_thread(agent.stop) == 0
        assert "secret" not in agent.log
