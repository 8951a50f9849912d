"""``portway api RESOURCE VERB``: every call of the control API as a command.

The commands are made from the API's own OpenAPI document (``api_document.py``), so there is one for
each call and none that the API does not know. A terminal is shown tables, a pipe gets JSON.
"""

import asyncio
import difflib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote, urlencode

import click

from portway.cli import api_client
from portway.cli.api_document import SHARED, Field, Operation, read
from portway.cli.fetch import fetched
from portway.cli.table import show_table
from portway.paths import bootstrap_file, default_data_dir

EPILOG: Final = """\b
Examples:
  portway api reserved-addrs create --description "database"
  portway api endpoints list
  portway api credentials create --acl "bind:*.example.com"
  portway api tls-certificates create --certificate-pem @chain.pem --private-key-pem @key.pem
  portway api tunnel-sessions stop ts_…

A text that begins with @ is read from that file; @@ stands for one @. Lists: give the flag again.
An API on this machine needs no flags; elsewhere set PORTWAY_API_URL and PORTWAY_API_KEY."""

HIDDEN: Final = frozenset({"uri", "metadata", "public_url", "hostport", "token"})
"""Columns that a table leaves out: long, or said elsewhere. A fresh token stands below its row."""

SAME: Final = {"secrets": "vault-secrets", "backends-static-address": "backends-static"}
"""Names of resources in ngrok's program → here."""

FILED: Final = frozenset({"traffic_policy", "value"})
"""Texts that may stand in a file, by a flag of its own."""

FETCHED: Final = frozenset({"traffic_policy"})
"""Texts that may be fetched, by a flag of its own."""

LIMIT: Final = 1_048_576
"""Bytes of a text that is fetched: more the API does not take."""

TIMEOUT: Final = 10.0
"""Seconds in which it must come."""

_TYPES: Final = {"integer": click.INT, "number": click.FLOAT}


class Words(click.Group):
    """Commands whose names may be written as several words, as ngrok's program has them.

    ``edges tcp list`` is ``edges-tcp list``, ``edge-modules tcp-edge-backend get`` the command
    ``tcp-edge-backend-get``. The help shows the one form.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command, or those that begin with this word."""
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        begin = f"{cmd_name}-"
        below = {name[len(begin) :]: each for name, each in self.commands.items() if name.startswith(begin)}
        return Words(cmd_name, commands=below) if below else None


class ApiGroup(click.Group):
    """The resources; the document is read when the first of them is asked for."""

    _operations: "dict[str, list[Operation]] | None" = None

    def operations(self) -> dict[str, list[Operation]]:
        """Return resource → its operations."""
        if self._operations is None:
            self._operations = {}
            text = resources.files("portway.cli").joinpath("openapi.json").read_bytes()
            for each in read(text):
                self._operations.setdefault(each.resource, []).append(each)
        return self._operations

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the resources."""
        return sorted(self.operations())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Make the group of one resource."""
        if cmd_name in SHARED:
            return self._shared(ctx, cmd_name)
        found = self.operations().get(SAME.get(cmd_name, cmd_name))
        if found is None:
            return None
        if len(found) == 1 and not found[0].place and found[0].verb == "list":
            return make_command(cmd_name, found[0])  # `portway api self`
        group = Words(cmd_name, help=f"Calls on {cmd_name.replace('-', ' ')}.")
        for each in found:
            group.add_command(make_command(each.verb, each))
        return group

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the resource; for a wrong word say which was perhaps meant."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            say = f"did you mean {close[0]}?" if close else "`portway api --help` names those that there are"
            raise click.UsageError(f"there is no resource {args[0]!r}; {say}", ctx)
        return super().resolve_command(ctx, args)

    def _shared(self, ctx: click.Context, begin: str) -> click.Command:
        """Make the group of the resources whose names begin so."""
        group = Words(begin, help=f"Calls on {begin}.")
        for name in (*self.operations(), *SAME):
            if name.startswith(f"{begin}-") and (found := self.get_command(ctx, name)) is not None:
                group.add_command(found, name.removeprefix(f"{begin}-"))
        return group


