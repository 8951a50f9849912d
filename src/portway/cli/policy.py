"""``portway policy``: is a traffic policy valid, and what would it do to a request."""

import json
import random
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import click

from portway.cli.output import printable
from portway.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.policy.compiler import Target, World
    from portway.policy.engine import Policy
    from portway.policy.facts import Facts, Response
    from portway.policy.problem import Problem
    from portway.policy.trial import Imagined, PhaseTrial, Trial

EXAMPLES = """\b
Examples:
  portway policy check policy.yaml
  portway policy check policy.yaml --protocol tcp
  portway policy check policy.yaml --cloud --json
  portway policy test policy.yaml --request https://app.example.com/admin
  portway policy test policy.yaml --request "POST https://a.example/login" -H "User-Agent: curl/8"
  portway policy test policy.yaml --request https://a.example/ --times 31
  portway policy test policy.yaml --request tcp://a.example:22 --client-ip 10.0.0.1
  portway policy test policy.yaml --request https://a.example/ --secret prod/key=whsec_1
  portway policy test policy.yaml --request https://a.example/ --offline
  cat policy.json | portway policy check -

Nothing is contacted: neither the service nor an upstream. IP policies (ipp_…) and authorities (ca_…) are
taken to exist; an IP policy is taken to list nothing."""

CHECK_HELP = """\b
Say whether FILE (YAML or JSON; "-" reads standard input) is a valid traffic policy.

Every mistake is printed as FILE:LINE:COLUMN: ERR_NGROK_N text, and the exit code is 1. What is judged is the
policy of an endpoint: its phases and actions depend on the protocol, and the policy of a cloud endpoint must
itself end every request."""

TEST_HELP = """\b
Run the policy in FILE on an imagined request: show, rule by rule, what matches and what would happen.

The upstream is imagined too: it answers with --status and --response-header, which the rules of
on_http_response then see, and with a message of an event stream if there is --event. TLS handshakes succeed;
internal endpoints are there, unless --offline says otherwise. Rates are counted from nothing, over --times
equal requests; the last is shown. Secrets of vaults are those of --secret and --secrets-file; where their
values would be shown, *** is."""

PROTOCOLS: Final = ("https", "http", "tls", "tcp")
LARGEST: Final = 4 << 20
"""Bytes that are read of a file; a policy may be much smaller."""

_REQUEST: Final = re.compile(r"(?:([A-Za-z]+)\s+)?(\S+)")
_URL: Final = re.compile(r"(?:(https?|tls|tcp)://)?([^/?#\s]*)([/?][^\s]*)?", re.IGNORECASE)


@click.group(epilog=EXAMPLES)
def policy() -> None:
    """Check traffic policies, and try what they would do."""


def _target_options(command: Any) -> Any:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON for a program."),
        click.option(
            "--internal", is_flag=True, help="The endpoint is internal: on_tcp_connect does not exist."
        ),
        click.option("--cloud", is_flag=True, help="It is a cloud endpoint: every request must be ended."),
    ):
        command = option(command)
    return command


@policy.command(help=CHECK_HELP, short_help="Say whether a policy is valid.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--protocol", type=click.Choice(PROTOCOLS), default="https", show_default=True, help="Of the endpoint."
)
@click.option("--geoip", is_flag=True, help="Judge as where the service has a GeoIP database.")
@_target_options
def check(file: Path, protocol: str, *, geoip: bool, cloud: bool, internal: bool, as_json: bool) -> int:
    """Judge a document."""
    from portway.policy.compiler import Target

    found, problems = _compile(
        file, Target(protocol, internal=internal, cloud=cloud), _world({} if geoip else None)
    )
    if as_json:
        rows = [_problem_json(each) for each in problems]
        click.echo(json.dumps({"file": str(file), "valid": not rows, "problems": rows}))
    elif found is not None:
        click.echo(f"{file}: {click.style('valid', fg='green')}: {_summary(found)}")
    else:
        _show_problems(file, problems)
    return 1 if problems else 0


