"""Expressions: compiled once, evaluated under budgets. The one module that imports the evaluator.

An expression is parsed by :mod:`portway.policy.syntax`, which refuses what the evaluator would crash on and
what could grow without end (:mod:`portway.policy.growth`); rewritten (:mod:`portway.policy.rewrite`); and
type-checked and compiled by the reference runtime of CEL, whose own limits hold besides: 10,000 steps of
comprehensions, 32 levels, regular expressions in linear time.

An evaluation gets the values of the variables that the expression names and of no others. A variable
that has no value now, such as the port of a URL without one, is absent: naming it is an error, which
``&&``, ``||`` and ``has`` absorb as CEL says. Errors come as a value, as an exception of the runtime, or
from a function of ours; all of them leave as :class:`EvaluationError`.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from portway.policy import said
from portway.policy.functions import ANY, Function, charge, enter, functions
from portway.policy.growth import TooLarge, growth_of
from portway.policy.limits import PolicyLimits
from portway.policy.names import names_of
from portway.policy.phase import Phase
from portway.policy.rewrite import Rewritten, rewrite
from portway.policy.syntax import SyntaxFault, parse_expression
from portway.policy.written import weigh, written

if TYPE_CHECKING:
    from portway.policy.compiler import World
    from portway.policy.facts import Facts
    from portway.policy.geo import GeoLookup


class CompileError(Exception):
    """A text that is no expression of its phase: why, and at which character."""

    def __init__(self, message: str, offset: int = 0) -> None:
        """Take a sentence and a position."""
        super().__init__(message)
        self.message = message
        self.offset = offset


class EvaluationError(Exception):
    """An expression has no value for this request."""


class Absent(Exception):
    """A variable has no value now."""


class Chance(Protocol):
    """Where randomness comes from; ``random.Random`` is one."""

    def random(self) -> float:
        """Return a number of [0, 1)."""
        ...

    def randint(self, a: int, b: int) -> int:
        """Return a whole number of [a, b]."""
        ...


class Scope(Protocol):
    """What an expression looks at; :class:`portway.policy.engine.Run` is one."""

    @property
    def facts(self) -> "Facts":
        """What is known."""
        ...

    @property
    def random(self) -> "Chance":
        """Chance, for ``rand.*``."""
        ...

    @property
    def geo(self) -> "GeoLookup | None":
        """Looks addresses up."""
        ...

    def value(self, name: str) -> object:
        """Return the value of a variable. Raises Absent."""
        ...

    def secret(self, vault: str, name: str) -> str | None:
        """Return a secret of the account's vaults; None if there is none."""
        ...


class Expression:
    """A compiled expression."""

    __slots__ = (
        "_activation",
        "_calls",
        "_eval",
        "_limits",
        "_loops",
        "looked_up",
        "names",
        "quick",
        "source",
        "type",
    )

    def __init__(
        self, source: str, phase: Phase, program: Any, made: Rewritten, limits: PolicyLimits
    ) -> None:
        """Take the program and what is known of it."""
        self.source = source
        self.names = tuple(sorted(made.names))
        """Variables whose values it needs."""
        self.looked_up = frozenset(made.looked_up)
        """Variables that it asks for, in whole or in part."""
        self.type: str = program.return_type().name().lower()
        """``bool``, ``string``, …, or ``dyn`` where that shows only when it runs."""
        self._limits = limits
        self._loops = made.loops
        self._calls = made.calls
        self._activation = _environment(phase).Activation
        self._eval = program.eval
        self.quick: Callable[[Scope], bool | str | None] | None = None
        """Answers in the evaluator's place, see ``quick.py``; None: it must be asked."""

    def __repr__(self) -> str:
        """Show the source."""
        return f"<Expression {self.source!r}: {self.type}>"

    def may_be(self, kind: str) -> bool:
        """Say whether the value may be of a type."""
        return self.type in {kind, "dyn"}

    def answer(self, scope: Scope) -> object:
        """Do as ``evaluate``, without the evaluator where that is sure to be the same; only of a ``Run``."""
        known = None if self.quick is None else self.quick(scope)
        return self.evaluate(scope) if known is None else known

    def evaluate(self, scope: Scope) -> object:
        """Return the value, plain: bytes as bytes, lists and maps as such. Raises EvaluationError."""
        values: dict[str, object] = {}
        for name in self.names:
            try:
                values[name] = accepted(scope.value(name))
            except Absent:
                pass  # the evaluator says so where it matters
        if self._loops and weigh(values) > self._limits.loop_input:
            raise EvaluationError(f"it loops over more than {self._limits.loop_input} bytes")
        if self._calls:
            enter(scope, self._limits.work)
        try:
            result = self._eval(self._activation(values))
            value = result.value()
            if value is True or value is False:  # what conditions are
                return value
            if result.type().name() == "ERROR":
                raise EvaluationError(said.failed(str(value)))
            return _plain(result.plain_value())
        except RuntimeError as error:
            raise EvaluationError(said.failed(str(error))) from error


