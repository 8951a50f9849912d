"""The command of an SSH client, ``http``, ``tls`` or ``tcp`` with flags, read. Pure.

::

    ssh -R 443:localhost:8080 HOST  http --basic-auth 'u:password1' --metadata x
                                    ──── ───────────────────────────────────────
                                    protocol            flags

The flags are those of ``portway http``, ``tls`` and ``tcp`` that mean something without an agent. One that an
agent has and an SSH client cannot (files, TLS to the upstream, PROXY headers) is refused by its name; a
word that is no flag at all is a fault of the line. Nothing is ever left out silently.
"""

import difflib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

from portway.errors import Error
from portway.wire.messages import Opts

PROTOCOLS: Final = ("http", "tls", "tcp")

LINE_LIMIT: Final = 16_384
"""Characters of a command."""


@dataclass(slots=True)
class Asked:
    """What a command asks for. ``url`` and its older relatives are "" where they are not said."""

    proto: str
    help: bool = False
    url: str = ""
    domain: str = ""
    hostname: str = ""
    subdomain: str = ""
    remote_addr: str = ""
    name: str = ""
    description: str = ""
    metadata: str = ""
    bindings: tuple[str, ...] = ()
    pooling: bool = False
    policy_url: str = ""
    """Where the traffic policy is, for the service to fetch."""
    modules: Opts = field(default_factory=dict[str, object])
    """Options of the bind, in the Go spelling."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: what it takes ("" for a switch), what it does, which protocols have it."""

    takes: str
    help: str
    store: Callable[[Asked, str], None]
    protocols: tuple[str, ...] = PROTOCOLS
    hidden: bool = False


def read_command(line: str) -> Asked:
    """Read a command. Raises Error 1107, 1108, 1109, 1110 or 1123."""
    if not line.strip():
        raise no_command()
    words = _split(line)
    proto = words[0]
    if proto in {"-h", "--help", "help"}:
        return Asked("", help=True)
    if proto not in PROTOCOLS:
        raise Error(f"The command {proto!r} is unknown; use one of {', '.join(PROTOCOLS)}.", 1108)
    asked = Asked(proto)
    rest = iter(words[1:])
    for word in rest:
        if word in {"-h", "--help"}:
            asked.help = True
        else:
            _flag(asked, word, rest)
    return asked


def no_command() -> Error:
    """Make the error of a client that asked for a shell or for nothing."""
    return Error(
        "There is no shell here. Say what to forward by a command, such as: "
        "ssh -R 443:localhost:8080 HOST http",
        1107,
    )


def late_command(patience: str) -> Error:
    """Make the error of a client that says none, perhaps by -N."""
    return Error(
        f"No command came within {patience}. Give one, without -N: ssh -R 443:localhost:8080 HOST http", 1111
    )


def late_forward(patience: str, proto: str) -> Error:
    """Make the error of a client that says a command and no -R."""
    return Error(
        f"No forwarding was asked for within {patience}. Use -R: ssh -R 443:localhost:8080 HOST {proto}", 1112
    )


def usage(proto: str) -> str:
    """Return the help of a command; of all for ""."""
    lines = [
        f"Usage: ssh -R [HOST:]PORT:LOCAL_HOST:LOCAL_PORT GATEWAY {proto or '|'.join(PROTOCOLS)} [FLAGS]"
    ]
    lines += ["", "Flags:"]
    for name, flag in FLAGS.items():
        if not flag.hidden and (not proto or proto in flag.protocols):
            lines.append(f"  {f'--{name} {flag.takes}'.rstrip():<34}{flag.help}")
    return "\n".join(lines)


def _split(line: str) -> list[str]:
    if len(line) > LINE_LIMIT:
        raise Error(f"The command is longer than {LINE_LIMIT} characters.", 1110)
    try:
        return shlex.split(line)
    except ValueError as error:
        raise Error(f"The command cannot be read: {error}.", 1110) from error


