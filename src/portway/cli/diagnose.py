"""`portway diagnose`: from this machine to the service step by step, and a report without secrets.

What is checked stands in `diagnosis`; here are the flags and what people are shown.
"""

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from portway.cli import flags
from portway.cli.diagnosis import Report, examine
from portway.cli.flags import AgentCommand
from portway.cli.output import printable
from portway.errors import ConfigError


@click.command(
    cls=AgentCommand,
    epilog="""\b
Examples:
  portway diagnose
  portway diagnose --connect-url example.com:4443 --write-report report.json""",
)
@click.option("-6", "--ipv6", is_flag=True, help="Test IPv6, too.")
@click.option(
    "-r", "--region", default="auto", metavar="REGION",
    help="`all` tests each address of the service, eu that of connect.eu.…  [default: auto]",
)  # fmt: skip
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
    report = asyncio.run(examine(values, ipv6=ipv6, internet=internet, region=region))
    text = json.dumps(report.dump(), indent=2)
    if region == "all" and write_report is None:
        write_report = _beside()
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


def _beside() -> Path:
    """Return a new file of this user's, for a report that nobody has named a file for."""
    descriptor, name = tempfile.mkstemp(prefix="portway-diagnose-", suffix=".json")
    os.close(descriptor)
    return Path(name)


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