def compile_expression(source: str, phase: Phase, limits: PolicyLimits, world: "World") -> Expression:
    """Compile an expression for a phase. Raises CompileError."""
    if len(source) > limits.expression:
        raise CompileError(f"the expression is longer than {limits.expression} characters")
    try:
        tree = parse_expression(source, limits.expression_depth)
        growth_of(tree, limits.growth)
        made = rewrite(source, tree, phase)
    except (SyntaxFault, TooLarge) as fault:
        raise CompileError(fault.message, fault.offset) from fault
    known = names_of(phase)
    for name in sorted(made.looked_up):
        if known[name].needs == "geo" and world.geo is None:
            raise CompileError(f"{name} needs a GeoIP database, and the service has none (geoip.path)")
        if known[name].needs == "categories" and not world.categories:
            raise CompileError(f"{name} needs lists of addresses by category, and the service has none")
    try:
        # The type of the result is asked for here: a map with such keys as 1.5 has none.
        return Expression(source, phase, _environment(phase).compile(made.text), made, limits)
    except RuntimeError as error:
        raise _refused(str(error), made) from error


class Condition:
    """A condition over one value that has a name, such as ``ev``: for filters, not for policies."""

    __slots__ = ("_environment", "_limit", "_name", "_program", "tree")

    def __init__(self, source: str, name: str, limits: PolicyLimits) -> None:
        """Compile. Raises CompileError."""
        if len(source) > limits.expression:
            raise CompileError(f"the expression is longer than {limits.expression} characters")
        try:
            self.tree = parse_expression(source, limits.expression_depth)
            growth_of(self.tree, limits.growth)
        except (SyntaxFault, TooLarge) as fault:
            raise CompileError(fault.message, fault.offset) from fault
        self._name = name
        self._limit = limits.loop_input
        self._environment = _plain_environment(name)
        try:
            self._program = self._environment.compile(source)
            kind: str = self._program.return_type().name().lower()
        except RuntimeError as error:
            raise _refused(str(error), None, source) from error
        if kind not in {"bool", "dyn"}:
            raise CompileError(f"the expression is a {kind}, not true or false")

    def holds(self, value: object) -> bool:
        """Say whether it is true. Raises EvaluationError."""
        values = {self._name: accepted(value)}
        if weigh(values) > self._limit:
            raise EvaluationError(f"it looks at more than {self._limit} bytes")
        try:
            result = self._program.eval(self._environment.Activation(values))
            found = result.value()
        except RuntimeError as error:
            raise EvaluationError(said.failed(str(error))) from error
        if found is True or found is False:
            return found
        raise EvaluationError(
            said.failed(str(found)) if result.type().name() == "ERROR" else "it is no condition"
        )


# -- the runtime


def _runtime() -> Any:
    from cel_expr_python import cel

    return cel


@cache
def _environment(phase: Phase) -> Any:
    """Return the variables and functions of a phase. About 10 ms, once."""
    cel = _runtime()
    variables = {name: _type(each.type) for name, each in names_of(phase).items()}
    overloads: dict[str, list[Any]] = {}
    for number, function in enumerate(each for each in functions() if phase in each.phases):
        overloads.setdefault(function.name, []).extend(_overloads(function, number))
    declared = [cel.FunctionDecl(name, each) for name, each in overloads.items()]
    return cel.NewEnv(variables=variables, functions=declared)


