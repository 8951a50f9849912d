"""`portway admin`: tables for people, JSON for programs, on a real store."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.kit.product import clean_environment

from portway.cli.admin import admin
from portway.control.service import accounts, ip_policies, ip_restrictions
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.store.database import open_database
from portway.errors import ConfigError, Error
from portway.server import facts


@pytest.fixture
def data(tmp_path: Path) -> Path:
    async def make() -> None:
        async with open_database(tmp_path / "portway.db"):
            pass

    asyncio.run(make())
    return tmp_path


def run(data: Path, *args: str) -> str:
    result = CliRunner().invoke(admin, [*args, "--data-dir", str(data)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def run_json(data: Path, *args: str) -> object:
    return json.loads(run(data, *args, "--json"))


def test_accounts(data: Path) -> None:
    assert run(data, "account", "list") == "There is no account.\n"
    assert run_json(data, "account", "list") == []
    run(data, "account", "add", "alice")
    table = run(data, "account", "list").splitlines()
    assert table[0].split() == ["ID", "NAME", "PLAN", "CREATED", "AT"]
    assert "alice" in table[1]
    assert table[0].index("NAME") == table[1].index("alice")


def test_an_account_is_put_on_a_plan(data: Path) -> None:
    run(data, "account", "add", "alice")
    run(data, "account", "plan", "alice", "free")
    assert "free" in run(data, "account", "list").splitlines()[1].split()


@pytest.mark.parametrize(("group", "prefix"), [("token", "cr_"), ("api-key", "ak_")])
def test_keys_are_added_listed_and_revoked(data: Path, group: str, prefix: str) -> None:
    run(data, "account", "add", "alice")
    token = run(data, group, "add", "--account", "alice", "--description", "lap\x1btop").strip()
    listed = run_json(data, group, "list")
    assert isinstance(listed, list)
    (key,) = listed  # pyright: ignore[reportUnknownVariableType]
    assert isinstance(key, dict)
    assert key["id"] == prefix + token.partition("_")[0]
    assert key["revoked_at"] is None
    assert token not in json.dumps(key)
    table = run(data, group, "list")
    assert "lap\\x1btop" in table, "control characters are escaped"
    assert table.splitlines()[1].endswith("–")
    run(data, group, "revoke", str(key["id"]))  # pyright: ignore[reportUnknownArgumentType]
    assert not run(data, group, "list").splitlines()[1].endswith("–")


def test_a_program_gets_the_fresh_key_as_one_object(data: Path) -> None:
    run(data, "account", "add", "alice")
    issued = run_json(data, "token", "add")
    assert isinstance(issued, dict)
    assert set(issued) == {"id", "account_id", "description", "created_at", "revoked_at", "token"}  # pyright: ignore[reportUnknownArgumentType]


def test_options_may_stand_before_the_command_too(data: Path) -> None:
    result = CliRunner().invoke(admin, ["--json", "--data-dir", str(data), "account", "list"])
    assert json.loads(result.output) == []


def test_refusals(data: Path, tmp_path: Path) -> None:
    for args, error in (
        (["token", "add"], "no account yet"),
        (["token", "revoke", "cr_x"], "no authtoken 'cr_x'"),
        (["account", "add", " "], "1 to 255"),
    ):
        with pytest.raises(Error, match=error):
            run(data, *args)
    with pytest.raises(ConfigError, match="no service has run"):
        run(tmp_path / "elsewhere", "account", "list")


def test_on_a_terminal_the_fresh_key_comes_with_a_word(data: Path) -> None:
    run(data, "account", "add", "alice")
    main, terminal = pty.openpty()
    try:
        command = [sys.executable, "-m", "portway.cli.main", "admin", "token", "add", "--data-dir", str(data)]
        subprocess.run(command, stdout=terminal, check=True, env=clean_environment())
        said = os.read(main, 65536).decode()
    finally:
        os.close(main)
        os.close(terminal)
    assert "authtoken cr_" in said
    assert "shown once" in said


def test_the_default_folder_is_that_of_the_user(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTWAY_DATA_DIR", str(data))
    result = CliRunner().invoke(admin, ["account", "list"])
    assert result.output == "There is no account.\n"


def with_names(data: Path) -> None:
    facts.keep(data, Settings(domain="portway.example", tcp_host="1.tcp.portway.example"))


def test_a_restriction_is_listed_and_lifted(data: Path) -> None:
    async def make() -> str:
        async with open_database(data / "portway.db", create=False) as database:
            context = Context(database)
            owner = await accounts.add(context, "alice")
            policy = await ip_policies.create(context, owner.id)
            held = await ip_restrictions.create(context, owner.id, "api", [policy.id], enforced=True)
            return held.id

    held = asyncio.run(make())
    assert run(data, "ip-restriction", "list", "--account", "alice").splitlines()[1].split()[:3] == [
        held, "api", "yes",
    ]  # fmt: skip
    assert held in run(data, "ip-restriction", "lift", held)
    assert run(data, "ip-restriction", "list") == "There is no IP restriction.\n"
    with pytest.raises(Error, match="no IP restriction"):
        run(data, "ip-restriction", "lift", held)


def test_domains_are_reserved_listed_and_given_back(data: Path) -> None:
    run(data, "account", "add", "alice")
    with pytest.raises(ConfigError, match="start the service once"):
        run(data, "domain", "list")
    with_names(data)
    added = run_json(
        data, "domain", "add", "App.portway.example", "--account", "alice", "--description", "shop"
    )
    assert isinstance(added, list)
    (row,) = added  # pyright: ignore[reportUnknownVariableType]
    assert isinstance(row, dict)
    assert (row["domain"], row["description"], row["is_dev"]) == ("app.portway.example", "shop", False)
    table = run(data, "domain", "list", "--account", "alice").splitlines()
    assert table[0].split()[:2] == ["ID", "DOMAIN"]
    assert len(table) == 3, "the dev domain is listed too"
    with pytest.raises(Error) as caught:
        run(data, "domain", "add", "app.portway.example")
    assert caught.value.code == "ERR_NGROK_413"
    run(data, "domain", "remove", "app.portway.example")
    assert "app.portway.example" not in run(data, "domain", "list")
    with pytest.raises(Error, match="no reserved domain"):
        run(data, "domain", "remove", str(row["id"]))  # pyright: ignore[reportUnknownArgumentType]


def test_addresses_are_reserved_listed_and_given_back(data: Path) -> None:
    run(data, "account", "add", "alice")
    with_names(data)
    assert run(data, "address", "list") == "There is no reserved address.\n"
    added = run_json(data, "address", "add", "--description", "database")
    assert isinstance(added, list)
    (row,) = added  # pyright: ignore[reportUnknownVariableType]
    assert isinstance(row, dict)
    addr = str(row["addr"])  # pyright: ignore[reportUnknownArgumentType]
    assert addr.startswith("1.tcp.portway.example:20")
    assert addr in run(data, "address", "list")
    run(data, "address", "remove", addr)
    assert run(data, "address", "list") == "There is no reserved address.\n"
    with pytest.raises(Error, match="no TCP address"):
        run(data, "address", "remove", addr)
