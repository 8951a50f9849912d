"""``basic-auth``, ``restrict-ips`` and ``user-agent-filter``: who may enter.

The last is portway's own: the module of older agents has rules that no expression can say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portway.codec.basic_auth import Credentials, challenge, presented
from portway.errors import Error
from portway.model.cidr import CidrSet, parse_network
from portway.policy.actions import Action, ActionFailed, ActionType
from portway.policy.interpolation import TemplateError, scan
from portway.policy.phase import HTTP, Phase
from portway.policy.regex import RegexError, compile_regex
from portway.policy.verdict import Close, Respond, Verdict, refusal

if TYPE_CHECKING:
    from portway.codec.document import Node
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.fields import Fields
    from portway.policy.interpolation import Template

CREDENTIALS: Final = 10
PASSWORD: Final = range(8, 129)
REALM: Final = 128
BLOCKED: Final = 3203
USER_AGENT_BLOCKED: Final = 3211

BAD_USERNAME: Final = 2257
BAD_PASSWORD: Final = 2258

# -- basic-auth


@dataclass(frozen=True, slots=True)
class _BasicAuth:
    constant: Credentials
    computed: "tuple[tuple[Template, Template | None], ...]"
    """Name and password; without a password the first is the whole pair."""
    realm: str
    enforce: bool

    def run(self, run: "Run") -> Verdict | None:
        values = run.request.get(b"authorization")
        who = presented(values[0].decode("latin-1")) if len(values) == 1 else None
        authorized = who is not None and (self.constant.allow(who) or self._computed(run).allow(who))
        name = who.username if who else ""
        run.publish(
            "basic_auth",
            {"credentials": {"presented": who is not None, "username": name, "authorized": authorized}},
        )
        run.decisions["basic_auth.decision"] = "allow" if authorized else "block"
        run.decisions["basic_auth.username"] = name
        if authorized or not self.enforce:
            return None
        fields = (
            (b"www-authenticate", challenge(self.realm).encode("ascii")),
            (b"content-type", b"text/plain; charset=utf-8"),
        )
        return Respond(401, fields, b"Unauthorized\n")

    def _computed(self, run: "Run") -> Credentials:
        return Credentials(pair for each in self.computed if (pair := _pair(run, *each)) is not None)


def _pair(run: "Run", first: "Template", second: "Template | None") -> tuple[str, str] | None:
    """Return a pair whose parts are computed; None if that makes no pair that may enter."""
    name = run.text(first)
    if second is None:
        name, colon, password = name.partition(":")
        return (name, password) if colon and len(password) in PASSWORD else None
    password = run.text(second)
    if ":" in name or ":" in password or len(password) not in PASSWORD:
        return None  # a second separator would move the border between name and password
    return name, password


def _parse_basic_auth(config: "Fields", compiler: "Compiler") -> Action:
    constant: list[tuple[str, str]] = []
    computed: list[tuple[Template, Template | None]] = []
    for node in config.items("credentials", least=1, most=CREDENTIALS):
        if node.kind == "map":
            pair = config.sub(node)
            text = f"{pair.string('username', least=1)}:{pair.string('password')}"
            pair.end()
        else:
            text = config.text_of(node, "credentials", least=1)
        _read_credential(text, node, compiler, constant, computed)
    realm = config.string("realm", "ngrok", most=REALM)
    if not realm.isascii() or not realm.isprintable():
        config.problem(2204, "the realm holds what is no printable ASCII", config.find("realm"))
        realm = "ngrok"
    return _BasicAuth(Credentials(constant), tuple(computed), realm, config.boolean("enforce", default=True))


def _read_credential(
    text: str,
    node: "Node",
    compiler: "Compiler",
    constant: list[tuple[str, str]],
    computed: "list[tuple[Template, Template | None]]",
) -> None:
    """Sort one credential: a pair, two texts that are computed, or one that makes the whole."""
    try:
        pieces = list(scan(text))
    except TemplateError:
        compiler.template_text(text, node)  # says what is wrong
        return
    if not any(piece.is_expression for piece in pieces):
        text = "".join(piece.text for piece in pieces)
        name, colon, password = text.partition(":")
        if not colon:
            compiler.problem(BAD_USERNAME, node, "a credential is written user:password")
            return
        _check_pair(name, password, node, compiler)
        constant.append((name, password))
        return
    colon = _colon(text, [(p.offset, p.offset + len(p.text)) for p in pieces if p.is_expression])
    if colon >= 0:
        left = compiler.template_text(text[:colon], node)
        right = compiler.template_text(text[colon + 1 :], node)
        _check_pair(left.literal, right.literal, node, compiler, whole=right.is_constant)
        computed.append((left, right))
    elif len(pieces) == 1:
        computed.append((compiler.template_text(text, node), None))
    else:
        compiler.problem(2204, node, "write the ':' between user and password outside of '${…}'")


def _colon(text: str, expressions: Sequence[tuple[int, int]]) -> int:
    """Return where the first colon stands that is in no expression; -1 for none."""
    at = text.find(":")
    while at >= 0 and any(begin <= at < end for begin, end in expressions):
        at = text.find(":", at + 1)
    return at


def _check_pair(name: str, password: str, node: "Node", compiler: "Compiler", *, whole: bool = True) -> None:
    """Record what RFC 7617 §2.1, or a limit, has against a pair."""
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        compiler.problem(BAD_USERNAME, node, "the user name holds a control character")
    if any(ord(c) < 32 or ord(c) == 127 for c in password):
        compiler.problem(BAD_PASSWORD, node, "the password holds a control character")
    if whole and len(password) < PASSWORD.start:
        compiler.problem(2237, node, f"the password is shorter than {PASSWORD.start} characters")
    if len(password) >= PASSWORD.stop:
        compiler.problem(2221, node, f"the password is longer than {PASSWORD.stop - 1} characters")


# -- restrict-ips


@dataclass(frozen=True, slots=True)
class _Networks:
    """One side of restrict-ips: what is known with the document, and what is computed."""

    constant: CidrSet
    computed: "tuple[Template, ...]"
    policies: tuple[CidrSet, ...] = ()

    def match(self, run: "Run", address: str) -> str | None:
        for each in (self.constant, *self.policies):
            if (found := each.match(address)) is not None:
                return found
        if not self.computed:
            return None
        try:
            return CidrSet(run.text(each) for each in self.computed).match(address)
        except Error as error:
            raise ActionFailed(2253, error.message) from error


@dataclass(frozen=True, slots=True)
class _RestrictIps:
    allow: _Networks
    deny: _Networks
    enforce: bool

    def run(self, run: "Run") -> Verdict | None:
        address = run.facts.connection.client_ip
        denied = self.deny.match(run, address)
        matched = denied if denied is not None else self.allow.match(run, address)
        allowed = denied is None and matched is not None
        run.publish(
            "restrict_ips",
            {
                "action": "allow" if allowed else "deny",
                "matched_cidr": matched or "",
                "error": {"code": "", "message": ""},
            },
        )
        run.decisions["ip_policy.decision"] = "allow" if allowed else "block"
        if allowed or not self.enforce:
            return None
        if run.phase is Phase.TCP_CONNECT:
            return Close(BLOCKED)
        return refusal(403, BLOCKED, "Your address may not use this endpoint.")


def _parse_restrict_ips(config: "Fields", compiler: "Compiler") -> Action:
    policies = _ip_policies(config, compiler)
    allow = _networks(config, compiler, "allow", (allowed for allowed, _ in policies))
    deny = _networks(config, compiler, "deny", (denied for _, denied in policies))
    return _RestrictIps(allow, deny, config.boolean("enforce", default=True))


def _networks(config: "Fields", compiler: "Compiler", name: str, policies: Iterable[CidrSet]) -> _Networks:
    texts: list[str] = []
    computed: list[Template] = []
    for node in config.items(name):
        text = config.text_of(node, name)
        if "${" in text:
            template = compiler.template(node)
            if not template.is_constant:
                computed.append(template)
                continue
            text = template.literal
        try:
            parse_network(text)
        except Error as error:
            compiler.problem(2217, node, error.message)
        else:
            texts.append(text)
    return _Networks(CidrSet(texts), tuple(computed), tuple(policies))


def _ip_policies(config: "Fields", compiler: "Compiler") -> list[tuple[CidrSet, CidrSet]]:
    """Look the account's IP policies up: what each allows and denies."""
    found: list[tuple[CidrSet, CidrSet]] = []
    for node in config.items("ip_policies"):
        name = config.text_of(node, "ip_policies", least=1)
        policy: Any = compiler.world.ip_policy(name) if compiler.world.ip_policy is not None else None
        if policy is None:
            compiler.problem(2216, node, f"there is no IP policy {name!r}")
        else:
            found.append(policy)
    return found


