"""Write docs/reference/sdk.md: every public name of `import portway`, from its own docstrings.

`--check` writes nothing and fails when the page is not what it would write. A public name, a public member
of a class or a module without a docstring fails too: what is not documented is not public.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import portway

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "sdk.md"

HEAD = """\
# The Python SDK

Written by `tools/sdk_reference.py` from the docstrings; do not edit. `import portway` gives all of these
names and loads each on its first use. Programs that use them stand in `examples/`.
"""

GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Agents", "agent.agent", ("Agent", "AgentSession", "ClientInfo", "default_agent", "Dialer")),
    ("Endpoints", "agent.endpoint", ("Endpoint", "EndpointListener", "Connection", "URL")),
    ("Forwarding", "agent.upstream", ("EndpointForwarder", "Upstream", "ProxyProtocol")),
    ("TLS that ends at the agent", "agent.termination", ("TLSTermination",)),
    ("Labels", "agent.labels", ()),
    ("Serving applications", "agent.serve", ("serve",)),
    (
        "Events",
        "agent.events",
        (
            "Event",
            "EventType",
            "AgentConnectSucceeded",
            "AgentDisconnected",
            "AgentHeartbeatReceived",
            "ConnectionOpened",
            "ConnectionClosed",
            "HTTPRequestComplete",
        ),
    ),
    ("Remote commands", "agent.rpc", ("RPCRequest",)),
    (
        "Diagnosis",
        "agent.diagnose",
        (
            "Diagnoser",
            "DiagnoseResult",
            "DiagnoseFailure",
            "is_tcp_diagnose_failure",
            "is_tls_diagnose_failure",
            "is_muxado_diagnose_failure",
        ),
    ),
    ("Without await", "agent.sync", ("SyncAgent", "SyncListener", "SyncForwarder", "SyncConnection")),
    (
        "The call forms of older SDKs",
        "agent.v1",
        ("forward", "listen", "listen_and_forward", "Forwarding", "Listening"),
    ),
    ("TLS in the words of older SDKs", "agent.edge_tls", ()),
    (
        "Builders",
        "agent.builder",
        (
            "SessionBuilder",
            "Session",
            "TcpEndpointBuilder",
            "TlsEndpointBuilder",
            "HttpEndpointBuilder",
            "LabeledListenerBuilder",
        ),
    ),
    (
        "Errors",
        "errors",
        (
            "PortwayError",
            "Error",
            "ConnectError",
            "ConfigError",
            "NotConnected",
            "AlreadyConnected",
            "ListenerClosed",
            "SessionClosed",
            "StreamReset",
        ),
    ),
)
"""Title, the module whose docstring introduces it, and the names. Every public name stands in one."""


WIDTH = 100
"""Characters of a signature that stand on one line."""

_MODULES = re.compile(r"\b(?:portway|collections|typing|pathlib|datetime|logging|asyncio)\.(?:\w+\.)*(?=\w)")


class Undocumented(Exception):
    """A public name has no docstring, or stands in no group."""


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit status."""
    try:
        text = HEAD + "".join(sections())
    except Undocumented as error:
        print(error)
        return 1
    if "--check" not in arguments:
        PAGE.write_text(text)
        print(f"{PAGE.relative_to(ROOT)} written")
    elif not PAGE.exists() or PAGE.read_text() != text:
        print(f"{PAGE.relative_to(ROOT)} is not up to date; run: make reference")
        return 1
    return 0


def sections() -> Iterator[str]:
    """Give the page piece by piece. Raises `Undocumented`."""
    grouped = [name for _, _, names in GROUPS for name in names]
    public = {name for name in portway.__all__ if not name.startswith("_")}
    if set(grouped) != public or len(grouped) != len(public):
        odd = sorted(set(grouped) ^ public)
        raise Undocumented(f"tools/sdk_reference.py: not in exactly one group: {odd}")
    for title, module, names in GROUPS:
        yield f"\n## {title}\n\n{_prose(_doc(import_module('portway.' + module), module))}\n"
        for name in names:
            yield from _entry(name, getattr(portway, name))


def _entry(name: str, value: Any) -> Iterator[str]:
    """Describe one public name, and the members of a class."""
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        yield f"### `{name}`\n\nAn `{type(value).__name__}` that is there without being made.\n\n"
        return
    shown = "" if _is_plain(value) else f"```text\n{_wrapped(name, _signature(value))}\n```\n\n"
    yield f"### `{name}`\n\n{shown}{_prose(_doc(value, name))}\n\n"
    if not inspect.isclass(value):
        return
    if not _is_plain(value) and (own := inspect.getdoc(value.__init__)):
        yield _item("", "", own)
    for member, found in sorted(_members(value).items()):
        doc = _doc(found, f"{name}.{member}")
        yield _item(member, _signature(found) if inspect.isroutine(found) else "", doc)
    yield "\n"


def _item(name: str, signature: str, doc: str) -> str:
    """Return one entry of a list: a member, or with no name how the object is made."""
    what = f"**`{name}{signature}`**" if name else "Made with"
    text = textwrap.indent(_prose(doc), "  ").strip()
    return f"- {what}: {text}\n"


def _members(cls: type) -> dict[str, Any]:
    """Return the public members of a class, with those of bases that have no entry of their own."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is not cls and (
            base.__name__ in portway.__all__ or not base.__module__.startswith("portway.")
        ):
            continue
        for name, value in vars(base).items():
            if not name.startswith("_") and _is_documented_kind(value):
                found[name] = getattr(cls, name) if isinstance(value, staticmethod | classmethod) else value
    return found


def _is_documented_kind(value: object) -> bool:
    kinds = (property, cached_property, staticmethod, classmethod)
    return inspect.isroutine(value) or isinstance(value, kinds)


def _is_plain(value: Any) -> bool:
    """Say whether how a class is made says nothing: exceptions, enumerations, protocols, inner classes."""
    if not inspect.isclass(value):
        return False
    made = inspect.getdoc(value.__init__) or ""
    inner = "only." in made.partition("\n")[0]
    kinds = (BaseException, str, int)
    return inner or issubclass(value, kinds) or getattr(value, "_is_protocol", False)


def _signature(value: Any) -> str:
    """Return the parameters as they are written, without the modules of their types."""
    text = str(inspect.signature(value))
    text = re.sub(r"\(self(?:, /)?(?:, )?", "(", text)
    text = re.sub(
        r"\b(?:portway|collections|typing|pathlib|datetime|logging|asyncio)\.(?:\w+\.)*(?=\w)", "", text
    )
    return re.sub(r"(: |-> )'([^']+)'", r"\1\2", text)


def _wrapped(name: str, signature: str) -> str:
    """Return a signature on one line, or with a line for each parameter."""
    whole = name + signature
    if len(whole) <= WIDTH:
        return whole
    inner, _, result = signature[1:].rpartition(")")
    parts: list[str] = []
    depth = 0
    for piece in inner.split(", "):
        if depth:
            parts[-1] += f", {piece}"
        else:
            parts.append(piece)
        depth += piece.count("[") - piece.count("]")
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def _doc(value: Any, name: str) -> str:
    doc = inspect.getdoc(value)
    if not doc:
        raise Undocumented(f"{name} has no docstring")
    return doc


def _prose(doc: str) -> str:
    """Turn a docstring into Markdown: tables of text and literal blocks stand as they are."""
    lines: list[str] = []
    inside = False
    for line in doc.splitlines():
        if line.strip() == "::":
            continue
        table = line.startswith("===")
        if table and not inside:
            lines.append("```text")
            inside = True
        if inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line)
    if inside:
        lines.append("```")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).replace("::\n", ":\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
