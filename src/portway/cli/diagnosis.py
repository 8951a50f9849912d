"""What `portway diagnose` finds out: from this machine to the service, one check after the other.

The codes are those of ngrok's agent: 8000 name, 8001 the internet (asked only with --internet), 8002 TCP,
8003 TLS, 8004 the session's protocol, 8005 and 8006 the proxy, 8007 to 8009 the same three steps where no
address of the service takes them, 8010 an address that one resolver alone knows, 8011 IPv6. Nobody logs in,
and no host is asked but the service, the proxy and the resolvers that the configuration names.
"""

import asyncio
import os
import platform
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from portway.cli.resolver import Server, ask
from portway.errors import ConnectError

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.config.model import Settings
    from portway.agent.discovery import Service

INTERNET: Final = (("one.one.one.one", 443), ("dns.google", 443))
"""Asked only with --internet: hosts that are up when anything is."""
RESOLVERS: Final = (Server("1.1.1.1"), Server("8.8.8.8"))
"""Asked only with --internet, beside the system's and the configuration's."""
TIMEOUT: Final = 10.0
"""Seconds that a step may take."""

NO_NAME, NO_INTERNET, NO_PROXY_NAME, NO_PROXY, ONE_RESOLVER, NO_IPV6 = 8000, 8001, 8005, 8006, 8010, 8011
STEPS: Final = {"tcp": "TCP connection", "tls": "TLS connection", "muxado": "Session protocol"}
STEP_CODES: Final = {"tcp": 8002, "tls": 8003, "muxado": 8004}
NOWHERE: Final = {"tcp": 8007, "tls": 8008, "muxado": 8009}
"""The step that no address of the service takes → its code."""

SECRET: Final = ("authtoken", "api_key")


@dataclass(slots=True)
class Check:
    """One step: what was tried, and how it ended. ``state`` is OK, WARN, FAIL or SKIP."""

    group: str
    what: str
    state: str = "OK"
    detail: str = ""
    code: int = 0

    def wrong(self, state: str, detail: str, code: int = 0) -> None:
        """Note why it did not succeed."""
        self.state, self.detail, self.code = state, detail, code


@dataclass(slots=True)
class Report:
    """Everything that was found out."""

    connect_url: str
    version: str
    started_at: str
    environment: dict[str, object] = field(default_factory=dict[str, object])
    checks: list[Check] = field(default_factory=list[Check])
    region: str = ""
    latency_ms: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the service cannot be used."""
        return any(check.state == "FAIL" for check in self.checks)

    def check(self, group: str, what: str, state: str = "OK") -> Check:
        """Begin a check."""
        made = Check(group, what, state)
        self.checks.append(made)
        return made

    def dump(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        checks = [asdict(check) for check in self.checks]
        for check in checks:
            check["code"] = f"ERR_NGROK_{check['code']}" if check["code"] else None
        return asdict(self) | {"checks": checks, "ok": not self.failed}


async def examine(
    values: "dict[str, Any]", *, ipv6: bool = False, internet: bool = False, region: str = "auto"
) -> Report:
    """Go step by step. Raises ConfigError when no service is known or a file is wrong.

    ``region``: ``auto`` takes the way of an agent, ``all`` each address of the service by itself; any other
    is the region whose address, ``connect.REGION.…``, is tested.
    """
    from portway import Agent, __version__
    from portway.agent.config.files import load
    from portway.agent.discovery import discover
    from portway.cli.dialer import servers_of
    from portway.cli.session import agent_options
    from portway.paths import bootstrap_file, default_data_dir

    config = load(values.get("config") or ())
    options = agent_options(values, config.settings)
    options["region"] = "" if region in ("auto", "all") else region
    agent = Agent(**options)
    service = discover(agent.options, os.environ, bootstrap_file(default_data_dir()))
    report = Report(str(service), __version__, datetime.now(UTC).isoformat(timespec="seconds"))
    report.environment = environment(values, [str(file) for file in config.files], config.settings)
    if internet:
        await _internet(report)
    await _localhost(report)
    if options["region"] and not service.host.startswith("connect."):
        check = report.check("Service", f"Region {region}")
        check.wrong("WARN", f"{service.host} is one place: only connect.… has others beside it")
    servers = (*servers_of(config.settings), *(RESOLVERS if internet else ()))
    found = await _names(report, service, servers)
    if found is not None:
        if ipv6 and service.proxy is None:
            await _ipv6(report, service, found)
        await _service(report, agent, service, found if region == "all" else ())
    return report


def environment(
    values: "dict[str, Any]", files: Sequence[str], settings: "Settings | None" = None
) -> dict[str, object]:
    """Describe this machine and what was said, without anything secret."""
    variables = ("PORTWAY_CONNECT_URL", "PORTWAY_CONNECT_CAS", "PORTWAY_PROXY_URL", "http_proxy")
    secret = ("PORTWAY_AUTHTOKEN", "NGROK_AUTHTOKEN", "PORTWAY_API_KEY", "NGROK_API_KEY")
    said = (
        {}
        if settings is None
        else {name: value for name, value in asdict(settings).items() if value is not None}
    )
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "files": list(files),
        "configuration": {
            name: "set" if name in SECRET else _clean(str(value)) for name, value in said.items()
        },
        "flags": {name: _clean(str(value)) for name, value in values.items() if value and name != "config"},
        "variables": {name: _clean(os.environ[name]) for name in variables if os.environ.get(name)},
        "secrets_set": [name for name in secret if os.environ.get(name)],
    }


def _clean(text: str) -> str:
    """Take user and password out of a URL."""
    return re.sub(r"[^/@\s]*:?[^/@\s]*@", "…@", text)


async def _internet(report: Report) -> None:
    for host, port in INTERNET:
        check = report.check("Internet", f"TCP {host}:{port}")
        if problem := await dialled(host, port):
            check.wrong("WARN", problem, NO_INTERNET)
            continue
        check = report.check("Internet", f"TLS {host}:{port}")
        if problem := await dialled(host, port, ssl.create_default_context()):
            check.wrong("WARN", problem, NO_INTERNET)


async def _localhost(report: Report) -> None:
    check = report.check("Localhost", "Name resolution of localhost")
    found, problem = await resolved("localhost")
    if problem:
        check.wrong("WARN", problem)
    elif not all(address.startswith("127.") or address == "::1" for address in found):
        check.wrong("WARN", f"it is {', '.join(found)}, not this machine")
    else:
        check.detail = ", ".join(found)


async def _names(report: Report, service: "Service", servers: Sequence[Server]) -> list[str] | None:
    """Look the names up that are needed; return the service's addresses, None where it ends here."""
    proxy = service.proxy
    if proxy is not None:
        check = report.check("Service", f"Proxy {proxy.host}:{proxy.port}")
        _, problem = await resolved(proxy.host)
        if problem:
            check.wrong("FAIL", problem, NO_PROXY_NAME)
        elif problem := await dialled(proxy.host, proxy.port):
            check.wrong("FAIL", problem, NO_PROXY)
        return [] if check.state == "OK" else None  # the proxy resolves the service's name
    check = report.check("Service", f"Name resolution of {service.host}")
    answers = {"the system": await resolved(service.host)}
    if not _is_address(service.host):
        for server in servers:
            answers[str(server)] = await ask(service.host, server)
    known = {who: found for who, (found, _) in answers.items() if found}
    problems = [f"{who}: {problem}" for who, (_, problem) in answers.items() if problem]
    if not known:
        check.wrong("FAIL", "; ".join(problems), NO_NAME)
        return None
    together = list(dict.fromkeys(address for found in known.values() for address in found))
    check.detail = ", ".join(together)
    if problems:
        check.wrong("WARN", "; ".join(problems), NO_NAME)
    _lonely(report, known)
    return together


