"""Applications on a listener: one line serves an ASGI app, a WSGI app or a callback of streams.

    portway.serve(app)                                  # a script: prints the URL, runs until Ctrl-C
    await listener.serve(app)                           # inside an event loop

What the application is, is seen from what it takes: three arguments of a coroutine function are ASGI, two
of a plain one WSGI, and two of a coroutine function are a reader and a writer, as for `asyncio.start_server`.
``interface`` says it where that guess would be wrong. ASGI and WSGI need an http or https endpoint.
"""

import asyncio
import functools
import inspect
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from portway.agent.asgi import ASGIApp, AsgiServer
from portway.agent.checks import expect
from portway.agent.http_server import Exchange, HttpConnection
from portway.agent.labels import LABELED
from portway.agent.options import ListenKeywords
from portway.agent.wsgi import THREADS, WSGIApp, WsgiServer
from portway.errors import ConfigError, ListenerClosed
from portway.net.loop import inside_loop, run
from portway.net.tasks import Tasks, told_to_end

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.connection import Connection
    from portway.agent.endpoint import EndpointListener

Interface = Literal["auto", "asgi", "wsgi", "streams"]
Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
App = ASGIApp | WSGIApp | Streams


def serve(
    app: App,
    url: str = "",
    *,
    agent: "Agent | None" = None,
    interface: Interface = "auto",
    threads: int = THREADS,
    ready: "Callable[[EndpointListener], object] | None" = None,
    **options: Unpack[ListenKeywords],
) -> None:
    """Put an application online and serve it until Ctrl-C, SIGTERM or the endpoint's end.

    ``url`` and the options are those of `Agent.listen`; without an ``agent`` it is the default one. When the
    endpoint is online ``ready`` is called with it; without one its URL is printed. ``interface`` and
    ``threads`` are those of `EndpointListener.serve`.

    Raises what `Agent.listen` and `EndpointListener.serve` raise, and RuntimeError inside a running event
    loop: there ``await (await agent.listen()).serve(app)`` does the same.
    """
    kind_of(app, interface)
    if inside_loop():
        raise RuntimeError("an event loop runs here: await (await agent.listen()).serve(app) instead")
    work = _serve(app, url, agent, interface, threads, ready or announce, options)
    try:
        run(work)
    except KeyboardInterrupt:
        pass  # it is how a program in the foreground is ended


def announce(listener: "EndpointListener") -> None:
    """Print where visitors reach it."""
    sys.stdout.write(f"{listener.url}\n")
    sys.stdout.flush()


async def _serve(
    app: App,
    url: str,
    agent: "Agent | None",
    interface: Interface,
    threads: int,
    ready: "Callable[[EndpointListener], object]",
    options: ListenKeywords,
) -> None:
    from portway.agent.default import default_agent  # it imports what imports us

    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        this.cancel()

    try:
        loop.add_signal_handler(signal.SIGTERM, stop)
    except (ValueError, RuntimeError, NotImplementedError):
        pass  # not the main thread, or not a system with signals
    try:
        async with agent or default_agent as chosen, await chosen.listen(url, **options) as listener:
            ready(listener)
            await listener.serve(app, interface=interface, threads=threads)
    except asyncio.CancelledError:
        if not stopped:
            raise


async def serve_listener(
    listener: "EndpointListener", app: App, interface: Interface, threads: int, grace: float | None
) -> None:
    """Serve an application on a listener until that is closed; see `EndpointListener.serve`."""
    kind = kind_of(app, interface)
    log = listener.agent.logger
    if kind == "streams":
        await _run(listener, functools.partial(_streams, cast("Streams", app)), grace)
        return
    if listener.protocol not in ("http", "https", LABELED):
        raise ConfigError(f"{kind.upper()} needs an http or https endpoint: {listener.url} is neither")
    if kind == "wsgi":
        wsgi = WsgiServer(cast("WSGIApp", app), log, threads)
        try:
            await _run(listener, functools.partial(_http, wsgi.handle), grace)
        finally:
            wsgi.close()
        return
    asgi = AsgiServer(cast("ASGIApp", app), log)
    await asgi.startup()
    try:
        await _run(listener, functools.partial(_http, asgi.handle), grace)
    finally:
        await asgi.shutdown()


class Served:
    """One connection that is being served."""

    def __init__(self, work: Awaitable[None], stop: Callable[[], None] | None = None) -> None:
        """Keep what runs, and how it is told to come to an end."""
        self.work = work
        self.stop = stop


async def _run(
    listener: "EndpointListener", begin: "Callable[[Connection], Served]", grace: float | None
) -> None:
    """Accept and serve until the listener ends, then let what runs finish."""
    running: dict[asyncio.Task[None], Served] = {}
    async with Tasks() as tasks:
        try:
            while True:
                connection = await listener.accept()
                served = begin(connection)
                task = tasks.start(_contained(served, connection), name=f"serve {connection.remote_addr}")
                running[task] = served
                task.add_done_callback(running.pop)
        except ListenerClosed:
            pass
        finally:
            for served in list(running.values()):
                if served.stop is not None:
                    served.stop()
            if running:
                await asyncio.wait(list(running), timeout=grace)


async def _contained(served: Served, connection: "Connection") -> None:
    """Serve one connection. Its fault is its own."""
    try:
        await served.work
    except ConnectionError:
        pass  # the visitor went first
    except Exception:
        connection.endpoint.agent.logger.exception("serving %s failed", connection)
        connection.abort()
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and not told_to_end(error):
            connection.endpoint.agent.logger.exception("serving %s failed", connection)
        connection.abort()
        raise


def _streams(app: Streams, connection: "Connection") -> Served:
    async def work() -> None:
        await app(connection.reader, connection.writer)
        await connection.close()

    return Served(work())


def _http(handle: "Callable[[Exchange, Connection], Awaitable[None]]", connection: "Connection") -> Served:
    http = HttpConnection(lambda exchange: handle(exchange, connection), connection.endpoint.agent.logger)
    connection.use(http)
    return Served(http.run(), http.stop)


def kind_of(app: Any, interface: Interface) -> Literal["asgi", "wsgi", "streams"]:
    """Say what an application is. Raises `ConfigError` when that cannot be seen."""
    expect(interface, str, "interface")
    if interface not in ("auto", "asgi", "wsgi", "streams"):
        raise ConfigError(f"interface is {interface!r}: it must be auto, asgi, wsgi or streams")
    if not callable(app):
        raise ConfigError(f"the application is of type {type(app).__name__}: it must be callable")
    if interface != "auto":
        return interface
    bare: Any = app
    while isinstance(bare, functools.partial):
        bare = cast("functools.partial[Any]", bare).func
    waits = inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(getattr(bare, "__call__", None))  # noqa: B004
    count = _positional(app)
    if waits and count == 3:
        return "asgi"
    if count == 2:
        return "streams" if waits else "wsgi"
    raise ConfigError(
        "what kind of application this is cannot be seen: say interface='asgi', 'wsgi' or 'streams'"
    )


def _positional(app: Callable[..., Any]) -> int:
    """Count the arguments that a call must give."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return 0
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in kinds and each.default is inspect.Parameter.empty for each in parameters)
