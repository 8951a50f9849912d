"""From the bind part of ``-R`` and a command to the bind that they ask for. Pure.

::

    command   bind port            bind host                    endpoint
    http      0 or 443             a name, a wildcard or none   https://…
    http      80                   the same                     http://…
    tls       0 or 443             the same                     tls://…
    tcp       0                    none                         tcp:// at a random address
    tcp       a reserved port      its host                     tcp://HOST:PORT

The service's real public ports stand for 80 and 443 too. A client that says no bind host sends
``localhost``, one that says ``*`` or nothing before the colon sends "": all mean that none was said.
Flags may say the address instead; where both do, they must agree.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.errors import Error
from portway.model.url import Url, parse_endpoint_url
from portway.wire.messages import Bind, BindExtra, new_opts

if TYPE_CHECKING:
    from portway.edge.ports import EdgeConfig
    from portway.edge.ssh_command import Asked

_NO_HOST: Final = frozenset({"", "*", "localhost", "0.0.0.0", "127.0.0.1", "::", "::1"})
"""Bind hosts by which a client says none, or only which of its machine's addresses it would have meant."""


@dataclass(frozen=True, slots=True)
class Forward:
    """The bind part of ``-R`` as a client sent it: what it will know the connections of visitors by."""

    host: str
    port: int

    @property
    def name(self) -> str:
        """The host that was really said, folded; "" for none."""
        folded = self.host.lower()
        return "" if folded in _NO_HOST else folded


def bind_of(asked: "Asked", forward: Forward, config: "EdgeConfig") -> Bind:
    """Make the bind. Raises Error 1113 to 1120 where the two parts do not fit, and those of URLs."""
    url = _tcp(asked, forward, config) if asked.proto == "tcp" else _named(asked, forward, config)
    given = {"URL": url, **asked.modules}
    proto = url.partition("://")[0]
    return Bind(
        proto=proto,
        opts=new_opts(proto, given),
        extra=BindExtra(
            name=asked.name,
            description=asked.description,
            metadata=asked.metadata,
            bindings=asked.bindings,
            pooling_enabled=asked.pooling,
        ),
    )


def _tcp(asked: "Asked", forward: Forward, config: "EdgeConfig") -> str:
    flag, said = ("url", asked.url) if asked.url else ("remote-addr", asked.remote_addr)
    wanted = parse_endpoint_url(said, "tcp") if said else Url("tcp", "", 0)
    if wanted.scheme != "tcp":
        raise Error(f"The URL {said!r} is not one of tcp.", 9036)
    if forward.name and wanted.host and wanted.host != forward.name:
        raise Error(f"The bind host {forward.name!r} of -R conflicts with --{flag} {said}.", 1114)
    if forward.port and wanted.port and wanted.port != forward.port:
        raise Error(f"The bind port {forward.port} of -R conflicts with --{flag} {said}.", 1115)
    host, port = forward.name or wanted.host, forward.port or wanted.port
    if not host and forward.host.lower() == config.tcp_host and port in config.tcp_ports:
        host = config.tcp_host  # it is called localhost: whether that was said or left out cannot be told
    if port and not host:
        raise Error(
            f"The port {port} cannot be chosen freely. Reserve an address and give its host too, as in "
            f"-R HOST:{port}:localhost:22, or ask for a random one by port 0.",
            1116,
        )
    if host and not port:
        raise Error(
            f"The host {host!r} needs its port: reserve an address and give both, or leave the host out for "
            "a random one.",
            1117,
        )
    return f"tcp://{host}:{port}" if host else "tcp://"


def _named(asked: "Asked", forward: Forward, config: "EdgeConfig") -> str:
    """Find the URL of an http or tls endpoint."""
    if asked.hostname and asked.subdomain:
        raise Error("Only one of --hostname and --subdomain may be given.", 1120)
    scheme = _scheme(asked.proto, forward.port, config)
    flag = next((name for name in ("url", "domain", "hostname") if getattr(asked, name)), "")
    if flag:
        wanted = parse_endpoint_url(getattr(asked, flag), scheme)
        _agree(asked, wanted, scheme, flag, forward)
        if wanted.host:
            return str(wanted)
        scheme = wanted.scheme
    if asked.subdomain:
        if forward.name:
            raise Error(f"The bind host {forward.name!r} of -R conflicts with --subdomain.", 1119)
        return f"{scheme}://{asked.subdomain}.{config.domain}"
    return f"{scheme}://{forward.name}"


def _agree(asked: "Asked", wanted: Url, scheme: str, flag: str, forward: Forward) -> None:
    """Refuse a flag that says something else than ``-R``. Port 0 leaves the scheme to the flag."""
    if wanted.scheme not in (("http", "https") if asked.proto == "http" else ("tls",)):
        raise Error(f"The URL {str(wanted)!r} is not one of {asked.proto}.", 9036)
    if forward.port and wanted.scheme != scheme:
        raise Error(f"The bind port {forward.port} of -R conflicts with --{flag} {wanted}.", 1113)
    if forward.name and wanted.host and wanted.host != forward.name:
        raise Error(f"The bind host {forward.name!r} of -R conflicts with --{flag} {wanted}.", 1118)


def _scheme(proto: str, port: int, config: "EdgeConfig") -> str:
    """Say what a bind port means. Raises Error 1113."""
    secure = {0, 443, config.https_port}
    if proto == "tls":
        if port in secure:
            return "tls"
        raise Error(f"The bind port {port} cannot be used with tls; use 443 or 0.", 1113)
    if port in secure:
        return "https"
    if port in {80, config.http_port}:
        return "http"
    raise Error(f"The bind port {port} cannot be used with http; use 443 or 0 for https, 80 for http.", 1113)