def _flag(asked: Asked, word: str, rest: Iterator[str]) -> None:
    """Take one flag, with its value where it has one."""
    if not word.startswith("-"):
        raise Error(
            f"{word!r} is no flag. The address to forward to is said by -R: "
            "-R PORT:LOCAL_HOST:LOCAL_PORT.", 1110,
        )  # fmt: skip
    if not word.startswith("--"):
        raise Error(f"Flags have two hyphens: -{word}.", 1110)
    name, equals, value = word[2:].partition("=")
    flag = FLAGS.get(name)
    if flag is None and name not in _AGENTS_ONLY:
        known = [each for each, made in FLAGS.items() if asked.proto in made.protocols]
        close = difflib.get_close_matches(name, known, 1)
        say = f"did you mean --{close[0]}?" if close else f"{asked.proto} --help lists those that there are."
        raise Error(f"The flag --{name} is unknown; {say}", 1110)
    if flag is None or asked.proto not in flag.protocols:
        raise unsupported(name, "" if flag is None else f" for {asked.proto}")
    if flag.takes and not equals:
        found = next(rest, None)
        if found is None:
            raise Error(f"The flag --{name} needs a value.", 1110)
        value = found
    elif not flag.takes:
        value = value or "true"
        if value not in {"true", "false"}:
            raise Error(f"The flag --{name} is true or false, not {value!r}.", 1110)
    flag.store(asked, value)


def unsupported(name: str, more: str = "") -> Error:
    """Make the error of a flag that only agents have."""
    return Error(f"The flag --{name} is not supported over SSH{more}.", 1109)


# How flags are stored.


def _text(attribute: str) -> Callable[[Asked, str], None]:
    return lambda asked, value: setattr(asked, attribute, value)


def _bindings(asked: Asked, value: str) -> None:
    asked.bindings = (*asked.bindings, value)


def _pooling(asked: Asked, value: str) -> None:
    asked.pooling = value == "true"


def _module(name: str) -> Callable[[Asked, str], None]:
    """Switch an option without fields on."""

    def store(asked: Asked, value: str) -> None:
        asked.modules[name] = {} if value == "true" else None

    return store


def _listed(module: str, key: str) -> Callable[[Asked, str], None]:
    """Add to a list of an option."""

    def store(asked: Asked, value: str) -> None:
        _lists(asked, module).setdefault(key, []).append(value)

    return store


def _lists(asked: Asked, module: str) -> dict[str, list[object]]:
    return cast("dict[str, list[object]]", asked.modules.setdefault(module, {}))


def _basic_auth(asked: Asked, value: str) -> None:
    username, colon, password = value.partition(":")
    if not colon:
        raise Error("The flag --basic-auth needs USER:PASSWORD.", 1110)
    user: object = {"username": username, "cleartext_password": password}
    _lists(asked, "BasicAuth").setdefault("credentials", []).append(user)


def _circuit_breaker(asked: Asked, value: str) -> None:
    try:
        asked.modules["CircuitBreaker"] = {"error_threshold": float(value)}
    except ValueError:
        raise Error(f"The flag --circuit-breaker needs a number from 0 to 1, not {value!r}.", 1110) from None


def _host_header(asked: Asked, value: str) -> None:
    """Add the field; "rewrite" needs the upstream, which only the client knows."""
    if value == "preserve":
        return
    if value == "rewrite":
        raise Error(
            "The flag --host-header=rewrite is not supported over SSH, where the service does not know the "
            "upstream; give the name: --host-header=NAME.", 1109,
        )  # fmt: skip
    _listed("RequestHeaders", "add")(asked, f"host:{value}")


def _policy_url(asked: Asked, value: str) -> None:
    if not value.startswith(("http://", "https://")):
        raise Error("The flag --traffic-policy-url needs an http:// or https:// URL.", 1110)
    asked.policy_url = value


def _proxy(_asked: Asked, value: str) -> None:
    if value not in {"1", "2"}:
        raise Error(f"The PROXY protocol version {value!r} does not exist; use 1 or 2.", 1123)
    raise unsupported("proxy-proto", ": no PROXY header can be sent to the upstream")


