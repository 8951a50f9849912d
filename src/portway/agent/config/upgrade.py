"""Files of older versions → of newer ones, in their text, so that comments stay beside what they are about.

1 → 2: a version, a region, and the names that have changed since. 2 → 3: options move below ``agent``, and
each tunnel that version 3 can say becomes an endpoint. A tunnel that uses what only version 2 has (labels,
modules that are traffic policies today) stays where it is, with a warning.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from portway.agent.config.document import parse
from portway.agent.config.edit import written
from portway.agent.config.settings import RENAMED
from portway.codec.document import Node
from portway.errors import ConfigError

NEWEST: Final = 3
_AGENT_INDENT: Final = "  "

_SAME: Final = (
    "url", "description", "metadata", "inspect", "pooling_enabled", "bindings",
    "traffic_policy", "traffic_policy_file", "traffic_policy_url",
)  # fmt: skip
"""Options of a tunnel that an endpoint has under the same name."""
_OTHER: Final = {"policy": "traffic_policy", "policy_file": "traffic_policy_file"}
_UPSTREAM: Final = {
    "addr": "url",
    "proxy_proto": "proxy_protocol",
    "upstream_proxy_protocol": "proxy_protocol",
    "app_protocol": "protocol",
    "upstream_protocol": "protocol",
    "upstream_tls_verify": "tls_verify",
    "verify_upstream_tls": "tls_verify",
    "upstream_tls_verify_cas": "tls_verify_cas",
    "upstream_ca_path": "tls_verify_cas",
}
_ADDRESS: Final = ("proto", "domain", "hostname", "remote_addr", "schemes", "name")
_TLS: Final = {
    "crt": "server_certificate",
    "key": "server_private_key",
    "mutual_tls_cas": "mutual_tls_certificate_authorities",
}


@dataclass(slots=True)
class Upgraded:
    """A file's new text, the version it had, and what could not be carried over."""

    text: str
    was: int
    warnings: list[str] = field(default_factory=list[str])


def upgrade(text: str, file: str, to: int = NEWEST) -> Upgraded:
    """Bring the text of a file to a version. Raises ConfigError: unreadable, or newer than that."""
    if to not in (2, NEWEST):
        raise ConfigError(f"version {to} is unknown; this program writes 2 and {NEWEST}")
    was = now = _version(parse(text, file))
    if was > to:
        raise ConfigError(f"{file} has version {was}: it cannot be taken back to version {to}")
    done = Upgraded(text, was)
    if now == 1:
        done.text, now = _to_2(done.text, file), 2
    if now == 2 and to == NEWEST:
        done.text = _to_3(done, file)
    return done


def _version(root: Node) -> int:
    said = root.entries.get("version")
    if said is None:
        return NEWEST if "agent" in root.entries else 1
    if said.text not in ("1", "2", "3"):
        raise ConfigError(f"{said.place}: this version is unknown")
    return int(said.text)


# -- the text as blocks: a key with all its lines, and the comments above it -------------------------


@dataclass(slots=True)
class _Block:
    """One entry of a map: the comments above it, its lines, its value."""

    key: str
    above: list[str]
    lines: list[str]
    node: Node
    start: int
    """Its first line, from 1."""

    def below(self, lines: list[str]) -> "tuple[list[_Block], list[str]]":
        """Cut the map that is its value; ``lines`` are those of the file."""
        return _blocks(lines, self.node, self.start + 1, self.start + len(self.lines))

    def renamed(self, key: str) -> None:
        self.lines[0] = re.sub(rf"^(\s*)(['\"]?){re.escape(self.key)}\2", rf"\1{key}", self.lines[0], count=1)
        self.key = key

    def valued(self, value: str) -> None:
        """Put another scalar in the place of its own, before `renamed`; a comment behind it stays."""
        head, tail = self.lines[0], ""
        if self.node.end[0] == self.node.line and self.node.line:
            tail = head[self.node.end[1] - 1 :]
        indent = head[: len(head) - len(head.lstrip())]
        self.lines = [f"{indent}{self.key}: {value}{tail.rstrip()}\n"]

    def moved(self, to: int) -> list[str]:
        """Return all lines with the key at another column."""
        have = len(self.lines[0]) - len(self.lines[0].lstrip())
        return [_shifted(line, to - have) for line in (*self.above, *self.lines)]


