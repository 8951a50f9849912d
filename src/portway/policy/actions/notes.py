"""``log`` and ``set-vars``: values that later rules, or readers of events, shall see."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.phase import Phase

if TYPE_CHECKING:
    from portway.codec.document import Node
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

ENTRIES: Final = 100
"""Variables, or entries of metadata, of one action."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII).fullmatch
_PHASES: Final = frozenset((Phase.TCP_CONNECT, Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE))


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a document in which texts may be computed, at any depth."""

    constant: object = None
    template: "Template | None" = None
    items: "tuple[Value, ...] | None" = None
    entries: "tuple[tuple[str, Value], ...] | None" = None

    @classmethod
    def read(cls, node: "Node", compiler: "Compiler", depth: int) -> "Value":
        """Read a node; record 2250 if it is nested deeper than so many levels."""
        if node.height > depth:
            compiler.problem(2250, node, f"the value is nested deeper than {depth} levels")
            return cls()
        return cls._read(node, compiler)

    @classmethod
    def _read(cls, node: "Node", compiler: "Compiler") -> "Value":
        if node.kind == "list":
            return cls(items=tuple(cls._read(item, compiler) for item in node.items))
        if node.kind == "map":
            return cls(entries=tuple((key, cls._read(each, compiler)) for key, each in node.entries.items()))
        if isinstance(node.scalar, str):
            template = compiler.template(node)
            return cls(template.literal) if template.is_constant else cls(template=template)
        return cls(node.scalar)

    def compute(self, run: "Run", *, lenient: bool = False) -> object:
        """Return the value now. Raises ActionFailed; ``lenient``: what fails is an empty text instead."""
        if self.template is not None:
            try:
                return run.typed(self.template)
            except ActionFailed:
                if lenient:
                    return ""
                raise
        if self.items is not None:
            return [each.compute(run, lenient=lenient) for each in self.items]
        if self.entries is not None:
            return {key: each.compute(run, lenient=lenient) for key, each in self.entries}
        return self.constant


@dataclass(frozen=True, slots=True)
class _Log:
    metadata: Value

    def run(self, run: "Run") -> None:
        metadata = self.metadata.compute(run, lenient=True)
        run.logs.append({"metadata": metadata})
        run.publish("log", {"metadata": metadata})


@dataclass(frozen=True, slots=True)
class _SetVars:
    values: tuple[tuple[str, Value], ...]

    def run(self, run: "Run") -> None:
        for name, value in self.values:
            run.set_var(name, value.compute(run))


def _parse_log(config: "Fields", compiler: "Compiler") -> Action:
    node = config.require("metadata")
    if node is None:
        return _Log(Value(entries=()))
    if node.kind != "map":
        config.problem(2228, "metadata is a map", node)
        return _Log(Value(entries=()))
    if len(node.entries) > ENTRIES:
        config.problem(2255, f"metadata has more than {ENTRIES} entries", node)
        return _Log(Value(entries=()))
    return _Log(Value.read(node, compiler, compiler.limits.vars_depth + 1))


def _parse_set_vars(config: "Fields", compiler: "Compiler") -> Action:
    found: list[tuple[str, Value]] = []
    for node in config.items("vars", least=1, most=ENTRIES, code=2255):
        if node.kind != "map" or len(node.entries) != 1:
            config.problem(2252, "vars is a list of maps with one entry each: - name: value", node)
            continue
        ((name, value),) = node.entries.items()
        if not _NAME(name):
            config.problem(2204, f"{name!r} is no name of a variable", node)
        found.append((name, Value.read(value, compiler, compiler.limits.vars_depth)))
    return _SetVars(tuple(found))


TYPES: Final = [
    ActionType("log", _parse_log, _PHASES, result="log"),
    ActionType("set-vars", _parse_set_vars, _PHASES),
]
