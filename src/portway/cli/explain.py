"""`portway explain`: what a code of the service means, and what to do about it.

The texts are data, `errors.toml`, from which tools/reference.py also writes docs/reference/errors.md.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple, cast

import click

from portway.errors import ConfigError

_CODE: Final = re.compile(r"(?:ERR_NGROK_)?(\d{1,6})", re.IGNORECASE)


class Explained(NamedTuple):
    """What there is to say of a code."""

    code: int
    meaning: str
    advice: str
    group: str

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"ERR_NGROK_{self.code}  ({self.group})\n\n{self.meaning}\n{self.advice}"


@cache
def catalogue() -> Mapping[int, Explained]:
    """Return every code that portway gives, group by group."""
    import tomllib

    text = resources.files("portway.cli").joinpath("errors.toml").read_text("utf-8")
    found: dict[int, Explained] = {}
    for group in cast("list[dict[str, Any]]", tomllib.loads(text)["groups"]):
        for number, said in cast("dict[str, str | list[str]]", group["codes"]).items():
            meaning, advice = (said, group["advice"]) if isinstance(said, str) else said
            found[int(number)] = Explained(int(number), meaning, advice, group["title"])
    return found


@click.command()
@click.argument("code")
def explain(code: str) -> None:
    """Say what an error's CODE means, such as ERR_NGROK_107 or 107, and what to do about it."""
    number = _CODE.fullmatch(code.strip())
    if number is None:
        raise click.UsageError(f"{code!r} is no code: write ERR_NGROK_107, or 107")
    known = catalogue().get(int(number[1]))
    if known is None:
        raise ConfigError(f"ERR_NGROK_{int(number[1])} is no code that this version of portway gives")
    click.echo(str(known))
