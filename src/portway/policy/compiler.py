"""A document → a compiled policy, or every problem that it has.

``compile_policy`` knows what it is compiled for: the protocol decides which phases and actions exist, the
endpoint's kind whether the policy must end every request by itself. The :class:`Compiler` is what actions
get to see while they read their configuration: it compiles expressions, texts with ``${…}`` and regular
expressions, and takes problems. All of it is pure; what it must know of the world comes in :class:`World`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from portway.codec.document import Node
from portway.policy.document import parse
from portway.policy.engine import Policy, Rule, Step
from portway.policy.expression import CompileError, Expression, compile_expression
from portway.policy.fields import Fields
from portway.policy.interpolation import Template, TemplateError, compile_template
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.phase import ALL_PROTOCOLS, HTTP, PHASES, Phase, main_phase
from portway.policy.problem import PolicyError, Problem, meant
from portway.policy.quick import quick_test, quick_text

if TYPE_CHECKING:
    from portway.policy.actions import ActionType
    from portway.policy.geo import GeoLookup


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint that a policy is for."""

    protocol: str = "https"
    internal: bool = False
    cloud: bool = False
    """It has no upstream: its policy must end every request (2235)."""
    host: str = ""
    """Its host, perhaps a wildcard; "" when that is not known."""


@dataclass(frozen=True, slots=True)
class World:
    """What a compiler may ask about the account and the service."""

    geo: "GeoLookup | None" = None
    """Looks addresses up; None: no database, so expressions that name a place are refused."""
    categories: bool = False
    """There are lists of addresses by category."""
    ip_policy: Callable[[str], object | None] | None = None
    """``ipp_…`` → whatever ``restrict-ips`` works with, None if the account has no such policy."""
    authority: Callable[[str], bytes | None] | None = None
    """``ca_…`` → its certificates as PEM, None if the account has none of that id."""
    extra: Mapping[str, object] = field(default_factory=lambda: dict[str, object]())
    """More, for actions, by name."""


class _TooManyProblems(Exception):
    """Enough is known."""


class Compiler:
    """What the parse function of an action works with: one action of one rule."""

    def __init__(self, target: Target, limits: PolicyLimits, world: World) -> None:
        """Take what the policy is for."""
        self.target = target
        self.limits = limits
        self.world = world
        self.phase = Phase.HTTP_REQUEST
        """The phase of the action that is being read."""
        self.path = ""
        """Where that action is, such as ``on_http_request[0].actions[1]``: a name for its state."""
        self.problems: list[Problem] = []
        self.names: set[str] = set()
        """Variables that expressions of the document ask for."""
        self.seen: dict[str, object] = {}
        """What actions that must know of each other have left here."""

    @property
    def protocol(self) -> str:
        """The endpoint's protocol."""
        return self.target.protocol

    def problem(self, code: int, node: Node, message: str, path: str = "") -> None:
        """Record a problem that stands at a node."""
        self.problem_at(code, node.line, node.column, path or node.path, message)

    def problem_at(self, code: int, line: int, column: int, path: str, message: str) -> None:
        """Record a problem at a place."""
        self.problems.append(Problem(code, message, path, line, column))
        if len(self.problems) >= self.limits.problems:
            raise _TooManyProblems

    def expression(self, node: Node, code: int = 2200) -> Expression | None:
        """Compile a raw expression of any type; None, and a problem, if it is none."""
        if node.kind != "scalar" or node.scalar is None or not node.text.strip():
            self.problem(code, node, "an expression is a text that is not empty")
            return None
        try:
            made = compile_expression(node.text, self.phase, self.limits, self.world)
        except CompileError as error:
            self.problem(code, node, f"{error.message} ({_where(node.text, error.offset)})")
            return None
        self.names |= made.looked_up
        made.quick = quick_text(node.text, self.phase, self.limits)
        return made

    def condition(self, node: Node) -> Expression | None:
        """Compile an expression that must be true or false."""
        made = self.expression(node)
        if made is not None and not made.may_be("bool"):
            self.problem(2200, node, f"the expression is a {made.type}, not true or false")
            return None
        if made is not None:
            made.quick = quick_test(node.text, self.phase, self.limits)
        return made

    def template(self, node: Node, code: int = 2224) -> Template:
        """Compile a text with ``${…}`` in it; an empty one, and a problem, if it is wrong."""
        return self.template_text(node.text, node, code)

    def template_text(self, text: str, node: Node, code: int = 2224) -> Template:
        """The same for a text that is only part of a node, or made of it."""
        try:
            made = compile_template(text, self.phase, self.limits, self.world)
        except TemplateError as error:
            self.problem(code, node, f"{error.message} ({_where(text, error.offset)})")
            return Template.constant("")
        self.names.update(*(piece.looked_up for piece in made.pieces if isinstance(piece, Expression)))
        return made

    def constant(self, text: str) -> Template:
        """Make a template without ``${…}``."""
        return Template.constant(text)

    def regex(self, node: Node, text: str | None = None) -> None:
        """Record 2261 if a node's text, or ``text``, is no regular expression of RE2."""
        from portway.policy.regex import RegexError, compile_regex

        try:
            compile_regex(node.text if text is None else text)
        except RegexError as error:
            self.problem(2261, node, f"not a regular expression of RE2: {error}")

    def fields(self, node: Node) -> Fields:
        """Return the fields of a map."""
        return Fields(node, self)


