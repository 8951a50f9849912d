"""`portway serve`: what its help teaches and how wrong options fail."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from portway.cli.main import cli
from portway.cli.serve import serve
from portway.errors import ConfigError
from portway.server import config, service


def test_help_names_every_option_with_its_default_and_its_variable() -> None:
    result = CliRunner().invoke(serve, ["--help"], terminal_width=400)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    for option in config.OPTIONS:
        line = next(line for line in lines if line.strip().startswith(f"{option.flag} {option.metavar} "))
        assert f"default: {option.shown_default}" in line
        assert option.variable in line
    for group in {option.group for option in config.OPTIONS}:
        assert f"{group}:" in lines
    assert "portway serve --domain example.com" in result.output
    assert config.CONFIG_VARIABLE in result.output


@pytest.mark.parametrize("width", [60, 80, 100])
def test_help_fits_the_terminal(width: int) -> None:
    result = CliRunner().invoke(serve, ["--help"], terminal_width=width)
    options = result.output.split("Examples:")[0]
    assert max(map(len, options.splitlines())) <= width


def test_a_wrong_option_is_named() -> None:
    result = CliRunner().invoke(cli, ["serve", "--tcp-ports", "9-1"])
    assert isinstance(result.exception, ConfigError)
    assert "--tcp-ports: '9-1' runs backwards" in str(result.exception)


def test_flags_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[config.ServeConfig] = []

    def fake(loaded: config.ServeConfig) -> int:
        got.append(loaded)
        return 7

    monkeypatch.setattr(service, "serve", fake)
    several = ["--connect-address", "a.example", "--connect-address", "b.example:443,[::1]"]
    result = CliRunner().invoke(serve, ["--listen-http", "127.0.0.1:1", "--access-log", "off", *several])
    assert result.exit_code == 7
    assert [str(each) for each in got[0].edge.connect_addresses] == [
        "a.example:0",
        "b.example:443",
        "[::1]:0",
    ]
    assert got[0].edge.listen_http.port == 1
    assert not got[0].log.access


def test_help_loads_nothing_of_the_service() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from portway.cli.serve import serve;"
        "assert CliRunner().invoke(serve, ['--help']).exit_code == 0;"
        "heavy = ('portway.edge', 'sqlalchemy', 'uvloop', 'ruamel');"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