def _shifted(line: str, by: int) -> str:
    if not line.strip():
        return line
    return " " * by + line if by >= 0 else line[min(-by, len(line) - len(line.lstrip())) :]


def _blocks(lines: list[str], node: Node, first: int, last: int) -> tuple[list[_Block], list[str]]:
    """Cut lines ``first`` to ``last`` (the end excluded) into the map's entries, and what is behind."""
    if node.flow:
        raise ConfigError(
            f"{node.place}: written in braces on one line; write it on lines of its own, then upgrade"
        )
    marks = sorted((line, key) for key, (line, _) in node.keys.items())
    blocks: list[_Block] = []
    above = lines[first - 1 : marks[0][0] - 1] if marks else []
    for index, (line, key) in enumerate(marks):
        end = marks[index + 1][0] if index + 1 < len(marks) else last
        own = lines[line - 1 : end - 1]
        cut = _own_end(own)
        blocks.append(_Block(key, above, own[:cut], node.entries[key], line))
        above = own[cut:]
    return blocks, above


def _own_end(lines: list[str]) -> int:
    """Return where the comments and blank lines begin that belong to what follows."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    end = len(lines)
    while end > 1:
        line = lines[end - 1]
        text = line.strip()
        if text and not (text.startswith("#") and len(line) - len(line.lstrip()) <= indent):
            break
        end -= 1
    return end


def _lines(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


# -- 1 → 2 -------------------------------------------------------------------------------------------


def _to_2(text: str, file: str) -> str:
    root, lines = parse(text, file), _lines(text)
    blocks, rest = _blocks(lines, root, 1, len(lines) + 1)
    top = {"http_proxy": "proxy_url", "socks5_proxy": "proxy_url"}
    made: list[str] = []
    for block in blocks:
        if block.key == "version":
            continue
        if block.key in top:
            block.renamed(top[block.key])
        if block.key == "tunnels" and block.node.kind == "map":
            made += [*block.above, *_tunnels_to_2(lines, block)]
        else:
            made += [*block.above, *block.lines]
    head = ["version: 2\n", *([] if "region" in root.entries else ["region: us\n"])]
    lead = _leading_comments(made)
    return "".join([*made[:lead], *head, *made[lead:], *rest])


def _leading_comments(lines: list[str]) -> int:
    """Return how many lines at the top are a comment on the file: a blank line ends it."""
    for index, line in enumerate(lines):
        if not line.strip():
            return index + 1
        if not line.startswith("#"):
            return 0
    return 0


def _tunnels_to_2(lines: list[str], outer: _Block) -> list[str]:
    if not outer.node.keys:
        return outer.lines
    made = [outer.lines[0]]
    tunnels, rest = outer.below(lines)
    for tunnel in tunnels:
        made += [*tunnel.above, tunnel.lines[0]]
        options, behind = tunnel.below(lines)
        for option in options:
            _option_to_2(option)
            made += [*option.above, *option.lines]
        made += behind
    return [*made, *rest]


def _option_to_2(option: _Block) -> None:
    if option.key == "auth":
        option.valued(f"[{written(option.node.text)}]")
        option.renamed("basic_auth")
    elif option.key == "bind_tls":
        schemes = {"true": "[https]", "false": "[http]"}.get(option.node.text.lower(), "[http, https]")
        option.valued(schemes)
        option.renamed("schemes")


# -- 2 → 3 -------------------------------------------------------------------------------------------


def _to_3(done: Upgraded, file: str) -> str:
    root, lines = parse(done.text, file), _lines(done.text)
    blocks, rest = _blocks(lines, root, 1, len(lines) + 1)
    head: list[str] = ["version: 3\n"]
    agent: list[str] = []
    endpoints: list[str] = []
    kept: list[str] = []
    for block in blocks:
        if block.key == "version":
            block.valued("3")
            head = [*block.above, *block.lines]
        elif block.key == "region":
            done.warnings.append("region: version 3 has none; connect_url says where to connect")
        elif block.key == "tunnels":
            endpoints, kept = _tunnels_to_3(lines, block, done.warnings)
        else:
            block.renamed(RENAMED.get(block.key, block.key))
            agent += block.moved(len(_AGENT_INDENT))
    body = ["agent:\n", *agent] if agent else ["agent: {}\n"]
    return "".join([*head, *body, *endpoints, *kept, *rest])


def _tunnels_to_3(lines: list[str], outer: _Block, warnings: list[str]) -> tuple[list[str], list[str]]:
    """Return the lines of ``endpoints``, and those of the ``tunnels`` that stay."""
    if outer.node.kind != "map" or not outer.node.keys:
        return [], []
    tunnels, rest = outer.below(lines)
    made: list[str] = []
    kept: list[str] = []
    for tunnel in tunnels:
        reason = _obstacle(tunnel.node)
        if reason:
            warnings.append(f"tunnels.{tunnel.key} stays a tunnel: {reason}")
            kept += [*tunnel.above, *tunnel.lines]
        else:
            made += _endpoint(lines, tunnel)
    endpoints = [*outer.above, "endpoints:\n", *made, *rest] if made else []
    return endpoints, ["tunnels:\n", *kept] if kept else []


def _obstacle(node: Node) -> str:
    """Say why version 3 cannot say this; "" if it can."""
    known = {*_SAME, *_OTHER, *_UPSTREAM, *_ADDRESS, *_TLS, "terminate_at", "binding"}
    foreign = [key for key in node.entries if key not in known]
    if "labels" in foreign:
        return "endpoints have no labels, tunnels have"
    if foreign:
        return f"{', '.join(foreign)} must become a traffic_policy first"
    if node.flow:
        return "it is written in braces on one line"
    schemes = node.entries.get("schemes")
    if schemes is not None and len(schemes.items or [schemes]) > 1:
        return "two schemes are two endpoints; write them yourself"
    where = node.entries.get("terminate_at")
    if where is not None and where.text == "edge":
        return "TLS that ends at the service is a traffic_policy: terminate-tls"
    if "mutual_tls_cas" in node.entries and node.entries.get("proto", node).text != "tls":
        return "mutual_tls_cas must become a traffic_policy first"
    return ""


def _endpoint(lines: list[str], tunnel: _Block) -> list[str]:
    options, behind = tunnel.below(lines)
    comment = tunnel.lines[0].partition("#")[2]
    tail = f"  #{comment.rstrip()}" if comment else ""
    made = [_shifted(line, 0) for line in tunnel.above]
    made.append(f"  - name: {written(tunnel.key)}{tail}\n")
    upstream: list[str] = []
    ends: list[str] = []
    for option in options:
        if option.key in _ADDRESS or option.key == "terminate_at":
            made += [*option.above]
        elif option.key in _UPSTREAM:
            option.renamed(_UPSTREAM[option.key])
            upstream += option.moved(6)
        elif option.key in _TLS:
            option.renamed(_TLS[option.key])
            ends += option.moved(6)
        elif option.key == "binding":
            option.valued(f"[{option.node.text}]")
            option.renamed("bindings")
            made += option.moved(4)
        else:
            option.renamed(_OTHER.get(option.key, option.key))
            made += option.moved(4)
    url = _url(tunnel.node)
    if url:
        made.insert(len(tunnel.above) + 1, f"    url: {written(url)}\n")
    made += ["    upstream:\n", *upstream]
    if ends:
        made += ["    agent_tls_termination:\n", *ends]
    return [*made, *behind]


def _url(node: Node) -> str:
    """Return the URL that a tunnel's options mean; "" where it has one already, or needs none."""
    if "url" in node.entries:
        return ""

    def said(*names: str) -> str:
        return next((node.entries[name].text for name in names if name in node.entries), "")

    proto, host = said("proto"), said("domain", "hostname")
    if proto == "tcp":
        return f"tcp://{said('remote_addr')}"
    if proto == "tls":
        return f"tls://{host}"
    schemes = node.entries.get("schemes")
    if schemes is None:
        return f"https://{host}" if host and "://" not in host else host
    chosen = (schemes.items or [schemes])[0].text
    return f"{chosen}://{host}"
