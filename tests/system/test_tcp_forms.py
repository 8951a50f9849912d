"""docs/tcp.md: every line of its tables is run, with ports that are free here.

Those of SSH are run in tests/system/test_ssh_gateway.py, where OpenSSH and its keys are.
"""

import ast
import asyncio
import inspect
import re
import shlex
import socketserver
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.kit.eventually import eventually
from tests.kit.product import START, AgentProcess, Service, running_service
from tests.kit.rest import Rest
from tests.kit.traffic import visitor

import portway
from portway.agent import default
from portway.agent.sync import farewell
from portway.codec.proxy_protocol import decode

pytestmark = pytest.mark.xdist_group("tcp forms")

PAGE = Path(__file__).parent.parent.parent / "docs" / "tcp.md"
PROGRAMS = ("command line", "file, version 2", "file, version 3")
"""Forms that start a process of ours."""
PYTHON = ("SDK", "SDK, older form", "SDK, builders")
"""Forms that are lines of Python."""
FORMS = (*PROGRAMS, *PYTHON)
SCENARIOS = ("random", "fixed", "elsewhere", "proxy")
EXAMPLES = ("22", "3389", "192.168.1.2:5432", "8080")
"""What each row of the page has as its upstream."""

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def cells() -> dict[tuple[str, str], str]:
    """Return the code of each line of the tables, by scenario and form; "" where there is none."""
    tables = re.findall(
        r"^## .+\n\n\| form \| \|\n\|---\|---\|\n((?:\|.+\|\n)+)", PAGE.read_text(), re.MULTILINE
    )
    rows = [
        re.findall(r"^\| ([^|]+) \| (?:`(.+)`|not supported) \|$", table, re.MULTILINE) for table in tables
    ]
    assert {form for row in rows for form, _ in row} == {*FORMS, "SSH"}
    return {
        (scenario, form): cell
        for scenario, row in zip(SCENARIOS, rows, strict=True)
        for form, cell in zip((*PROGRAMS, "SSH", *PYTHON), (cell for _, cell in row), strict=True)
    }


class Stage:
    """A service, the upstreams' ports, a fixed address for each form, and the agents that run."""

    def __init__(self, service: Service, folder: Path, agents: ExitStack) -> None:
        """Reserve what is fixed."""
        self.service = service
        self._folder = folder
        self._agents = agents
        rest = Rest(service)
        self.fixed = {form: rest.call("POST", "/reserved_addrs", {}).body["addr"] for form in FORMS}
        self._urls: dict[tuple[str, str], str] = {}

    def url(self, scenario: str, form: str, ports: dict[str, str]) -> str:
        """Return the public URL of a cell of a program; start what it says, once."""
        if (scenario, form) not in self._urls:
            if form == "command line":
                agent = AgentProcess(self._folder, self.service)
                self._agents.callback(agent.kill)
                words = shlex.split(self.filled(scenario, form, ports))
                self._urls[scenario, form] = agent.start(*words[1:])
            else:
                self._start_file(form, ports)
        return self._urls[scenario, form]

    def filled(self, scenario: str, form: str, ports: dict[str, str]) -> str:
        """Return what a cell says, with the addresses that there are here."""
        example = EXAMPLES[SCENARIOS.index(scenario)]
        cell = re.sub(rf"(?<!\d){re.escape(example)}(?!\d)", ports[scenario], cells()[scenario, form])
        assert ports[scenario] in cell
        return cell.replace("localhost:20011", self.fixed[form])

    def _start_file(self, form: str, ports: dict[str, str]) -> None:
        """Start one agent with all the cells of a form, as a file of theirs."""
        file = self._folder / f"{form[-1]}.yml"  # a comma would part two files
        filled = [self.filled(scenario, form, ports) for scenario in SCENARIOS]
        if form == "file, version 2":
            names = list(SCENARIOS)
            lines = ["version: 2", "tunnels:", *(f"  {n}: {c}" for n, c in zip(names, filled, strict=True))]
        else:
            names = [re.findall(r"name: (\w+)", cell)[0] for cell in filled]
            lines = ["version: 3", "endpoints:", *(f"  - {cell}" for cell in filled)]
        file.write_text("\n".join(lines) + "\n")
        agent = AgentProcess(self._folder, self.service)
        self._agents.callback(agent.kill)
        agent.start("start", "--all", "--config", str(file))

        def started() -> dict[str, str]:
            found = {str(each["name"]): str(each["url"]) for each in agent.records() if each.get("url")}
            return found if len(found) == len(SCENARIOS) else {}

        urls = eventually(started, "all endpoints of the file are online", timeout=START)
        for scenario, name in zip(SCENARIOS, names, strict=True):
            self._urls[scenario, form] = urls[name]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    folder = tmp_path_factory.mktemp("tcp-forms")
    with running_service(folder) as service, ExitStack() as agents:
        yield Stage(service, folder, agents)


