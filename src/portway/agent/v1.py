"""The call forms of the older SDKs: ``forward`` and ``listen``, with or without ``await``.

``portway.forward`` serves two worlds, told apart by its first argument and by the running loop:

==========================  ==============================  =====================================
first argument              inside a running event loop     in a plain script
==========================  ==============================  =====================================
an `Upstream`               to be awaited                   to be awaited (``asyncio.run``)
an address, or ``addr=``    to be awaited                   online when the call returns; forwards
                                                            in the background
==========================  ==============================  =====================================

What awaiting gives is an `EndpointForwarder`; its ``url`` may be called as well. ``portway.listen`` and
``portway.listen_and_forward`` are always of the second kind.

The words of the older SDKs are understood beside those of `Agent.listen` and `Agent.forward`:

======================  ========================================================================
``authtoken``           another agent than the default one, of this token
``authtoken_from_env``  likewise, of the environment's token and no other
``region``              the service's address in that region; see `regional`
``proto``               "http" (an https URL), "tcp" or "tls"
``remote_addr``         the ``host:port`` of a TCP endpoint
``domain``              the host of the others
``proxy_proto``         1 or 2, as number, text or `ProxyProtocol`
``labels``              "edge:edgtcp_…" and the like, with or without ``proto="labeled"``
``crt``, ``key``        TLS of visitors, and where it ends: see `portway.agent.edge_tls`; with them
                        ``mutual_tls_cas`` and ``terminate_at``
======================  ========================================================================
"""

from collections.abc import Coroutine
from typing import Any, Literal, TypedDict, Unpack, cast, overload

from portway.agent.checks import expect, expect_text
from portway.agent.default import agent_for, older_address, said_token, sync_agent_for
from portway.agent.dual import Forwarding, Listening
from portway.agent.edge_tls import EdgeTLS
from portway.agent.forwarder import EndpointForwarder
from portway.agent.options import EndpointKeywords, ListenKeywords
from portway.agent.termination import Pem
from portway.agent.upstream import ProxyProtocol, Upstream
from portway.errors import ConfigError


class OlderKeywords(TypedDict, total=False):
    """What the older SDKs say beside the endpoint's options."""

    authtoken: str | None
    authtoken_from_env: bool
    region: str | None
    remote_addr: str | None
    domain: str | None
    proxy_proto: ProxyProtocol | str | int | None
    crt: Pem | None
    key: Pem | None
    mutual_tls_cas: Pem | None
    terminate_at: Literal["edge", "agent", "upstream"] | None


class ForwardKeywords(EndpointKeywords, OlderKeywords, total=False):
    """All keyword options of `portway.forward`."""


class ListenAnyKeywords(ListenKeywords, OlderKeywords, total=False):
    """All keyword options of `portway.listen` beside the URL."""


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

    The words of the older SDKs are understood (`portway.agent.v1`).

    Raises `ConfigError` when the upstream is missing or given twice; else as `Agent.forward`.
    """
    if (upstream is None) == (addr is None):
        raise ConfigError("forward() needs an upstream: give its address, once")
    who = _who(options)
    to, rest = _translate(addr if upstream is None else upstream, options)
    if isinstance(upstream, Upstream):
        return _forward(who, to, rest)
    return Forwarding(lambda: _forward(who, to, rest), lambda: sync_agent_for(*who).forward(to, **rest))


def listen(url: str = "", **options: Unpack[ListenAnyKeywords]) -> Listening:
    """Make an endpoint on the default agent; see `Agent.listen`.

    To be awaited inside a running event loop, which gives an `EndpointListener`; online at once in a plain
    script. The words of the older SDKs are understood (`portway.agent.v1`).
    """
    who = _who(options)
    url = _address(url, options)
    proxy_proto = options.pop("proxy_proto", None)
    if proxy_proto is not None:
        options["proxy_protocol"] = proxy_proto
    rest = cast("ListenKeywords", options)
    return Listening(
        lambda: agent_for(*who).listen(url, **rest), lambda: sync_agent_for(*who).listen(url, **rest)
    )


def listen_and_forward(to: str, **options: Unpack[ForwardKeywords]) -> Forwarding:
    """Forward an endpoint to the upstream at a URL such as ``tcp://192.168.1.2:5432``.

    The same as `forward` with an address, but that a tcp or tls URL makes an endpoint of that kind unless
    the options say another.
    """
    expect_text(to, "the upstream's URL")
    scheme = to.partition("://")[0].lower()
    if scheme in ("tcp", "tls") and not (options.get("proto") or options.get("url")):
        options["proto"] = cast("Any", scheme)
    return forward(to, **options)


async def _forward(who: tuple[str | None, str], to: Upstream, options: EndpointKeywords) -> EndpointForwarder:
    """Forward on the agent of this token, chosen when a loop runs."""
    return await agent_for(*who).forward(to, **options)


def _who(options: OlderKeywords) -> tuple[str | None, str]:
    """Take out which agent is meant: its token, and its region."""
    token = said_token(options.pop("authtoken", None), options.pop("authtoken_from_env", False))
    return token, _said(options.pop("region", None), "region")


def _translate(
    upstream: Upstream | str | int | None, options: ForwardKeywords
) -> tuple[Upstream, EndpointKeywords]:
    """Turn older words into today's."""
    proxy_proto = options.pop("proxy_proto", None)
    if not isinstance(upstream, Upstream):
        upstream = Upstream("" if upstream is None else upstream, proxy_protocol=proxy_proto)
    elif proxy_proto is not None:
        raise ConfigError("proxy_proto belongs to the Upstream: Upstream(…, proxy_protocol=…)")
    options["url"] = _address(options.get("url", ""), options)
    return upstream, options


def _address(url: str, options: ForwardKeywords | ListenAnyKeywords) -> str:
    """Take out what says where the endpoint shall be; return it as a URL."""
    remote_addr = _said(options.pop("remote_addr", None), "remote_addr")
    domain = _said(options.pop("domain", None), "domain")
    expect_text(url, "url")
    if url and domain:
        raise ConfigError("domain cannot go with url: each says where the endpoint is")
    proto = options.get("proto")
    expect(proto, str, "proto")
    options["proto"], url = older_address(proto and proto.lower(), url or domain, remote_addr)
    tls = EdgeTLS(
        options.pop("crt", None),
        options.pop("key", None),
        options.pop("mutual_tls_cas", None),
        options.pop("terminate_at", None),
    )
    meant: Any = tls.options(url.partition("://")[0].lower() if "://" in url else "https")
    if "modules" in meant:
        meant["modules"] = {**(options.get("modules") or {}), **meant["modules"]}
    options.update(meant)
    return url


def _said(text: str | None, what: str) -> str:
    """Return a word of the older SDKs, where None says nothing. Raises `ConfigError`, naming it."""
    if text is None:
        return ""
    expect_text(text, what)
    return text
