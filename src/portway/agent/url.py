"""URLs as the SDK shows them: text that knows its parts."""

from urllib.parse import urlsplit

from portway.errors import ConfigError

DEFAULT_PORTS = {"http": 80, "https": 443, "tls": 443}
"""The port that a URL of this scheme does not show. ``tcp`` has none."""


class URL(str):
    """A URL such as ``https://a.example`` or ``tcp://localhost:20000``.

    It *is* its text. It may also be called, ``endpoint.url()``, as the older SDKs do, and gives its
    text then as well.
    """

    __slots__ = ()

    def __call__(self) -> str:
        """Return the text; the form of the older SDKs."""
        return str(self)

    @property
    def scheme(self) -> str:
        """Return the part before ``://``."""
        return urlsplit(self).scheme

    @property
    def host(self) -> str:
        """Return the host with its port where the URL shows one."""
        return urlsplit(self).netloc

    @property
    def hostname(self) -> str:
        """Return the host alone, without port and without brackets."""
        return urlsplit(self).hostname or ""

    @property
    def port(self) -> int | None:
        """Return the port, the scheme's default if none is shown, None for ``tcp`` without one."""
        return urlsplit(self).port or DEFAULT_PORTS.get(self.scheme)


def split_host_port(text: str, what: str) -> tuple[str, int | None]:
    """Split ``host``, ``host:port`` or ``[v6]:port``; brackets are removed.

    Raises `ConfigError`, naming ``what``, when the host is missing or the port is not 1–65535.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigError(f"{what}: {text!r} has an unfinished [address]")
        port = rest[1:] if rest else None
    else:
        host, colon, port = text.partition(":")
        port = port if colon else None
    if not host or any(c in host for c in "/@?# "):
        raise ConfigError(f"{what}: {text!r} is not host:port")
    if port is None:
        return host, None
    return host, parse_port(port, what)


def parse_port(text: str, what: str) -> int:
    """Return the port 1–65535 that ``text`` names. Raises `ConfigError`, naming ``what``."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
        raise ConfigError(f"{what}: {text!r} is not a port")
    return int(text)


def join_host_port(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
