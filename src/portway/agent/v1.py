"""The call forms of the older SDKs: ``forward`` with an address, with or without ``await``.

``portway.forward`` serves two worlds, told apart by its first argument and by the running loop:

==========================  ==============================  =====================================
first argument              inside a running event loop     in a plain script
==========================  ==============================  =====================================
an `Upstream`               to be awaited                   to be awaited (``asyncio.run``)
an address, or ``addr=``    to be awaited                   online when the call returns; forwards
                                                            in the background
==========================  ==============================  =====================================

What awaiting gives is an `EndpointForwarder`; its ``url`` may be called as well.
"""

from collections.abc import Coroutine, Generator
from typing import Any, TypedDict, Unpack, overload

from portway.agent.default import agent_for, older_address, said_token, sync_agent_for
from portway.agent.forwarder import EndpointForwarder
from portway.agent.options import EndpointKeywords
from portway.agent.sync import SyncForwarder
from portway.agent.upstream import ProxyProtocol, Upstream
from portway.agent.url import URL
from portway.errors import ConfigError
from portway.net.loop import inside_loop


class OlderKeywords(TypedDict, total=False):
    """What the older SDKs say beside the endpoint's options."""

    authtoken: str | None
    authtoken_from_env: bool
    remote_addr: str
    domain: str
    proxy_proto: ProxyProtocol | str | int | None


class ForwardKeywords(EndpointKeywords, OlderKeywords, total=False):
    """All keyword options of `portway.forward`."""


class Forwarding:
    """What ``forward`` of an address returns.

    In a plain script it is online already: ``url()``, ``wait()``, ``close()``. Inside a running event
    loop it must be awaited, and nothing else can be done with it.
    """

    def __init__(
        self, online: SyncForwarder | None, pending: Coroutine[Any, Any, EndpointForwarder] | None
    ) -> None:
        """Made by `portway.forward` only."""
        self._sync = online
        self._pending = pending

    def __await__(self) -> Generator[Any, Any, EndpointForwarder]:
        """Bring it online. Raises what `Agent.forward` raises."""
        if self._pending is None:
            raise RuntimeError("this forwarder is online already: it was made outside an event loop")
        return self._pending.__await__()

    def __repr__(self) -> str:
        """Show the endpoint."""
        return f"<Forwarding {self._sync!r}>" if self._sync else "<Forwarding: to be awaited>"

    @property
    def endpoint(self) -> EndpointForwarder:
        """Return the forwarder itself."""
        return self._online.endpoint

    @property
    def url(self) -> URL:
        """Return where visitors reach it; may be called, ``url()``."""
        return self._online.url

    @property
    def id(self) -> str:
        """Return the service's name for it."""
        return self._online.id

    def done(self) -> bool:
        """Return whether it has ended."""
        return self._online.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most ``timeout`` seconds; return whether it has."""
        return self._online.wait(timeout)

    def close(self) -> None:
        """Take it offline."""
        self._online.close()

    @property
    def _online(self) -> SyncForwarder:
        if self._sync is None:
            raise RuntimeError("inside an event loop: await portway.forward(…) first")
        return self._sync


@overload
def forward(
    upstream: Upstream, **options: Unpack[ForwardKeywords]
) -> Coroutine[Any, Any, EndpointForwarder]: ...
@overload
def forward(upstream: str | int, **options: Unpack[ForwardKeywords]) -> Forwarding: ...
@overload
def forward(*, addr: str | int, **options: Unpack[ForwardKeywords]) -> Forwarding: ...
def forward(
    upstream: Upstream | str | int | None = None,
    *,
    addr: str | int | None = None,
    **options: Unpack[ForwardKeywords],
) -> Coroutine[Any, Any, EndpointForwarder] | Forwarding:
    """Forward an endpoint of the default agent to ``upstream``; see `Agent.forward`.

    With an `Upstream` the result is a coroutine. With an address (or ``addr=``) it is a `Forwarding`:
    online at once in a plain script, to be awaited inside a running event loop.

    The words of the older SDKs are understood: ``authtoken`` and ``authtoken_from_env`` (the
    environment's, and no other) choose another agent than the default one; ``proto`` is "http" (an
    https URL), "tcp" or "tls"; ``remote_addr`` is the ``host:port`` of a TCP endpoint, ``domain`` the
    host of the others; ``proxy_proto`` is 1 or 2.

    Raises `ConfigError` when the upstream is missing or given twice; else as `Agent.forward`.
    """
    if (upstream is None) == (addr is None):
        raise ConfigError("forward() needs an upstream: give its address, once")
    token = said_token(options.pop("authtoken", None), options.pop("authtoken_from_env", False))
    to, rest = _translate(addr if upstream is None else upstream, options)
    if isinstance(upstream, Upstream):
        return agent_for_later(token, to, rest)
    if inside_loop():
        return Forwarding(None, agent_for(token).forward(to, **rest))
    return Forwarding(sync_agent_for(token).forward(to, **rest), None)


async def agent_for_later(
    token: str | None, upstream: Upstream, options: EndpointKeywords
) -> EndpointForwarder:
    """Forward on the agent of this token, chosen when a loop runs."""
    return await agent_for(token).forward(upstream, **options)


def _translate(
    upstream: Upstream | str | int | None, options: ForwardKeywords
) -> tuple[Upstream, EndpointKeywords]:
    """Turn older words into today's."""
    proxy_proto = options.pop("proxy_proto", None)
    remote_addr, domain = options.pop("remote_addr", ""), options.pop("domain", "")
    if not isinstance(upstream, Upstream):
        upstream = Upstream(upstream or "", proxy_protocol=proxy_proto)
    elif proxy_proto is not None:
        raise ConfigError("proxy_proto belongs to the Upstream: Upstream(…, proxy_protocol=…)")
    url = options.get("url", "") or domain
    options["proto"], options["url"] = older_address(options.get("proto"), url, remote_addr)
    return upstream, options