@asynccontextmanager
async def said_in_python(form: str, line: str) -> AsyncGenerator[str]:
    """Run a line of Python as the page says that it is run; give the public URL."""
    if form == "SDK, older form":
        made = await asyncio.to_thread(eval, line, {"portway": portway})
        try:
            yield made.url()
        finally:
            await asyncio.to_thread(farewell)
        return
    names: dict[str, Any] = {"portway": portway}
    if form == "SDK, builders":
        (before,) = re.findall(r"`session` is `(.+?)`", PAGE.read_text())
        names["session"] = await run(before, names)
    made = await run(line, names)
    try:
        yield made.url()
    finally:
        await made.agent.disconnect()


async def run(line: str, names: dict[str, Any]) -> Any:
    """Evaluate an expression that may await."""
    code = compile(line, "docs/tcp.md", "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    value = eval(code, names)
    return await value if inspect.iscoroutine(value) else value


class Echo(socketserver.BaseRequestHandler):
    """Says back all that it hears, once it has heard everything."""

    def handle(self) -> None:
        """Serve one connection."""
        while piece := self.request.recv(65536):
            self.request.sendall(piece)


@pytest.fixture(scope="module")
def ports() -> Generator[dict[str, str]]:
    """Upstreams, one a scenario, that all forms use; "elsewhere" is another address of this machine."""
    with ExitStack() as stack:
        found: dict[str, str] = {}
        for scenario in SCENARIOS:
            host = "127.0.0.2" if scenario == "elsewhere" else "127.0.0.1"
            made = stack.enter_context(socketserver.ThreadingTCPServer((host, 0), Echo))
            thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            stack.callback(thread.join)
            stack.callback(made.shutdown)
            thread.start()
            port = made.server_address[1]
            found[scenario] = f"{host}:{port}" if scenario == "elsewhere" else str(port)
        yield found


async def check(scenario: str, form: str, url: str, stage: Stage) -> None:
    """Visit the endpoint; see that it does what its scenario promises."""
    assert url.startswith("tcp://localhost:")
    if scenario == "fixed":
        assert url == f"tcp://{stage.fixed[form]}"
    async with visitor(int(url.rpartition(":")[2])) as (reader, writer):
        mine = ":".join(map(str, writer.get_extra_info("sockname")[:2]))
        writer.write(b"hello")
        writer.write_eof()
        got = await asyncio.wait_for(reader.read(-1), 20)
    if scenario != "proxy":
        assert got == b"hello"
        return
    assert got.startswith(SIGNATURE), "the header is first"
    header = decode(got)
    assert header is not None
    assert header.source == mine
    assert got[header.size :] == b"hello"


@pytest.mark.row(
    "T-021", "T-031", "T-032", "T-051", "T-061", "T-062", "T-097", "T-020", "T-050", "T-060", "T-068"
)
@pytest.mark.parametrize("form", PROGRAMS)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_program(scenario: str, form: str, stage: Stage, ports: dict[str, str]) -> None:
    url = await asyncio.to_thread(stage.url, scenario, form, ports)
    await check(scenario, form, url, stage)


@pytest.mark.row("T-025", "T-026", "T-035", "T-036", "T-054", "T-055", "T-060", "T-065", "T-068", "T-097")
@pytest.mark.parametrize("form", PYTHON)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_line_of_python(
    scenario: str, form: str, stage: Stage, ports: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stage.service.agent_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(default, "default_agent", portway.Agent())
    monkeypatch.setattr(default, "_sync_agents", {})
    async with said_in_python(form, stage.filled(scenario, form, ports)) as url:
        await check(scenario, form, url, stage)


@pytest.mark.row("T-097")
def test_the_page_links_to_the_reference_of_each_form() -> None:
    text = PAGE.read_text()
    for form in (*FORMS, "SSH"):
        (line,) = re.findall(rf"^\| {re.escape(form)} \| .+ \| (.*\]\(.+\).*) \|$", text, re.MULTILINE)
        for file, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", line):
            headings = re.findall(r"^#+ (.+)$", (PAGE.parent / file).read_text(), re.MULTILINE)
            assert not anchor or anchor in [each.lower().replace(" ", "-").strip("`") for each in headings]
    assert cells()["proxy", "SSH"] == "", "refused with 1109"


@pytest.mark.row("T-027", "T-037", "T-058", "T-067")
async def test_there_is_no_kubernetes_operator(stage: Stage) -> None:
    assert "There is no Kubernetes operator, in none of the four" in PAGE.read_text()
    known = stage.service.bootstrap
    async with portway.Agent(
        authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=known.ca_cert
    ) as agent:
        with pytest.raises(portway.Error) as caught:
            await agent.forward(22, url="tcp://db.shop:5432", bindings="kubernetes")
    assert caught.value.code == "ERR_NGROK_15010"
