"""``portway admin``: accounts, their keys, names and addresses, of the service on this machine."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from portway.cli.table import show_table
from portway.errors import ConfigError
from portway.model.address import ReservedAddr
from portway.model.domain import ReservedDomain
from portway.model.entities import Account, ApiKey, Credential
from portway.model.ip import IpRestriction
from portway.paths import default_data_dir
from portway.server.parsers import database_url
from portway.server.where import VARIABLE as DATABASE_VARIABLE

if TYPE_CHECKING:
    from portway.server.admin import Context

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., object])
Key = Credential | ApiKey

EXAMPLES = """\b
Examples:
  portway admin account add alice
  portway admin token add --account alice --description laptop
  portway admin token list
  portway admin token revoke cr_…
  portway admin domain add app.example.com --account alice
  portway admin address add --account alice

The commands work on the store in the data folder. A running service follows within a second:
sessions of a revoked authtoken end."""


class Target:
    """Which store, and how to print. The group's options and a command's own both set it."""

    def __init__(self) -> None:
        """Start from the defaults."""
        self.data_dir = default_data_dir()
        self.database_url = os.environ.get(DATABASE_VARIABLE, "")
        self.as_json = False

    def run(self, work: "Callable[[Context], Awaitable[T]]", *, with_names: bool = False) -> T:
        """Do some work on the store, perhaps with the names of its service. Raises PortwayError."""
        # Importing the database library takes a second; help must not wait for it.
        from portway.server import admin as server_admin

        return server_admin.run(self.data_dir, work, database_url=self.database_url, with_names=with_names)

    def show(self, rows: Sequence[dict[str, object]], nothing: str) -> None:
        """Print rows: a table for a person, a JSON list for a program."""
        if self.as_json:
            click.echo(json.dumps(list(rows), indent=2))
        elif not rows:
            click.echo(nothing)
        else:
            show_table(rows)

    def show_issued(self, row: dict[str, object], token: str, what: str) -> None:
        """Print a fresh key. A program gets one JSON object, a pipe the bare token."""
        if self.as_json:
            click.echo(json.dumps({**row, "token": token}, indent=2))
        elif sys.stdout.isatty():
            click.echo(f"{what} {row['id']} of account {row['account_id']}:\n\n  {token}\n")
            click.echo("It is shown once; the store keeps only its hash.")
        else:
            click.echo(token)


def _set_data_dir(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value:
        context.ensure_object(Target).data_dir = Path(value).expanduser().absolute()


def _set_database_url(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    target = context.ensure_object(Target)
    place = "--database-url" if value else DATABASE_VARIABLE
    if value or target.database_url:
        try:
            target.database_url = database_url(value or target.database_url)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from error


def _set_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Target).as_json = True


def _options(command: Command) -> Command:
    """Add what every command takes; people write it before and behind the command's name."""
    data_dir = click.option(
        "--data-dir",
        metavar="DIR",
        expose_value=False,
        callback=_set_data_dir,
        help="Data folder of the service. [default: $XDG_DATA_HOME/portway or ~/.local/share/portway;"
        " variable: PORTWAY_DATA_DIR]",
    )
    database = click.option(
        "--database-url",
        metavar="URL",
        expose_value=False,
        callback=_set_database_url,
        help="PostgreSQL database of the service, if it does not use the file in DIR."
        f" [variable: {DATABASE_VARIABLE}]",
    )
    as_json = click.option("--json", is_flag=True, expose_value=False, callback=_set_json, help="Print JSON.")
    return data_dir(database(as_json(command)))