@click.group(
    cls=ApiGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def api() -> None:
    """Call the control API of a service."""


def make_command(name: str, operation: Operation) -> click.Command:
    """Make the command of one operation."""
    parameters: list[click.Parameter] = [click.Argument([part]) for part in operation.place]
    parameters += [_option(field, f"q{number}") for number, field in enumerate(operation.query)]
    for number, field in enumerate(operation.body):
        parameters += [_option(field, f"b{number}"), *_from_elsewhere(field, f"b{number}")]
    if operation.paged:
        parameters.append(click.Option(["--all", "every"], is_flag=True, help="Fetch every page."))
    parameters += [
        click.Option(["--api-url"], metavar="URL", help="Address of the API. [variable: PORTWAY_API_URL]"),
        click.Option(["--api-key"], metavar="KEY", help="API key. [variable: PORTWAY_API_KEY]"),
        click.Option(["--config"], metavar="FILE,…", multiple=True, help="Files that may hold the key."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON to a terminal too."),
    ]

    def run(**given: object) -> None:
        _run(operation, given)

    return click.Command(name, callback=run, params=parameters, help=operation.summary or None)


def _option(field: Field, key: str) -> click.Option:
    names = [field.flag, key]
    if field.kind == "boolean":
        names[0] = f"{field.flag}/--no-{field.flag.removeprefix('--')}"
        return click.Option(names, default=None, help=field.help or None)
    return click.Option(
        names,
        required=field.required,
        multiple=field.kind in {"list", "objects"},
        type=_TYPES.get(field.kind),
        metavar="JSON" if field.kind in {"object", "objects"} else None,
        help=field.help or None,
    )


def _from_elsewhere(field: Field, key: str) -> Iterator[click.Option]:
    """Make the flags by which a text is read from a file or fetched."""
    if field.name in FILED:
        yield click.Option([f"{field.flag}-file", f"{key}_file"], metavar="FILE", help="The same, in a file.")
    if field.name in FETCHED:
        yield click.Option([f"{field.flag}-url", f"{key}_url"], metavar="URL", help="The same, fetched now.")


def key_of_file(environ: Mapping[str, str], files: Sequence[str] = ()) -> str | None:
    """Return the API key of these configuration files or the user's own; None where a variable has one.

    Raises ConfigError for a file that is wrong.
    """
    if environ.get("PORTWAY_API_KEY") or environ.get("NGROK_API_KEY"):
        return None
    from portway.agent.config.files import load

    return load(files, environ).settings.api_key or None


def _run(operation: Operation, given: Mapping[str, object]) -> None:
    api = api_client.find(
        cast("str | None", given["api_url"]),
        cast("str | None", given["api_key"])
        or key_of_file(os.environ, cast("Sequence[str]", given["config"])),
        os.environ,
        bootstrap_file(default_data_dir()),
    )
    path = operation.path
    for name in operation.place:
        path = path.replace(f"{{{name}}}", quote(str(given[name]), safe=""))
    query = _query(_given(operation.query, given, "q"))
    target = f"{path}?{urlencode(query)}" if query else path
    body = _body(_given(operation.body, given, "b")) if operation.has_body else None
    answer = api_client.call(api, operation.method, target, body)
    if given.get("every"):
        answer = _all_pages(api, answer)
    if given["as_json"] or not sys.stdout.isatty():
        if answer is not None:
            click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _show(answer, operation)


def _given(
    fields: Sequence[Field], given: Mapping[str, object], prefix: str
) -> Iterator[tuple[Field, object]]:
    """Yield what was said on the command line, read as the field's kind."""
    for number, field in enumerate(fields):
        value = _said(field, given, f"{prefix}{number}")
        if value is None or value == ():
            continue
        if isinstance(value, tuple):
            texts = [_text(each, field) for each in cast("tuple[str, ...]", value)]
            yield field, [_json(each, field) for each in texts] if field.kind == "objects" else texts
        elif isinstance(value, str):
            text = _text(value, field)
            yield field, _json(text, field) if field.kind == "object" else text
        else:
            yield field, value


def _said(field: Field, given: Mapping[str, object], key: str) -> object:
    """Return what a flag says, or its relatives that name a file or an address."""
    file, url = cast("str | None", given.get(f"{key}_file")), cast("str | None", given.get(f"{key}_url"))
    if [given[key], file, url].count(None) < 2:
        raise click.UsageError(f"{field.flag} is said in several ways; say it in one")
    if file is not None:
        return _escaped(_read(file, f"{field.flag}-file"))
    return given[key] if url is None else _escaped(_fetch(url, f"{field.flag}-url"))


def _escaped(text: str) -> str:
    """Return a text as a flag would say it."""
    return f"@{text}" if text.startswith("@") else text


def _text(value: str, field: Field) -> str:
    """Return a text, read from a file where it names one."""
    if value.startswith("@@") or not value.startswith("@"):
        return value.removeprefix("@")
    return _read(value[1:], field.flag)


def _read(file: str, flag: str) -> str:
    try:
        return Path(file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{flag}: {file} cannot be read: {error}") from error


def _fetch(url: str, flag: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"{flag}: an http:// or https:// URL is wanted")
    try:
        return asyncio.run(fetched(url, LIMIT, TIMEOUT)).decode()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{flag}: {url} cannot be fetched: {error}") from error


def _json(text: str, field: Field) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{field.flag} takes JSON: {error}") from error


def _query(given: Iterator[tuple[Field, object]]) -> list[tuple[str, str]]:
    """Return the parameters of a query; a list is said again and again."""
    pairs: list[tuple[str, str]] = []
    for field, value in given:
        if isinstance(value, list):
            pairs += [(field.name, str(each)) for each in cast("list[object]", value)]
        else:
            pairs.append((field.name, str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs


def _body(given: Iterator[tuple[Field, object]]) -> dict[str, object]:
    """Put values where their names, with dots, say."""
    body: dict[str, object] = {}
    for field, value in given:
        place = body
        *way, last = field.name.split(".")
        for part in way:
            place = cast("dict[str, object]", place.setdefault(part, {}))
        place[last] = value
    return body


def _all_pages(api: api_client.Api, answer: object) -> object:
    """Fetch what follows a page and return all as one."""
    whole = cast("dict[str, object]", answer)
    key = _collection(whole)
    while key is not None and (following := whole.get("next_page_uri")):
        page = cast("dict[str, object]", api_client.call(api, "GET", str(following)))
        rows = cast("list[object]", whole[key])
        rows += cast("list[object]", page[key])
        whole["next_page_uri"] = page.get("next_page_uri")
    return whole


def _collection(answer: Mapping[str, object]) -> str | None:
    """Return the key of a list's rows."""
    if "next_page_uri" not in answer:
        return None
    return next((key for key, value in answer.items() if isinstance(value, list)), None)


def _show(answer: object, operation: Operation) -> None:
    if not isinstance(answer, dict) or not answer:
        click.echo("deleted" if operation.verb.startswith("delete") else "done")
        return
    whole = cast("dict[str, object]", answer)
    key = _collection(whole)
    if key is None:
        width = max(map(len, whole))
        for name, value in whole.items():
            if (text := _brief(value)) or name == "id":
                click.echo(f"{name.ljust(width)}  {text}")
        if whole.get("token"):
            click.echo("\nThe token is shown once; the service keeps only its hash.", err=True)
        return
    rows = [cast("dict[str, object]", row) for row in cast("list[object]", whole[key])]
    if not rows:
        click.echo(f"There are no {operation.resource.replace('-', ' ')}.")
        return
    columns = [name for name in rows[0] if name not in HIDDEN and any(_brief(row.get(name)) for row in rows)]
    show_table([{name: _brief(row.get(name)) for name in columns} for row in rows])
    if whole.get("next_page_uri"):
        click.echo("There are more; say --all, or --before-id with the last id.", err=True)


def _brief(value: object) -> str:
    """Say a value in a few words: of a reference its id, of a long text its first line."""
    if value is None or value == "" or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        known = cast("dict[str, object]", value)
        return str(known["id"]) if "id" in known else json.dumps(known)
    if isinstance(value, list):
        return ", ".join(_brief(each) for each in cast("list[object]", value))
    first, _, rest = str(value).partition("\n")
    return f"{first} …" if rest.strip() else first
