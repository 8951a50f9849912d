"""Socket addresses as text: "192.0.2.1:80", "[2001:db8::1]:80", a path, or "" for none."""

from typing import cast


def written(name: object) -> str:
    """Write what `getsockname`, `getpeername` or a transport's "peername" gives."""
    if isinstance(name, tuple):
        host, port = cast("tuple[str, int]", name[:2])
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return name if isinstance(name, str) else ""


def split_address(text: str) -> tuple[str, int]:
    """Split ``ip:port`` or ``[v6]:port``, as `written` writes it; ("", 0) when there is none."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0
