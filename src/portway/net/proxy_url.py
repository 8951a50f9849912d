"""The URL of a proxy: ``scheme://[user:password@]host[:port]``.

Nothing here, errors and `repr` included, shows user or password.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from portway.errors import ConfigError

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The schemes of proxies, and the port of a URL that names none."""

_FORM = "write scheme://[user:password@]host[:port], with http, https or socks5 as the scheme"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and who we are to it. Its texts never show user and password."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return ``scheme://host:port``."""
        return f"{self.scheme}://{authority(self.host, self.port)}"

    @property
    def has_login(self) -> bool:
        """Whether its URL names a user or a password."""
        return bool(self.user or self.password)


def parse_proxy_url(text: str, what: str) -> Proxy:
    """Read a proxy's URL. Raises ConfigError, which names `what` and shows nothing of the URL's login."""
    scheme = _scheme(text, what)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        user = unquote(parts.username or "", errors="strict")
        password = unquote(parts.password or "", errors="strict")
    except ValueError:  # its text may quote the password
        raise ConfigError(f"{what} is not a proxy's URL: {_FORM}") from None
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(
            f"{what} has something behind host and port: {_FORM}; in user and password "
            "the characters / ? # @ : are written %2F %3F %23 %40 %3A"
        )
    if not host or port == 0:
        raise ConfigError(f"{what} names no {'port' if host else 'host'}: {_FORM}")
    _check_login(scheme, user, password, what)
    return Proxy(scheme, host, port or DEFAULT_PORTS[scheme], user, password)


def _scheme(text: str, what: str) -> str:
    if _UNSAFE.search(text):
        raise ConfigError(f"{what} holds a character that no URL has: write it in the form %XX")
    found = _SCHEME.match(text)
    if found is None:
        raise ConfigError(f"{what} must begin with a scheme: http://, https:// or socks5://")
    scheme = found[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise ConfigError(f"{what}: there are no {scheme} proxies here: use http, https or socks5")
    return scheme


def _check_login(scheme: str, user: str, password: str, what: str) -> None:
    """Refuse a login that its protocol cannot carry."""
    if scheme in ("http", "https"):
        if ":" in user:
            raise ConfigError(f"{what}: a user with a colon cannot log in by HTTP (RFC 7617)")
    elif max(len(user.encode()), len(password.encode())) > 255 or (password and not user):
        raise ConfigError(f"{what}: SOCKS5 takes users of 1 to 255 bytes, and passwords of at most 255")


def authority(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