@policy.command(help=TEST_HELP, short_help="Show what a policy does to a request.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--request", "asked", required=True, metavar="[METHOD] URL", help="The request; the method is GET."
)
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="A header; repeatable.")
@click.option("-d", "--data", metavar="TEXT", help="The request's body.")
@click.option("--client-ip", default="203.0.113.1", show_default=True, help="The visitor's address.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), help="Of the endpoint, if not the URL's.")
@click.option(
    "--status", type=click.IntRange(200, 599), default=200, show_default=True, help="The upstream's status."
)
@click.option(
    "--response-header", "answered", multiple=True, metavar="NAME: VALUE", help="A header of it; repeatable."
)
@click.option("--event", metavar="TEXT", help="It answers with an event stream: the data of a message.")
@click.option("--offline", is_flag=True, help="No endpoint that forward-internal names is there.")
@click.option(
    "--geo",
    multiple=True,
    metavar="NAME=VALUE",
    help="Where the visitor is: country_code=DE, as_number=3320.",
)
@click.option(
    "--secret", "secrets", multiple=True, metavar="VAULT/NAME=VALUE", help="A secret of a vault; repeatable."
)
@click.option(
    "--secrets-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The same from a file: one a line.",
)
@click.option(
    "--times", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Equal requests."
)
@_target_options
def test(file: Path, asked: str, *, as_json: bool, cloud: bool, internal: bool, **given: Any) -> int:
    """Try a document on a request."""
    from portway.policy.compiler import Target
    from portway.policy.trial import as_json as trial_json
    from portway.policy.trial import attempt

    scheme, method, host, target = _parse_request(asked, given["protocol"])
    world = _world(_geo(given["geo"]) if given["geo"] else None)
    compiled, problems = _compile(file, Target(scheme, internal=internal, cloud=cloud), world)
    if compiled is None:
        if as_json:
            click.echo(json.dumps({"valid": False, "problems": [_problem_json(each) for each in problems]}))
        else:
            _show_problems(file, problems)
        return 1
    now = time.time()
    secrets = _secrets(given["secrets"], given["secrets_file"])

    def facts() -> "Facts":
        return _facts(scheme, method, host, target, given, now)

    def response() -> "Response":
        from portway.policy.facts import Response

        streamed = [] if given["event"] is None else [(b"content-type", b"text/event-stream")]
        return Response(given["status"], streamed + _fields(given["answered"]))

    trial = attempt(
        compiled,
        facts,
        response,
        now=now,
        times=given["times"],
        random=random.Random(),
        geo=world.geo,
        secrets=lambda vault, name: secrets.get(f"{vault}/{name}"),
        imagined=_imagined(given),
    )
    hide = _hiding(secrets)
    if as_json:
        shown: object = json.loads(json.dumps({"valid": True, **trial_json(trial)}, default=str))
        click.echo(json.dumps(_in_texts(shown, hide)))
    else:
        _show_trial(trial, scheme, given["times"], lambda text: click.echo(hide(text)))
    return 0


# -- reading


def _compile(file: Path, target: "Target", world: "World") -> "tuple[Policy | None, tuple[Problem, ...]]":
    text = _read(file)
    try:
        from portway.policy.compiler import compile_policy
        from portway.policy.problem import PolicyError

        try:
            return compile_policy(text, target, world=world), ()
        except PolicyError as error:
            return None, error.problems
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"policies need what `pip install 'portway[server]'` brings: {error.name}"
        ) from error


def _read(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read(LARGEST) if str(file) == "-" else file.read_bytes()[:LARGEST]
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}") from error