@click.group(
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_options
@click.pass_context
def admin(context: click.Context) -> None:
    """Manage accounts of a service, their keys, domains, TCP addresses and IP restrictions."""
    context.ensure_object(Target)


@admin.group()
def account() -> None:
    """Accounts own authtokens, API keys and names."""


@admin.group()
def token() -> None:
    """Authtokens let agents connect."""


@admin.group("api-key")
def api_key() -> None:
    """API keys open the control API."""


@admin.group()
def domain() -> None:
    """Domains are names that stay an account's."""


@admin.group()
def address() -> None:
    """TCP addresses are a host and a port that stay an account's."""


@admin.group("ip-restriction")
def ip_restriction() -> None:
    """IP restrictions say from where an account's API, agents and endpoints may be used."""


@account.command("add")
@click.argument("name")
@_options
@click.pass_obj
def account_add(target: Target, name: str) -> None:
    """Add an account."""
    from portway.server import admin as doors

    added = target.run(lambda context: doors.accounts.add(context, name))
    target.show([_account(added)], "")


@account.command("plan")
@click.argument("key", metavar="ID|NAME")
@click.argument("plan")
@_options
@click.pass_obj
def account_plan(target: Target, key: str, plan: str) -> None:
    """Put an account on a plan; `portway serve --plan-limits` says what plans include."""
    from portway.server import admin as doors

    changed = target.run(lambda context: doors.accounts.set_plan(context, key, plan))
    target.show([_account(changed)], "")


@account.command("list")
@_options
@click.pass_obj
def account_list(target: Target) -> None:
    """List all accounts."""
    from portway.server import admin as doors

    target.show([_account(each) for each in target.run(doors.accounts.listed)], "There is no account.")


def _key_commands(group: click.Group, noun: str, module: str) -> None:
    """Add the three commands that authtokens and API keys share."""

    def doors():
        from portway.server import admin as server_admin

        return server_admin.credentials if module == "credentials" else server_admin.api_keys

    @group.command("add", help=f"Make an {noun} and print it, once.")
    @click.option("--account", metavar="ID|NAME", help="Whose. May be left out while there is only one.")
    @click.option("--description", metavar="TEXT", default="", help="What it is for.")
    @_options
    @click.pass_obj
    def add(target: Target, account: str | None, description: str) -> None:
        issued = target.run(lambda context: doors().add(context, account, description))
        target.show_issued(_key(issued.value), issued.token, noun)

    @group.command("revoke", help=f"End an {noun}.")
    @click.argument("identifier", metavar="ID")
    @_options
    @click.pass_obj
    def revoke(target: Target, identifier: str) -> None:
        target.show([_key(target.run(lambda context: doors().revoke(context, identifier)))], "")

    @group.command("list", help=f"List every {noun}, without its secret.")
    @click.option("--account", metavar="ID|NAME", help="Only those of one account.")
    @_options
    @click.pass_obj
    def listed(target: Target, account: str | None) -> None:
        rows = target.run(lambda context: doors().listed(context, account))
        target.show([_key(each) for each in rows], f"There is no {noun}.")

    _ = add, revoke, listed


_key_commands(token, "authtoken", "credentials")
_key_commands(api_key, "API key", "api_keys")


_owner = click.option("--account", metavar="ID|NAME", help="Whose. May be left out while there is only one.")
_one_owner = click.option("--account", metavar="ID|NAME", help="Only those of one account.")
_description = click.option("--description", metavar="TEXT", default="", help="What it is for.")


@domain.command("add")
@click.argument("name")
@_owner
@_description
@_options
@click.pass_obj
def domain_add(target: Target, name: str, account: str | None, description: str) -> None:
    """Reserve a name below the service's domain, or any other, or *.NAME."""
    from portway.server.admin import operator

    added = target.run(
        lambda context: operator.add_domain(context, name, account, description), with_names=True
    )
    target.show([_domain(added)], "")


@domain.command("list")
@_one_owner
@_options
@click.pass_obj
def domain_list(target: Target, account: str | None) -> None:
    """List reserved domains; every account has a dev domain."""
    from portway.server.admin import operator

    rows = target.run(lambda context: operator.domains(context, account), with_names=True)
    target.show([_domain(each) for each in rows], "There is no reserved domain.")


@domain.command("remove")
@click.argument("key", metavar="ID|NAME")
@_options
@click.pass_obj
def domain_remove(target: Target, key: str) -> None:
    """Give a name back: anybody may have it then."""
    from portway.server.admin import operator

    removed = target.run(lambda context: operator.remove_domain(context, key), with_names=True)
    target.show([_domain(removed)], "")


@address.command("add")
@_owner
@_description
@_options
@click.pass_obj
def address_add(target: Target, account: str | None, description: str) -> None:
    """Reserve a TCP address, drawn at random."""
    from portway.server.admin import operator

    added = target.run(lambda context: operator.add_address(context, account, description), with_names=True)
    target.show([_address(added)], "")


@address.command("list")
@_one_owner
@_options
@click.pass_obj
def address_list(target: Target, account: str | None) -> None:
    """List reserved TCP addresses."""
    from portway.server.admin import operator

    rows = target.run(lambda context: operator.addresses(context, account), with_names=True)
    target.show([_address(each) for each in rows], "There is no reserved address.")


@address.command("remove")
@click.argument("key", metavar="ID|HOST:PORT")
@_options
@click.pass_obj
def address_remove(target: Target, key: str) -> None:
    """Give a TCP address back, for good."""
    from portway.server.admin import operator

    removed = target.run(lambda context: operator.remove_address(context, key), with_names=True)
    target.show([_address(removed)], "")


@ip_restriction.command("list")
@_one_owner
@_options
@click.pass_obj
def ip_restriction_list(target: Target, account: str | None) -> None:
    """List IP restrictions. Accounts make them by the API."""
    from portway.server.admin import operator

    rows = target.run(lambda context: operator.restrictions(context, account))
    target.show([_restriction(each) for each in rows], "There is no IP restriction.")


@ip_restriction.command("lift")
@click.argument("identifier", metavar="ID")
@_options
@click.pass_obj
def ip_restriction_lift(target: Target, identifier: str) -> None:
    """Delete an IP restriction, for an account that has locked itself out."""
    from portway.server.admin import operator

    lifted = target.run(lambda context: operator.lift_restriction(context, identifier))
    target.show([_restriction(lifted)], "")


def _restriction(row: IpRestriction) -> dict[str, object]:
    return {
        "id": row.id,
        "type": row.type,
        "enforced": row.enforced,
        "account_id": row.account_id,
        "description": row.description,
        "created_at": _time(row.created_at),
    }


def _domain(row: ReservedDomain) -> dict[str, object]:
    return {
        "id": row.id,
        "domain": row.domain,
        "account_id": row.account_id,
        "description": row.description,
        "is_dev": row.is_dev,
        "created_at": _time(row.created_at),
    }


def _address(row: ReservedAddr) -> dict[str, object]:
    return {
        "id": row.id,
        "addr": row.addr,
        "account_id": row.account_id,
        "description": row.description,
        "created_at": _time(row.created_at),
    }


def _account(row: Account) -> dict[str, object]:
    return {"id": row.id, "name": row.name, "plan": row.plan, "created_at": _time(row.created_at)}


def _key(row: Key) -> dict[str, object]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "description": row.description,
        "created_at": _time(row.created_at),
        "revoked_at": _time(row.revoked_at),
    }


def _time(seconds: float | None) -> str | None:
    """Return RFC 3339 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
