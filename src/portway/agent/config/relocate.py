"""A file that moves elsewhere: the files that it names beside itself are named in full from then on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from portway.agent.config.document import parse
from portway.agent.config.edit import written
from portway.agent.config.unfold import spliced
from portway.codec.document import Node

_PATHS: Final = frozenset({
    "connect_cas", "root_cas", "traffic_policy_file", "policy_file", "tls_verify_cas",
    "upstream_tls_verify_cas", "upstream_ca_path", "mutual_tls_cas", "crt", "key",
    "server_certificate", "server_private_key", "mutual_tls_certificate_authorities",
})  # fmt: skip
"""Keys whose values are paths of files."""
_OTHERS: Final = frozenset({"traffic_policy", "policy", "trusted", "host"})
"""Keys below which no paths stand, and values of ``_PATHS`` that are none."""


def rooted(text: str, file: str) -> str:
    """Return the text of a file with the relative paths of files beside it written in full.

    A path to which nothing is there stays: it is meant from where the command is run.
    """
    folder = Path(file).parent.absolute()
    return spliced(
        text,
        [
            ((node.line, node.column), node.end, written(str(folder / node.text)))
            for node in _named(parse(text, file))
            if node.end[0] and node.text not in _OTHERS and (folder / node.text).exists()
        ],
    )


def _named(node: Node) -> Iterator[Node]:
    """Find the values that are relative paths."""
    for item in node.items:
        yield from _named(item)
    for key, value in node.entries.items():
        if key in _PATHS:
            for each in value.items or [value]:
                if each.kind == "scalar" and each.text and not Path(each.text).expanduser().is_absolute():
                    yield each
        elif key not in _OTHERS:
            yield from _named(value)
