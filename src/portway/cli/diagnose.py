"""`portway diagnose`: from this machine to the service step by step, and a report without secrets.

The codes are those of ngrok's agent: 8000 name, 8002 TCP, 8003 TLS, 8004 session protocol, 8005 and 8006
the proxy, 8001 the internet (asked only with --internet), 8011 IPv6.
"""

import asyncio
import json
import os
import platform
import re
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from portway.cli import flags
from portway.cli.flags import AgentCommand
from portway.cli.output import printable
from portway.errors import ConfigError, ConnectError

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.discovery import Service

INTERNET: Final = (("one.one.one.one", 443), ("dns.google", 443))
"""Asked only with --internet: hosts that are up when anything is."""
TIMEOUT: Final = 10.0
"""Seconds that a step may take."""

NO_NAME, NO_INTERNET, NO_TCP, NO_TLS, NO_SESSION, NO_PROXY_NAME, NO_PROXY, NO_IPV6 = (
    8000, 8001, 8002, 8003, 8004, 8005, 8006, 8011,
)  # fmt: skip
STEP_CODES: Final = {"tcp": NO_TCP, "tls": NO_TLS, "muxado": NO_SESSION}


@dataclass(slots=True)
class Check:
    """One step: what was tried, and how it ended. ``state`` is OK, WARN, FAIL or SKIP."""

    group: str
    what: str
    state: str = "OK"
    detail: str = ""
    code: int = 0


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

    def dump(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        checks = [asdict(check) for check in self.checks]
        for check in checks:
            check["code"] = f"ERR_NGROK_{check['code']}" if check["code"] else None
        return asdict(self) | {"checks": checks, "ok": not self.failed}


@click.command(
    cls=AgentCommand,
    epilog="""\b
Examples:
  portway diagnose
  portway diagnose --connect-url example.com:4443 --write-report report.json""",
)
@click.option("-6", "--ipv6", is_flag=True, help="Test IPv6, too.")
@click.option("-r", "--region", default="auto", hidden=True)
@click.option("--internet", is_flag=True, help="Ask hosts of the internet whether they can be reached.")
@click.option(
    "-w", "--write-report", type=click.Path(dir_okay=False, path_type=Path), help="Write a JSON report."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@flags.current("--connect-url", "HOST:PORT", "Address of the service.  [PORTWAY_CONNECT_URL]")
@flags.current("--connect-cas", "FILE", "CA certificates of the service.  [PORTWAY_CONNECT_CAS]")
@flags.current("--proxy-url", "URL", "Proxy on the way to the service.  [PORTWAY_PROXY_URL, http_proxy]")
@flags.CONFIG
def diagnose(
    ipv6: bool, region: str, internet: bool, write_report: Path | None, as_json: bool, **values: Any
) -> int:
    """Find out where the way to the service breaks: name, TCP, TLS, or the session's own protocol.

    Nobody logs in, and no host is contacted but the service (and your proxy), unless --internet says so.
    Exit status: 0 when the service can be reached, else 1.
    """
    if region not in ("auto", "all", "local"):
        click.echo("--region has no effect: a service is one address; see --connect-url", err=True)
    report = asyncio.run(examine(values, ipv6=ipv6, internet=internet))
    text = json.dumps(report.dump(), indent=2)
    if write_report is not None:
        try:
            write_report.write_text(text + "\n")
        except OSError as error:
            raise ConfigError(f"{write_report}: cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(text)
    else:
        show(report)
        if write_report is not None:
            click.echo(f"\nThe report is in {write_report}")
    return 1 if report.failed else 0


async def examine(values: "dict[str, Any]", *, ipv6: bool = False, internet: bool = False) -> Report:
    """Go step by step. Raises ConfigError when no service is known or a file is wrong."""
    from portway import Agent, __version__
    from portway.agent.config.files import load
    from portway.agent.discovery import discover
    from portway.cli.session import agent_options
    from portway.paths import bootstrap_file, default_data_dir

    config = load(values.get("config") or ())
    agent = Agent(**agent_options(values, config.settings))
    service = discover(agent.options, os.environ, bootstrap_file(default_data_dir()))
    report = Report(str(service), __version__, datetime.now(UTC).isoformat(timespec="seconds"))
    report.environment = environment(values, [str(file) for file in config.files])
    if internet:
        await _internet(report)
    await _localhost(report)
    if await _names(report, service, ipv6=ipv6):
        await _session(report, agent)
    return report


def environment(values: "dict[str, Any]", files: Sequence[str]) -> dict[str, object]:
    """Describe this machine and what was said, without anything secret."""
    variables = ("PORTWAY_CONNECT_URL", "PORTWAY_CONNECT_CAS", "PORTWAY_PROXY_URL", "http_proxy")
    secret = ("PORTWAY_AUTHTOKEN", "NGROK_AUTHTOKEN", "PORTWAY_API_KEY", "NGROK_API_KEY")
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "files": list(files),
        "flags": {name: _clean(str(value)) for name, value in values.items() if value and name != "config"},
        "variables": {name: _clean(os.environ[name]) for name in variables if os.environ.get(name)},
        "secrets_set": [name for name in secret if os.environ.get(name)],
    }


def _clean(text: str) -> str:
    """Take user and password out of a URL."""
    return re.sub(r"[^/@\s]*:?[^/@\s]*@", "…@", text)


async def _internet(report: Report) -> None:
    for host, port in INTERNET:
        check = Check("Internet", f"TCP {host}:{port}")
        report.checks.append(check)
        problem = await _dial(host, port)
        if problem:
            check.state, check.detail, check.code = "WARN", problem, NO_INTERNET


async def _localhost(report: Report) -> None:
    check = Check("Localhost", "Name resolution of localhost")
    report.checks.append(check)
    found, problem = await _resolve("localhost")
    if problem:
        check.state, check.detail = "WARN", problem
    elif not all(address.startswith("127.") or address == "::1" for address in found):
        check.state, check.detail = "WARN", f"it is {', '.join(found)}, not this machine"
    else:
        check.detail = ", ".join(found)


async def _names(report: Report, service: "Service", *, ipv6: bool) -> bool:
    """Look the names up that are needed; tell whether it is worth going on."""
    proxy = service.proxy
    if proxy is not None:
        check = Check("Service", f"Proxy {proxy.host}:{proxy.port}")
        report.checks.append(check)
        _, problem = await _resolve(proxy.host)
        if problem:
            check.state, check.detail, check.code = "FAIL", problem, NO_PROXY_NAME
        elif problem := await _dial(proxy.host, proxy.port):
            check.state, check.detail, check.code = "FAIL", problem, NO_PROXY
        return check.state == "OK"  # the proxy resolves the service's name
    check = Check("Service", f"Name resolution of {service.host}")
    report.checks.append(check)
    found, problem = await _resolve(service.host)
    if problem:
        check.state, check.detail, check.code = "FAIL", problem, NO_NAME
        return False
    check.detail = ", ".join(found)
    if ipv6:
        await _ipv6(report, service, found)
    return True


async def _ipv6(report: Report, service: "Service", found: Sequence[str]) -> None:
    check = Check("Service", "IPv6")
    report.checks.append(check)
    addresses = [address for address in found if ":" in address]
    problem = await _dial(addresses[0], service.port) if addresses else "the name has no IPv6 address"
    if problem:
        check.state, check.detail, check.code = "WARN", problem, NO_IPV6


async def _session(report: Report, agent: "Agent") -> None:
    """Connect, as far as it goes without logging in."""
    from portway.agent.diagnose import DiagnoseFailure

    steps = {step: Check("Service", what, "SKIP") for step, what in _STEPS.items()}
    report.checks += steps.values()
    try:
        result = await agent.diagnose(timeout=3 * TIMEOUT)
    except DiagnoseFailure as failure:
        for step, check in steps.items():
            if step == failure.step:
                check.state, check.detail, check.code = "FAIL", str(failure), STEP_CODES[step]
                break
            check.state = "OK"
        return
    for check in steps.values():
        check.state = "OK"
    report.region, report.latency_ms = result.region, round(result.latency * 1000, 2)


_STEPS: Final = {"tcp": "TCP connection", "tls": "TLS connection", "muxado": "Session protocol"}


async def _resolve(host: str) -> tuple[list[str], str]:
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


async def _dial(host: str, port: int) -> str:
    """Connect and let go; return what went wrong, "" for nothing."""
    from portway.net.dial import dial

    try:
        transport, _ = await dial(host, port, asyncio.Protocol, timeout=TIMEOUT)
    except ConnectError as error:
        return str(error)
    transport.close()
    return ""


_COLOURS: Final = {"OK": "green", "WARN": "yellow", "FAIL": "red", "SKIP": "bright_black"}
WIDTH: Final = 48


def show(report: Report) -> None:
    """Print the report for a person."""
    click.echo(click.style("Testing the way to the service", bold=True) + f"  {report.connect_url}")
    group = ""
    for check in report.checks:
        if check.group != group:
            group = check.group
            click.echo(f"\n{group}")
        state = click.style(check.state, fg=_COLOURS[check.state], bold=True)
        click.echo(f"  {printable(check.what):<{WIDTH}} [ {state} ]")
        if check.state in ("WARN", "FAIL"):
            code = f"  ERR_NGROK_{check.code}" if check.code else ""
            click.echo(f"    └─ {printable(check.detail)}{code}")
    click.echo()
    if report.failed:
        click.echo(click.style("The service cannot be reached.", fg="red", bold=True))
    else:
        region = f"region {printable(report.region)}, " if report.region else ""
        click.echo(
            click.style("The service can be reached", fg="green") + f": {region}{report.latency_ms:g} ms"
        )
