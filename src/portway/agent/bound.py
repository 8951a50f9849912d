"""An endpoint seen from inside: what was asked and answered, and the calls that only the agent makes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING

import msgspec

from portway.agent.emitter import Emitter
from portway.agent.options import EndpointOptions
from portway.agent.termination import terminate
from portway.errors import ConfigError, ConnectError, NotConnected
from portway.pipe import Pipe, Sink
from portway.wire.messages import Bind, BindLabels, BindResp, Patch, ProxyHeader

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.endpoint import Endpoint

Taker = Callable[[ProxyHeader, Pipe], Sink | None]


class Bound:
    """One bind of an agent: the inner side of an `Endpoint`."""

    endpoint: "Endpoint"
    """The public side; set as soon as it is made."""

    def __init__(
        self,
        *,
        agent: "Agent",
        emitter: Emitter,
        options: EndpointOptions,
        request: Bind | BindLabels,
        answer: BindResp,
        session_id: str,
        with_portway: bool,
        unbind: Callable[["Bound"], Awaitable[None]],
        patch: Callable[["Bound", Patch], Awaitable[None]],
        start: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        """Keep what was asked and what the service answered."""
        self.agent = agent
        self.emitter = emitter
        self.options = options
        self.request = request
        self.answer = answer
        self.session_id = session_id
        self.with_portway = with_portway
        """Whether the service is one of ours, which answers for a dead upstream."""
        self.unbind = unbind
        self.patch = patch
        self.start = start
        self.over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.error: Exception | None = None
        self._take: Taker | None = None
        self._on_over: Callable[[], None] | None = None

    @property
    def id(self) -> str:
        """Return the bind id: the service's name for the endpoint."""
        return self.answer.id

    @property
    def where(self) -> str:
        """Return the URL, or the labels where there is none."""
        labels = " ".join(f"{key}={value}" for key, value in self.options.labels.items())
        return self.answer.url or f"the endpoint with labels {labels}"

    def check_loop(self) -> None:
        """Refuse another event loop than the agent's. Raises `NotConnected`.

        There a call would wait for what never comes, or come between what runs here.
        """
        if asyncio.get_running_loop() is not self._loop and not self.over.is_set():
            raise NotConnected(f"{self.where} belongs to another event loop, or to another process")

    def serve(self, take: Taker, on_over: Callable[[], None] | None = None) -> None:
        """Say who takes visitors' connections (None refuses one), and who is told of the end."""
        self._take = take
        self._on_over = on_over

    def take(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        """Hand over a visitor's connection; None refuses it. Never blocks."""
        context = self.options.agent_tls_termination
        if self.options.labels and not header.passthrough_tls:
            context = None  # this edge has ended the TLS itself
        if context is None or self._take is None or self.over.is_set():
            return self._hand_over(header, pipe)
        preceded = self.options.proxy_protocol is not None
        return terminate(
            context, header, pipe, self._hand_over, preceded=preceded, on_failed=self._not_secured
        )

    def _hand_over(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        return self._take(header, pipe) if self._take is not None and not self.over.is_set() else None

    def _not_secured(self, error: ConnectError) -> None:
        self.emitter.logger.debug("a visitor of %s: %s", self.where, error)

    def finish(self, error: Exception | None) -> None:
        """End it on our side, once; ``error`` is None for an end of our own."""
        if self.over.is_set():
            return
        self.error = error
        self.over.set()
        if self._on_over is not None:
            self._on_over()

    async def change(self, options: EndpointOptions, patch: Patch) -> None:
        """Have the service change the endpoint, and keep what it is now for the next rebind.

        Raises what ``patch`` raises, and then nothing has changed here, and ConfigError for an endpoint
        with labels, of which the service could change nothing.
        """
        request = self.request
        if isinstance(request, BindLabels):
            raise ConfigError(f"{self.where} cannot be changed: change its edge")
        await self.patch(self, msgspec.structs.replace(patch, tunnel_id=self.answer.extra.tunnel_id))
        self.options = options
        policy = {"TrafficPolicy": options.traffic_policy}
        self.request = msgspec.structs.replace(
            request,
            opts=request.opts | policy,
            extra=msgspec.structs.replace(
                request.extra,
                name=options.name,
                description=options.description,
                metadata=options.metadata,
                pooling_enabled=options.pooling_enabled,
            ),
        )
        if self.answer.opts:
            self.answer = msgspec.structs.replace(self.answer, opts=self.answer.opts | policy)

    def rebind(self) -> Bind | BindLabels:
        """Return the request that binds it again: id, token and options of the first answer.

        With labels it is the first request: the service knows no other, and may give another id.
        """
        request = self.request
        if isinstance(request, BindLabels):
            return request
        return msgspec.structs.replace(
            request,
            id=self.answer.id,
            proto=self.answer.proto,
            opts=self.answer.opts or request.opts,
            extra=msgspec.structs.replace(request.extra, token=self.answer.extra.token),
        )