# -- user-agent-filter


@dataclass(frozen=True, slots=True)
class _UserAgentFilter:
    allow: tuple[str, ...]
    deny: tuple[str, ...]

    def run(self, run: "Run") -> Verdict | None:
        values = run.request.get(b"user-agent")
        agent = values[0] if values else b""
        if any(compile_regex(each).search(agent) for each in self.allow):
            return None
        if values and not any(compile_regex(each).search(agent) for each in self.deny):
            return None
        return refusal(403, USER_AGENT_BLOCKED, "This program may not use this endpoint.")


def _parse_user_agent(config: "Fields", compiler: "Compiler") -> Action:
    sides: list[tuple[str, ...]] = []
    for name in ("allow", "deny"):
        patterns: list[str] = []
        for node in config.items(name, most=100):
            text = config.text_of(node, name)
            try:
                compile_regex(text)
            except RegexError as error:
                compiler.problem(2090, node, f"not a regular expression of RE2: {error}")
            else:
                patterns.append(text)
        sides.append(tuple(patterns))
    return _UserAgentFilter(*sides)


def _is_enforced(action: Action) -> bool:
    return not isinstance(action, _BasicAuth | _RestrictIps) or action.enforce


TYPES: Final = [
    ActionType(
        "basic-auth",
        _parse_basic_auth,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        result="basic_auth",
        guards=_is_enforced,
    ),
    ActionType(
        "restrict-ips",
        _parse_restrict_ips,
        frozenset((Phase.TCP_CONNECT, Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE)),
        result="restrict_ips",
        guards=_is_enforced,
    ),
    ActionType(
        "user-agent-filter",
        _parse_user_agent,
        frozenset((Phase.HTTP_REQUEST,)),
        HTTP,
        guards=True,
    ),
]