_NAMED: Final = ("http", "tls")
_HTTP: Final = ("http",)
_TCP: Final = ("tcp",)
_PLAIN: Final = ("tls", "tcp")

FLAGS: Final[dict[str, Flag]] = {
    "url": Flag("URL", "Address of the endpoint; the bind part of -R says it as well.", _text("url")),
    "domain": Flag("NAME", "The same, older.", _text("domain"), _NAMED, hidden=True),
    "hostname": Flag("NAME", "The same, older.", _text("hostname"), _NAMED, hidden=True),
    "subdomain": Flag("LABEL", "Name below the service's domain.", _text("subdomain"), _NAMED, hidden=True),
    "remote-addr": Flag("HOST:PORT", "The same, older.", _text("remote_addr"), _TCP, hidden=True),
    "name": Flag("NAME", "Name of the endpoint.", _text("name")),
    "description": Flag("TEXT", "Description of the endpoint.", _text("description")),
    "metadata": Flag("TEXT", "Metadata of the endpoint.", _text("metadata")),
    "binding": Flag("public|internal", "Who can reach it.", _bindings),
    "traffic-policy-url": Flag("URL", "Traffic policy, which the service fetches.", _policy_url),
    "pooling-enabled": Flag("", "Let other endpoints share its URL.", _pooling),
    "basic-auth": Flag("USER:PASSWORD", "Ask visitors for it; may be repeated.", _basic_auth, _HTTP),
    "cidr-allow": Flag("CIDR", "Admit these visitors only.", _listed("IPRestriction", "allow_cidrs")),
    "cidr-deny": Flag("CIDR", "Refuse these visitors.", _listed("IPRestriction", "deny_cidrs")),
    "circuit-breaker": Flag("SHARE", "Refuse visitors while more fails.", _circuit_breaker, _HTTP),
    "compression": Flag("", "Compress answers.", _module("Compression"), _HTTP),
    "host-header": Flag("NAME", "Host that the upstream is told.", _host_header, _HTTP),
    "request-header-add": Flag(
        "NAME:VALUE", "Add to requests.", _listed("RequestHeaders", "add"), _HTTP),
    "request-header-remove": Flag(
        "NAME", "Take out of requests.", _listed("RequestHeaders", "remove"), _HTTP),
    "response-header-add": Flag(
        "NAME:VALUE", "Add to answers.", _listed("ResponseHeaders", "add"), _HTTP),
    "response-header-remove": Flag(
        "NAME", "Take out of answers.", _listed("ResponseHeaders", "remove"), _HTTP),
    "ua-filter-allow": Flag("RE2", "Admit these user agents.", _listed("UserAgentFilter", "allow"), _HTTP),
    "ua-filter-deny": Flag("RE2", "Refuse these user agents.", _listed("UserAgentFilter", "deny"), _HTTP),
    "proxy-proto": Flag("1|2", "", _proxy, hidden=True),
    "upstream-proxy-protocol": Flag("1|2", "", _proxy, hidden=True),
    "region": Flag("NAME", "", lambda _asked, _value: None, hidden=True),
}  # fmt: skip
"""What an SSH client may say."""

_AGENTS_ONLY: Final = frozenset({
    "app-protocol", "authtoken", "config", "crt", "inspect", "key", "log", "log-format", "log-level",
    "mutual-tls-cas", "oauth", "oauth-allow-domain", "oauth-allow-email", "oauth-client-id",
    "oauth-client-secret", "oauth-scope", "oidc", "oidc-client-id", "oidc-client-secret", "oidc-scope",
    "policy-file", "scheme", "terminate-at", "traffic-policy-file", "upstream-protocol",
    "upstream-tls-verify", "upstream-tls-verify-cas", "verify-webhook",
    "verify-webhook-secret", "websocket-tcp-converter", "web-addr",
})  # fmt: skip
"""Flags of agents that are refused by name."""
