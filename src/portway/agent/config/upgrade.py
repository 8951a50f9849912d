"""Files of older versions → of newer ones, in their text, so that comments stay beside what they are about.

1 → 2: a version, a region, and the names that have changed since; files that say version 2 have old names,
too. 2 → 3: options move below ``agent``, and each tunnel that version 3 can say becomes an endpoint. A tunnel
that uses what only version 2 has (labels, modules that are traffic policies today) stays where it is, with a
warning.
"""

import re
import textwrap
from dataclasses import dataclass, field
from typing import Final

from portway.agent.config.document import parse
from portway.agent.config.edit import in_lines, looks_new, with_version, written
from portway.agent.config.settings import RENAMED
from portway.agent.config.unfold import unfolded
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
_PROXIES: Final = ("http_proxy", "socks5_proxy")
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
    root = parse(text, file)
    was = _version(root)
    if was > to:
        raise ConfigError(f"{file} has version {was}: it cannot be taken back to version {to}")
    done = Upgraded(text, was)
    if was == NEWEST and "version" not in root.entries:
        done.text = in_lines(text, lambda now: with_version(now, parse(now, file), NEWEST))
    elif was < NEWEST:
        done.text = in_lines(text, lambda now: _upgraded(done, now, file, to))
    return done


def _upgraded(done: Upgraded, text: str, file: str, to: int) -> str:
    text = unfolded(_at_the_left(text, file), file)
    text = _to_2(done, text, file, region=to == 2)
    return _to_3(done, text, file) if to == NEWEST else text


def _at_the_left(text: str, file: str) -> str:
    """Return the text with its first key at the beginning of its line."""
    return textwrap.dedent(text) if parse(text, file).column > 1 else text


def _version(root: Node) -> int:
    said = root.entries.get("version")
    if said is None:
        return NEWEST if looks_new(root) else 1
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
    if node.keys and min(node.keys.values()) < (node.line, node.column):
        raise ConfigError(f"{node.place}: an alias stands here; write the values out, then upgrade")
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


def _to_2(done: Upgraded, text: str, file: str, *, region: bool) -> str:
    """Rename what has another name today; a file of version 1 gets its version, and ``region`` if asked."""
    root, lines = parse(text, file), _lines(text)
    blocks, rest = _blocks(lines, root, 1, len(lines) + 1)
    made: list[str] = []
    for block in blocks:
        if block.key == "version" and done.was == 1:
            continue
        if block.key in _PROXIES:
            block.renamed("proxy_url")
        if block.key == "tunnels" and block.node.kind == "map":
            made += [*block.above, *_tunnels_to_2(lines, block, done.warnings)]
        else:
            made += [*block.above, *block.lines]
    if done.was == 1:
        head = ["version: 2\n", *(["region: us\n"] if region and "region" not in root.entries else [])]
        lead = _leading_comments(made)
        made = [*made[:lead], *head, *made[lead:]]
    return "".join([*made, *rest])


def _leading_comments(lines: list[str]) -> int:
    """Return how many lines at the top are a comment on the file: a blank line ends it."""
    for index, line in enumerate(lines):
        if not line.strip():
            return index + 1
        if not line.startswith("#"):
            return 0
    return 0


def _tunnels_to_2(lines: list[str], outer: _Block, warnings: list[str]) -> list[str]:
    if not outer.node.keys:
        return outer.lines
    made = [outer.lines[0]]
    tunnels, rest = outer.below(lines)
    for tunnel in tunnels:
        if not tunnel.node.keys:
            made += [*tunnel.above, *tunnel.lines]
            continue
        made += [*tunnel.above, tunnel.lines[0]]
        options, behind = tunnel.below(lines)
        for option in options:
            made += option.above
            if why := _superfluous(option.key, tunnel.node):
                warnings.append(f"tunnels.{tunnel.key}.{option.key} is left out: {why}")
                continue
            _option_to_2(option)
            made += option.lines
        made += behind
    return [*made, *rest]


def _superfluous(key: str, tunnel: Node) -> str:
    """Say why an option need not be kept; "" if it must."""
    if key == "bind_tls" and "schemes" in tunnel.entries:
        return "schemes says it"
    return "a tunnel has none" if key == "region" else ""


def _option_to_2(option: _Block) -> None:
    if option.key == "auth":
        option.valued(f"[{written(option.node.text)}]")
        option.renamed("basic_auth")
    elif option.key == "bind_tls":
        schemes = {"true": "[https]", "false": "[http]"}.get(option.node.text.lower(), "[http, https]")
        option.valued(schemes)
        option.renamed("schemes")


# -- 2 → 3 -------------------------------------------------------------------------------------------


def _to_3(done: Upgraded, text: str, file: str) -> str:
    root, lines = parse(text, file), _lines(text)
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
        return [], [*outer.above, *outer.lines]
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
    if not made:
        return [], [*outer.above, outer.lines[0], *kept, *rest]
    comment = outer.lines[0].partition("#")[2]
    head = f"endpoints:  #{comment}" if comment else "endpoints:\n"
    return [*outer.above, head, *made, *rest], ["tunnels:\n", *kept] if kept else []


def _obstacle(node: Node) -> str:
    """Say why version 3 cannot say this; "" if it can."""
    known = {*_SAME, *_OTHER, *_UPSTREAM, *_ADDRESS, *_TLS, "terminate_at", "binding"}
    foreign = [key for key, value in node.entries.items() if key not in known and not value.is_null]
    if "labels" in foreign:
        return "endpoints have no labels, tunnels have"
    if "subdomain" in foreign:
        return "version 3 has no subdomain; write the whole name as url"
    if foreign:
        return f"{', '.join(foreign)} must become a traffic_policy first"
    if node.entries.get("addr", node).kind != "scalar" or node.entries.get("proto", node).kind != "scalar":
        return "it has no addr and proto of one word each"
    schemes = node.entries.get("schemes")
    if schemes is not None and len(schemes.items or [schemes]) > 1:
        return "two schemes are two endpoints; write them yourself"
    where = node.entries.get("terminate_at")
    if where is not None and where.text == "edge":
        return "TLS that ends at the service is a traffic_policy: terminate-tls"
    if "mutual_tls_cas" in node.entries and node.entries["proto"].text != "tls":
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
        elif option.node.is_null:
            comment = option.lines[0].partition("#")[2]
            made += [*option.above, *([f"    #{comment}"] if comment else [])]
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
