"""How the agent reaches the service where its configuration says more than an address.

``dns_resolver_ips``: these name servers are asked, instead of the system. ``connect_interface``: the
connection leaves by this network interface, on Linux. ``crl_url``: before each connection the list of revoked
certificates is fetched from there, and the service's must not be on it; a list that cannot be had means no
connection. ``crl_noverify`` leaves that out. Without these settings the agent dials by itself.
"""

import asyncio
import base64
import contextlib
import socket
import ssl
import sys
import tempfile
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from portway.cli.fetch import fetched
from portway.cli.resolver import PORT, Server, lookup
from portway.errors import ConfigError, ConnectError
from portway.net.dial import LOCALHOST, LOOPBACK

if TYPE_CHECKING:
    from portway.agent.config.model import Settings
    from portway.agent.options import AgentKeywords

BIND_TO_DEVICE: Final = getattr(socket, "SO_BINDTODEVICE", 25)
"""Linux' option; Python names it only where the system's headers do."""
LIST_LIMIT: Final = 16 << 20
"""Bytes of a list of revoked certificates."""
LIST_TIMEOUT: Final = 10.0
"""Seconds that it may take to come."""


def options_of(settings: "Settings") -> "AgentKeywords":
    """Return what the agent is told for these settings. Raises ConfigError for what cannot be done here."""
    options: AgentKeywords = {}
    if settings.connect_timeout is not None:
        options["connect_timeout"] = settings.connect_timeout
    servers = servers_of(settings)
    interface = settings.connect_interface or ""
    if interface and not sys.platform.startswith("linux"):
        raise ConfigError("connect_interface: only Linux can bind a connection to an interface")
    revoked = None
    if settings.crl_url and not settings.crl_noverify:
        revoked = Revoked(settings.crl_url)
        options["tls_config"] = revoked.watch
    if servers or interface or revoked:
        options["dialer"] = ServiceDialer(servers, interface, revoked)
    return options


def servers_of(settings: "Settings") -> tuple[Server, ...]:
    """Return the name servers that the settings name."""
    from portway.agent.config.values import address_and_port

    found = (address_and_port(each) for each in settings.dns_resolver_ips or ())
    return tuple(Server(each[0], each[1] or PORT) for each in found if each is not None)


class ServiceDialer:
    """Makes connections as the settings say."""

    def __init__(self, servers: Sequence[Server], interface: str, revoked: "Revoked | None") -> None:
        """Take the name servers, the interface's name and the list; each may be empty."""
        self._servers = servers
        self._interface = interface
        self._revoked = revoked

    async def dial(self, network: str, address: str, /) -> socket.socket:
        """Connect. Raises ConnectError and OSError; then, and when cancelled, no socket is left behind."""
        if self._revoked is not None:
            await self._revoked.fetch()
        host, _, port = address.rpartition(":")
        problem: Exception | None = None
        for each in await self._addresses(host.strip("[]")):
            try:
                return await self._connect(each, int(port))
            except OSError as error:
                problem = problem or error
        raise problem or ConnectError("tcp", f"{host} has no address")

    async def _addresses(self, host: str) -> Sequence[str]:
        with contextlib.suppress(ValueError):
            return (str(ip_address(host)),)
        if host == LOCALHOST:
            return LOOPBACK
        if self._servers:
            return await lookup(host, self._servers)
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(str(each[4][0]) for each in found))

    async def _connect(self, address: str, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            if self._interface:
                self._bind(made)
            await asyncio.get_running_loop().sock_connect(made, (address, port))
        except BaseException:
            made.close()
            raise
        return made

    def _bind(self, made: socket.socket) -> None:
        try:
            made.setsockopt(socket.SOL_SOCKET, BIND_TO_DEVICE, self._interface.encode())
        except OSError as error:
            reason = f"connect_interface {self._interface}: {error.strerror}"
            raise ConnectError("tcp", reason) from error


class Revoked:
    """The list of revoked certificates, for the connection that is made next."""

    def __init__(self, url: str) -> None:
        """Take where it is. Raises ConfigError for what is no http or https URL."""
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigError(f"crl_url: {url}: an http:// or https:// URL is wanted")
        self._url = url
        self._context: ssl.SSLContext | None = None

    def watch(self, context: ssl.SSLContext) -> None:
        """Have a context look the service's certificate up in the list."""
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        self._context = context

    async def fetch(self) -> None:
        """Put the list of this moment into the context. Raises ConnectError."""
        assert self._context is not None, "a context is made before a connection"
        try:
            data = await fetched(self._url, LIST_LIMIT, LIST_TIMEOUT)
            _add(self._context, data)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise ConnectError("tls", f"crl_url: {self._url}: {error}") from error


def _add(context: ssl.SSLContext, data: bytes) -> None:
    """Add a list, PEM or DER (RFC 5280 section 5); Python takes lists from files alone."""
    if b"-----BEGIN" not in data:
        lines = base64.encodebytes(data)
        data = b"-----BEGIN X509 CRL-----\n" + lines + b"-----END X509 CRL-----\n"
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        context.load_verify_locations(cafile=file.name)