def compile_policy(
    text: "str | Node",
    target: Target = Target(),
    limits: PolicyLimits = DEFAULT_LIMITS,
    world: World = World(),
) -> Policy:
    """Compile a document. Raises PolicyError with every problem of it.

    A document of 256 KiB takes a second or two: not on an event loop.
    """
    root = parse(text, limits) if isinstance(text, str) else text
    compiler = Compiler(target, limits, world)
    try:
        policy = _Document(compiler).read(root)
    except _TooManyProblems:
        raise PolicyError(compiler.problems) from None
    if compiler.problems:
        raise PolicyError(compiler.problems)
    return policy


def _where(text: str, offset: int) -> str:
    """Say where in an expression something is, for one that may have several lines."""
    before = text[:offset]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return f"line {line} of it, column {column}" if "\n" in text else f"column {column} of it"


class _Document:
    """The rules of a whole document."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._problem = compiler.problem
        self._target = compiler.target
        self._limits = compiler.limits
        self._rules = 0

    def read(self, root: Node) -> Policy:
        if self._target.protocol not in ALL_PROTOCOLS:
            self._problem(2229, root, f"{self._target.protocol!r} is no protocol of an endpoint")
            return Policy({}, self._limits)
        root, enabled = modernised(root, self._target.protocol, self._compiler)
        phases: dict[Phase, tuple[Rule, ...]] = {}
        for key, node in root.entries.items():
            phase = self._phase(key, node, root)
            if phase is not None:
                self._compiler.phase = phase
                phases[phase] = self._list(node)
        # What could not be read is told by its own problems, not as missing.
        if not self._compiler.problems:
            if not any(rule.steps for rules in phases.values() for rule in rules):
                self._problem(2206, root, "a policy needs at least one action")
            elif self._target.cloud and enabled:
                self._complete(phases, root)
        return Policy(phases if enabled else {}, self._limits, self._compiler.names)

    def _phase(self, key: str, node: Node, root: Node) -> Phase | None:
        at = root.keys.get(key, (node.line, node.column))
        protocol = self._target.protocol
        if key not in set(Phase):
            known = ", ".join(phase for phase in Phase if phase in PHASES[protocol])
            said = f"{_short(key)} is no phase; this endpoint has {known}"
            self._compiler.problem_at(2203, *at, "", said)
            return None
        phase = Phase(key)
        if phase not in PHASES[protocol]:
            self._compiler.problem_at(2230, *at, "", f"{key} does not exist on {protocol} endpoints")
            return None
        if phase is Phase.TCP_CONNECT and self._target.internal and protocol in HTTP:
            self._compiler.problem_at(2262, *at, "", f"{key} does not exist on internal {protocol} endpoints")
            return None
        return phase

    def _list(self, node: Node) -> tuple[Rule, ...]:
        if node.is_null:
            return ()
        if node.kind != "list":
            self._problem(2203, node, "a phase is a list of rules")
            return ()
        self._rules += len(node.items)
        if self._rules > self._limits.rules:
            self._problem(2264, node, f"a policy may have {self._limits.rules} rules, not {self._rules}")
            return ()
        rules: list[Rule] = []
        for item in node.items:
            rule = self._rule(item)
            if rule is not None:
                rules.append(rule)
        ending = next((index for index, rule in enumerate(rules[:-1]) if rule.always_ends), None)
        if ending is not None:
            rule = rules[ending + 1]
            said = f"this rule is never reached: {rules[ending]} ends every request"
            self._compiler.problem_at(2207, rule.line, rule.column, rule.path, said)
        return tuple(rules)

    def _rule(self, node: Node) -> Rule | None:
        if node.kind != "map":
            self._problem(2203, node, "a rule is a map with actions, and perhaps a name and expressions")
            return None
        fields = Fields(node, self._compiler)
        name = fields.find("name")
        text = "" if name is None else fields.text_of(name, "name", most=1_000_000)
        if name is not None and len(text) > self._limits.name:
            self._problem(2208, name, f"a name is at most {self._limits.name} characters long")
        listed = fields.items("expressions")
        conditions = self._conditions(listed)
        steps = self._steps(node, fields)
        fields.end()
        if len(conditions) < len(listed):  # some are wrong: that does not make the rule unconditional
            steps = [replace(step, ends=False) for step in steps]
        return Rule(text, node.path, node.line, node.column, tuple(conditions), tuple(steps))

    def _conditions(self, nodes: list[Node]) -> list[Expression]:
        if len(nodes) > self._limits.expressions:
            self._problem(2265, nodes[0], f"a rule may have {self._limits.expressions} expressions")
            return []
        return [made for node in nodes if (made := self._compiler.condition(node)) is not None]

    def _steps(self, rule: Node, fields: Fields) -> list[Step]:
        listed = fields.find("actions")
        if listed is None or (listed.kind == "list" and not listed.items):
            self._problem(2206, rule, "a rule needs at least one action")
            return []
        if listed.kind != "list":
            self._problem(2203, listed, "actions is a list")
            return []
        if len(listed.items) > self._limits.actions:
            self._problem(2265, listed, f"a rule may have {self._limits.actions} actions")
            return []
        steps: list[Step] = []
        for node in listed.items:
            step = self._step(node)
            if step is not None:
                steps.append(step)
        ending = next((index for index, step in enumerate(steps[:-1]) if step.ends), None)
        if ending is not None:
            step = steps[ending + 1]
            said = f"this action is never reached: {steps[ending].type.name} ends the request"
            self._compiler.problem_at(2207, step.line, step.column, step.path, said)
        return steps

    def _step(self, node: Node) -> Step | None:
        if node.kind != "map":
            self._problem(2203, node, "an action is a map with a type, and perhaps a config")
            return None
        fields = Fields(node, self._compiler)
        named = fields.find("type")
        config = fields.find("config") or Node("map", node.line, node.column, f"{node.path}.config")
        fields.end()
        if named is None or named.kind != "scalar":
            self._problem(2201, named or node, "an action needs a type")
            return None
        kind = self._type(named)
        if kind is None:
            return None
        self._compiler.path = node.path
        before = len(self._compiler.problems)
        settings = Fields(config, self._compiler, f"{node.path}.config")
        action = kind.parse(settings, self._compiler)
        if config.kind == "map":
            settings.end()
        sound = len(self._compiler.problems) == before
        return Step(
            kind,
            action,
            node.path,
            node.line,
            node.column,
            ends=sound and kind.ends(action),
            guard=kind.is_guard(action),
        )

    def _type(self, node: Node) -> "ActionType | None":
        from portway.policy.actions import ALIASES, NOT_BUILT, table

        name = ALIASES.get(node.text, node.text)
        if name in NOT_BUILT:
            self._problem(
                2201,
                node,
                f"{name} is not supported by this service yet, and a policy is never carried out in part",
            )
            return None
        kind = table().get(name)
        if kind is None:
            said = f"there is no action type {_short(name)}{meant(name, table())}"
            self._problem(2201, node, said)
            return None
        if self._compiler.phase not in kind.phases:
            where = " and ".join(phase for phase in Phase if phase in kind.phases)
            self._problem(2202, node, f"{name} cannot stand in {self._compiler.phase}, only in {where}")
            return None
        if self._target.protocol not in kind.protocols:
            self._problem(2205, node, f"{name} does not exist on {self._target.protocol} endpoints")
            return None
        return kind

    def _complete(self, phases: Mapping[Phase, tuple[Rule, ...]], root: Node) -> None:
        """A cloud endpoint has nothing behind it: some rule must end whatever comes."""
        phase = main_phase(self._target.protocol)
        if not any(rule.always_ends for rule in phases.get(phase, ())):
            self._problem(
                2235,
                root,
                f"not every request is ended: {phase} needs a rule without expressions "
                "that answers, closes or forwards",
            )


LEGACY: Final = ("inbound", "outbound")


def modernised(root: Node, protocol: str, compiler: Compiler) -> tuple[Node, bool]:
    """Give the keys of before October 2024 their names of today; return that and whether it is enabled.

    ``inbound`` is on_http_request (on_tcp_connect on tcp and tls), ``outbound`` on_http_response, and
    ``enabled`` switches all of it off. Forms are not mixed: new keys beside old ones are refused.
    """
    if not (set(root.entries) & {*LEGACY, "enabled"}):
        return root, True
    made = Node(root.kind, root.line, root.column, keys={}, size=root.size, height=root.height)
    names = {
        "inbound": Phase.HTTP_REQUEST if protocol in HTTP else Phase.TCP_CONNECT,
        "outbound": Phase.HTTP_RESPONSE,
    }
    enabled = True
    for key, node in root.entries.items():
        if key == "enabled":
            enabled = Fields(root, compiler).boolean("enabled", default=True)
            continue
        new = str(names.get(key, key))
        if new in made.entries:
            old = next(each for each, phase in names.items() if phase == new)
            compiler.problem_at(2203, *root.keys[key], "", f"{old} means {new}, which is there too")
            continue
        made.entries[new] = node
        made.keys[new] = root.keys[key]
    return made, enabled


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