@cache
def _plain_environment(name: str) -> Any:
    """Return an environment in which one name stands for any value, with CEL's own functions alone."""
    cel = _runtime()
    return cel.NewEnv(variables={name: cel.Type.DYN}, functions=[])


_KINDS: Final = (
    "string", "int", "uint", "double", "bool", "bytes", "timestamp", "duration", "null_type",
    "list(dyn)", "map(dyn, dyn)",
)  # fmt: skip


def _overloads(function: Function, number: int) -> list[Any]:
    """Declare a function; a parameter of any type takes one declaration for each."""
    cel = _runtime()
    kinds = _KINDS if ANY in function.parameters else (ANY,)
    return [
        cel.Overload(
            f"f{number}_{index}",
            _type(function.result),
            [_type(kind if each == ANY else each) for each in function.parameters],
            function.method,
            _guarded(function.call),
        )
        for index, kind in enumerate(kinds)
    ]


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*arguments: Any) -> Any:
        charge(arguments)
        made = call(*arguments)
        charge((made,))
        return accepted(made)

    return guarded


def accepted(value: Any, *, nested: bool = False) -> Any:
    """Return a value in a form that the runtime takes whole.

    It would cut a text at a NUL: U+FFFD stands there instead, so that ``/admin%00x`` is never ``/admin``. Of
    bytes only a ``bytearray`` comes through whole. Times and durations are taken only where a type is
    declared for them; within lists and maps they become texts, which ``timestamp()`` and ``duration()`` read.
    """
    match value:
        case str():
            return value.replace("\0", "\ufffd") if "\0" in value else value
        case list():
            return [accepted(each, nested=True) for each in cast("list[Any]", value)]
        case dict():
            entries = cast("dict[Any, Any]", value).items()
            return {accepted(key): accepted(each, nested=True) for key, each in entries}
        case bytes():
            return bytearray(value)
        case datetime() | timedelta() if nested:
            return written(value)
        case _:
            return value


@cache
def _type(text: str) -> Any:
    """Return the runtime's type of a text such as ``map(string, list(string))``."""
    cel = _runtime()
    simple = {
        "string": cel.Type.STRING, "int": cel.Type.INT, "uint": cel.Type.UINT, "double": cel.Type.DOUBLE,
        "bool": cel.Type.BOOL, "bytes": cel.Type.BYTES, "timestamp": cel.Type.TIMESTAMP,
        "duration": cel.Type.DURATION, "null_type": cel.Type.NULL, "dyn": cel.Type.DYN,
    }  # fmt: skip
    if text in simple:
        return simple[text]
    kind, _, inside = text.removesuffix(")").partition("(")
    if kind == "list":
        return cel.Type.List(_type(inside))
    key, _, value = inside.partition(", ")
    return cel.Type.Map(_type(key), _type(value))


def _plain(value: object) -> object:
    """Return a value without the runtime's own types."""
    match value:
        case bytearray():
            return bytes(value)
        case list():
            return [_plain(each) for each in cast("list[object]", value)]
        case dict():
            return {_plain(key): _plain(each) for key, each in cast("dict[object, object]", value).items()}
        case _:
            plain = value is None or type(value).__module__ in {"builtins", "datetime"}
            return value if plain else str(value)  # a type, as of type(1)


_PLACE: Final = re.compile(r"<input>:([0-9]+):([0-9]+): ([^\n]*)")


def _refused(text: str, made: Rewritten | None, source: str = "") -> CompileError:
    """Return what the type checker said, at the place that was written."""
    found = _PLACE.search(text)
    if "recursion" in text:
        return CompileError("the expression is nested too deeply")
    if found is None:
        return CompileError(text.partition(": ")[2].split(" [")[0].strip()[:300] or "no valid expression")
    lines = (source if made is None else made.text).split("\n")
    row = min(int(found[1]), len(lines)) - 1
    offset = sum(len(line) + 1 for line in lines[:row]) + int(found[2]) - 1
    message = said.refused(found[3].removeprefix("Syntax error: ").replace(" (in container '')", ""))
    return CompileError(message[:300], offset if made is None else made.origin(offset))