def _lonely(report: Report, known: dict[str, list[str]]) -> None:
    """Note addresses that one resolver alone has given, where several were asked."""
    if len(known) < 2:
        return
    check = report.check("Service", "Resolvers agree")
    seen = [address for found in known.values() for address in found]
    lonely = [
        f"{address}: only {who}"
        for who, found in known.items()
        for address in found
        if seen.count(address) == 1
    ]
    if lonely:
        check.wrong("WARN", "; ".join(lonely), ONE_RESOLVER)


async def _ipv6(report: Report, service: "Service", found: Sequence[str]) -> None:
    check = report.check("Service", "IPv6")
    addresses = [address for address in found if ":" in address]
    problem = await dialled(addresses[0], service.port) if addresses else "the name has no IPv6 address"
    if problem:
        check.wrong("WARN", problem, NO_IPV6)


async def _service(report: Report, agent: "Agent", service: "Service", addresses: Sequence[str]) -> None:
    """Connect, as far as it goes without logging in: as an agent does, or to each of these addresses."""
    from portway.agent.url import join_host_port

    if not addresses:
        await _session(report, agent, "", "Service")
        return
    reached: list[str] = []
    began = len(report.checks)
    for address in addresses:
        where = join_host_port(address, service.port)
        reached.append(await _session(report, agent, where, f"Service at {where}"))
    if "" in reached:  # one is enough: the others are worth knowing
        for check in report.checks[began:]:
            check.state = "WARN" if check.state == "FAIL" else check.state
        return
    furthest = max(reached, key=list(STEPS).index)
    check = report.check("Service", f"{STEPS[furthest]} with any of {len(addresses)} addresses")
    check.wrong("FAIL", "none of them gets further", NOWHERE[furthest])


async def _session(report: Report, agent: "Agent", address: str, group: str) -> str:
    """Go to one address; return the step that failed, "" for none."""
    from portway.agent.diagnose import DiagnoseFailure

    steps = {step: report.check(group, what, "SKIP") for step, what in STEPS.items()}
    try:
        result = await agent.diagnose(address, timeout=3 * TIMEOUT)
    except DiagnoseFailure as failure:
        for step, check in steps.items():
            if step == failure.step:
                check.wrong("FAIL", str(failure), STEP_CODES[step])
                break
            check.state = "OK"
        return failure.step
    for check in steps.values():
        check.state = "OK"
    latency = round(result.latency * 1000, 2)
    if not report.latency_ms or latency < report.latency_ms:
        report.region, report.latency_ms = result.region, latency
    return ""


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


async def resolved(host: str) -> tuple[list[str], str]:
    """Return the addresses of a name, and why there are none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(TIMEOUT):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        return [], f"{host}: no answer within {TIMEOUT:g} s"
    except (OSError, UnicodeError) as error:
        return [], f"{host}: {getattr(error, 'strerror', '') or error}"
    return list(dict.fromkeys(str(each[4][0]) for each in found)), ""


async def dialled(host: str, port: int, context: ssl.SSLContext | None = None) -> str:
    """Connect, by TLS with a context, and let go; return what went wrong, "" for nothing."""
    from portway.net.dial import dial

    try:
        transport, _ = await dial(host, port, asyncio.Protocol, timeout=TIMEOUT)
    except ConnectError as error:
        return str(error)
    if context is not None:
        loop = asyncio.get_running_loop()
        try:
            await loop.start_tls(
                transport, asyncio.Protocol(), context, server_hostname=host, ssl_handshake_timeout=TIMEOUT
            )
        except OSError as error:
            return f"{host}:{port}: {error}"
    transport.close()
    return ""
