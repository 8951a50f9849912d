"""Limits of plans, as an operator writes them: ``free:domains=3,addresses=1; team:addresses=20``."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import fields

from portway.model.plan import Plan
from portway.server import parsers

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
_SWITCHES: Final = frozenset(each.name for each in fields(Plan) if isinstance(each.default, bool))
_COUNTS: Final = frozenset(each.name for each in fields(Plan)) - _SWITCHES


def plan_limits(text: str) -> Mapping[str, Plan]:
    """Read the limits of each plan; a plan that is not named has none. Raises ValueError."""
    plans: dict[str, Plan] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, limits = (each.strip() for each in part.partition(":"))
        if not colon or not _NAME.fullmatch(name):
            raise ValueError(f"{part!r} is not PLAN:LIMIT=N,LIMIT=N")
        if name in plans:
            raise ValueError(f"the plan {name!r} stands twice")
        plans[name] = Plan(**dict(_limit(each) for each in limits.split(",")))  # pyright: ignore[reportArgumentType]
    return plans


def _limit(text: str) -> tuple[str, int | bool]:
    name, equals, value = (each.strip() for each in text.partition("="))
    if not equals or name not in _COUNTS | _SWITCHES:
        known = ", ".join(sorted(_COUNTS | _SWITCHES))
        raise ValueError(f"{text.strip()!r} is not LIMIT=N with a limit of {known}")
    return name, parsers.switch(value) if name in _SWITCHES else parsers.count(value)
