"""A gRPC server and its client, without generated code: messages are bytes.

Both are processes of their own, since the library keeps sockets that nothing closes::

    python -m tests.kit.grpc_peers serve [KEY CHAIN]     prints its port
    python -m tests.kit.grpc_peers visit HOST PORT CA    prints what it found, as JSON
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

SERVICE = "kit.Echo"
_library: Any = grpc  # its types say too little
PATIENCE = 30.0
"""Seconds that a call may take."""


async def _unary(request: bytes, context: Any) -> bytes:
    """Echo with trailers; "fail" fails, "hang" hangs."""
    await context.send_initial_metadata((("x-began", "1"),))
    context.set_trailing_metadata((("x-trailer", "t"), ("x-bin", b"\0\1")))
    if request == b"fail":
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "on request")
    if request == b"hang":
        await asyncio.Event().wait()
    return request


async def _server_stream(request: bytes, _context: Any) -> AsyncGenerator[bytes]:
    """Count up to the number asked for."""
    for number in range(int(request)):
        yield b"%d" % number


async def _client_stream(requests: AsyncIterator[bytes], _context: Any) -> bytes:
    """Say how much came."""
    total = 0
    async for request in requests:
        total += len(request)
    return b"%d" % total


async def _both(requests: AsyncIterator[bytes], _context: Any) -> AsyncGenerator[bytes]:
    """Answer each message at once."""
    async for request in requests:
        yield request.upper()


async def serve(key: str = "", chain: str = "") -> None:
    """Serve on a port of loopback until killed, with TLS if there is a key."""
    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        "Unary": _library.unary_unary_rpc_method_handler(_unary),
        "ServerStream": _library.unary_stream_rpc_method_handler(_server_stream),
        "ClientStream": _library.stream_unary_rpc_method_handler(_client_stream),
        "Both": _library.stream_stream_rpc_method_handler(_both),
    }
    server.add_generic_rpc_handlers((_library.method_handlers_generic_handler(SERVICE, handlers),))
    if key:
        pair = (Path(key).read_bytes(), Path(chain).read_bytes())  # noqa: ASYNC240 - nothing runs yet
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def visit(host: str, port: str, ca: str) -> None:
    """Make one call of each kind, and say what came of it."""
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes())  # noqa: ASYNC240 - nothing runs yet
    options = (("grpc.ssl_target_name_override", host), ("grpc.default_authority", host))
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        print(json.dumps(await _calls(channel)))


async def _calls(channel: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    unary = channel.unary_unary(f"/{SERVICE}/Unary")
    call = unary(b"hello", timeout=PATIENCE)
    found["unary"] = (await call).decode()
    found["began"] = dict(await call.initial_metadata()).get("x-began")
    found["trailer"] = dict(await call.trailing_metadata()).get("x-trailer")
    for name, request, timeout in (("failed", b"fail", PATIENCE), ("late", b"hang", 0.5)):
        try:
            await unary(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            found[name] = [error.code().name, error.details()]
    counted = channel.unary_stream(f"/{SERVICE}/ServerStream")(b"2000", timeout=PATIENCE)
    found["counted"] = [int(each) async for each in counted] == list(range(2000))
    big = os.urandom(1_000_000)
    found["summed"] = int(
        await channel.stream_unary(f"/{SERVICE}/ClientStream")(iter([big] * 5), timeout=PATIENCE)
    )
    talk = channel.stream_stream(f"/{SERVICE}/Both")(timeout=PATIENCE)
    words: list[str] = []
    for word in (b"one", b"two", b"three"):  # each is answered before the next is said
        await talk.write(word)
        words.append((await talk.read()).decode())
    found["talk"] = words
    await talk.done_writing()
    found["talk_ended"] = await talk.read() is _library.aio.EOF
    found["talk_status"] = (await talk.code()).name
    return found


if __name__ == "__main__":
    asyncio.run({"serve": serve, "visit": visit}[sys.argv[1]](*sys.argv[2:]))