def _world(place: "dict[str, str] | None") -> "World":
    """Return what the policy may know: with a place, a database that says it of every address."""
    from portway.model.cidr import CidrSet
    from portway.policy.actions.waf import CRS
    from portway.policy.compiler import World
    from portway.policy.geo import Geo, Place

    nothing = CidrSet(()), CidrSet(())
    assumed = World(
        ip_policy=lambda name: nothing if name.startswith("ipp_") else None,
        authority=lambda _: b"",
        extra={CRS: True},
    )
    if place is None:
        return assumed
    number = place.pop("as_number", "")
    organization = place.pop("as_organization", "")
    names = {
        name: value for name, value in place.items() if name in Place.__dataclass_fields__ and name != "is_eu"
    }
    if len(names) < len(place) or (number and not number.isdecimal()):
        wrong = next((name for name in place if name not in names), "as_number")
        raise click.UsageError(
            f"--geo does not know {wrong!r}; it takes country_code, city, as_number and the like"
        )
    spot = replace(Place(), **names)
    found = Geo(spot, spot, int(number) if number else None, organization)

    def somewhere(_address: str) -> Geo:
        return found

    return replace(assumed, geo=somewhere, categories=True)


def _geo(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise click.UsageError(f"--geo takes NAME=VALUE, not {each!r}")
        found[name.strip()] = value.strip()
    return found


def _secrets(given: tuple[str, ...], file: Path | None) -> dict[str, str]:
    """Return the secrets by vault and name; either may have slashes in it."""
    lines = [*(_read(file).splitlines() if file is not None else ()), *given]
    found: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals or "/" not in name.strip("/ "):
            raise click.UsageError("a secret is written VAULT/NAME=VALUE")
        found[name.strip()] = value
    return found


def _hiding(secrets: dict[str, str]) -> "Callable[[str], str]":
    """Return what hides the values of secrets in a text, the longest first."""
    values = sorted({each for each in secrets.values() if each}, key=len, reverse=True)

    def hide(text: str) -> str:
        for value in values:
            text = text.replace(value, "***")
        return text

    return hide


def _in_texts(value: object, change: "Callable[[str], str]") -> object:
    """Return a value of JSON with all its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_in_texts(each, change) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _in_texts(each, change) for key, each in cast("dict[str, object]", value).items()}
    return value


def _parse_request(asked: str, protocol: str | None) -> tuple[str, str, str, str]:
    """Return protocol, method, host and target."""
    found = _REQUEST.fullmatch(asked.strip())
    url = _URL.fullmatch(found[2]) if found else None
    if found is None or url is None:
        _wrong(asked)
    scheme = (protocol or url[1] or "https").lower()
    path = url[3] or "/"
    return scheme, (found[1] or "GET").upper(), url[2] or "localhost", path if path[0] == "/" else "/" + path


def _wrong(asked: str) -> NoReturn:
    raise click.UsageError(f"--request takes a URL, or a method and a URL, not {asked!r}")


def _fields(lines: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"a header is written NAME: VALUE, not {line!r}")
        found.append((name.strip().encode(), value.strip().encode()))
    return found


def _facts(scheme: str, method: str, host: str, target: str, given: "dict[str, Any]", now: float) -> "Facts":
    from portway.policy.facts import Connection, Endpoint, Facts, Request

    name, _, port = host.partition(":")
    number = int(port) if port.isdecimal() else {"https": 443, "http": 80, "tls": 443}.get(scheme, 0)
    protocol: Any = scheme
    known = Facts(
        Connection(given["client_ip"], 40_000, "127.0.0.1", number, "local", now),
        Endpoint("ep_test", f"{scheme}://{host}", protocol, name, number),
    )
    if scheme in {"http", "https"}:
        fields = [(b"host", host.encode()), *_fields(given["headers"])]
        if given["data"] is not None:
            fields.append((b"content-length", str(len(given["data"].encode())).encode()))
        known.request = Request(method, scheme, host, target, fields=fields, received=now)
    return known


def _imagined(given: "dict[str, Any]") -> "Imagined":
    from portway.policy.trial import Imagined

    event = given["event"]
    body = (given["data"] or "").encode()
    return Imagined(given["offline"], None if event is None else event.encode(), body)


# -- showing


def _summary(compiled: "Policy") -> str:
    from portway.policy.phase import Phase

    counts = [(phase, len(compiled.rules(phase))) for phase in Phase if compiled.has(phase)]
    return (
        ", ".join(f"{count} {'rule' if count == 1 else 'rules'} in {phase}" for phase, count in counts)
        or "off"
    )


def _problem_json(problem: "Problem") -> dict[str, object]:
    return {
        "code": f"ERR_NGROK_{problem.code}",
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
    }


def _show_problems(file: Path, problems: "tuple[Problem, ...]") -> None:
    for each in problems:
        place = click.style(f"{file}:{each.line}:{each.column}:", bold=True)
        code = click.style(f"ERR_NGROK_{each.code}", fg="red")
        path = f"{each.path}: " if each.path else ""
        click.echo(f"{place} {code} {printable(path + each.message)}")


_MARKS: Final = {
    "matched": ("✓", "green"),
    "no match": ("·", "bright_black"),
    "error": ("!", "red"),
    "not reached": (" ", "bright_black"),
}


def _show_trial(trial: "Trial", scheme: str, times: int, say: "Callable[[str], None]") -> None:
    from portway.policy.trial import event_of, told
    from portway.policy.verdict import Continue, Respond

    for phase in trial.phases:
        _show_phase(phase, say)
    subject = "The connection" if scheme in {"tcp", "tls"} else "The request"
    if times > 1:
        subject += f", the last of {times},"
    verdict = trial.verdict
    end = "goes on to the upstream" if isinstance(verdict, Continue) else told(verdict)
    say(click.style(f"{subject} {end}.", bold=True))
    if isinstance(verdict, Respond) and verdict.message:
        say("  " + printable(verdict.message))
    request = trial.facts.request
    if isinstance(verdict, Continue) and request is not None and request.edited:
        say(f"The upstream gets {printable(request.method)} {printable(request.url)} with")
        _show_fields(request.fields, say)
    if trial.answer is not None:
        status, fields, body = trial.answer
        say(f"The visitor gets {status}" + (" with" if fields or body else ""))
        _show_fields(fields, say)
        if body:
            say("\n  " + printable(body[:500].decode("utf-8", "replace").replace("\n", "\n  "), keep="\n"))
    message = event_of(trial)
    if message is not None:
        say("and a message with the data\n  " + printable(message.replace("\n", "\n  "), keep="\n"))


def _show_phase(phase: "PhaseTrial", say: "Callable[[str], None]") -> None:
    from portway.policy.trial import told

    say(click.style(str(phase.phase), bold=True) + f": {told(phase.verdict)}")
    codes = {problem.detail: problem.code for problem in phase.problems}
    shown = {rule.detail for rule in phase.rules}
    for rule in phase.rules:
        mark, colour = _MARKS[rule.result]
        title = f"{rule.path} {rule.name}".strip()
        result = rule.result
        if result == "error":
            result += ", and nobody passes a guard" if rule.guards else ", so it does not match"
        say(click.style(f"  {mark} {printable(title)}: {result}", fg=colour))
        if rule.detail:
            code = codes.get(rule.detail, 0)
            say(
                "      "
                + click.style(f"ERR_NGROK_{code} " if code else "", fg="red")
                + printable(rule.detail)
            )
        if rule.actions:
            say("      ran " + ", ".join(rule.actions))
    for detail, code in codes.items():
        if detail in shown:
            continue
        say(click.style(f"  ERR_NGROK_{code} ", fg="red") + printable(detail))
    if phase.vars:
        say("  vars " + printable(json.dumps(phase.vars, default=str, ensure_ascii=False)))
    for entry in phase.logs:
        say("  log " + printable(json.dumps(entry, default=str, ensure_ascii=False)))


def _show_fields(fields: "list[tuple[bytes, bytes]]", say: "Callable[[str], None]") -> None:
    for name, value in fields:
        say("  " + printable(f"{name.decode('latin-1')}: {value.decode('utf-8', 'replace')}"))
