"""``add-headers`` and ``remove-headers``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.policy.actions import Action, ActionType
from portway.policy.actions.reply import FRAMING
from portway.policy.phase import HTTP, Phase

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

MOST: Final = 10
"""Fields that one action may name."""
_PHASES: Final = frozenset((Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE))


@dataclass(frozen=True, slots=True)
class _AddHeaders:
    headers: "tuple[tuple[str, Template], ...]"

    def run(self, run: "Run") -> None:
        message = run.message
        added: dict[str, object] = {}
        for name, template in self.headers:
            value = run.header_value(template)
            if name == "host":
                message.set(b"host", value)
            else:
                message.add(name.encode("ascii"), value)
            added[name] = value.decode("utf-8", "replace")
        run.publish("add_headers", {"headers_added": added})


@dataclass(frozen=True, slots=True)
class _RemoveHeaders:
    names: tuple[str, ...]

    def run(self, run: "Run") -> None:
        gone = run.message.remove(name.encode("ascii") for name in self.names)
        run.publish("remove_headers", {"headers_removed": [name.decode("ascii") for name in gone]})


def _parse_add_headers(config: "Fields", _compiler: "Compiler") -> Action:
    forbidden = FRAMING | {"user-agent"}
    return _AddHeaders(tuple(config.headers("headers", most=MOST, least=1, forbidden=forbidden)))


def _parse_remove_headers(config: "Fields", _compiler: "Compiler") -> Action:
    forbidden = FRAMING | {"user-agent", "host"}
    return _RemoveHeaders(tuple(config.header_names("headers", most=MOST, least=1, forbidden=forbidden)))


TYPES: Final = [
    ActionType("add-headers", _parse_add_headers, _PHASES, HTTP, result="add_headers"),
    ActionType("remove-headers", _parse_remove_headers, _PHASES, HTTP, result="remove_headers"),
]
