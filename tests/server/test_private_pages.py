"""/metrics, /healthz and /readyz."""

import asyncio

import pytest

from portway.net.listen import listen
from portway.net.tasks import Tasks
from portway.server.private_pages import AT_ONCE, PrivatePages


async def _metrics() -> bytes:
    return b"portway_info 1\n"


async def _ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.row("EV-19")
async def test_pages() -> None:
    async with Tasks() as tasks:
        why = ["the control plane is away"]
        pages = PrivatePages(_metrics, lambda: why[0], tasks)
        listener = await listen("127.0.0.1", 0, pages.accept)
        try:
            for request, begin, end in (
                (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK", b"portway_info 1\n"),
                (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK", b"portway_info 1\n"),
                (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK", b"\r\n\r\n"),
                (b"GET /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK", b"ok\n"),
                (b"GET /readyz HTTP/1.1\r\n\r\n", b"HTTP/1.1 503", b"the control plane is away\n"),
                (b"GET /other HTTP/1.1\r\n\r\n", b"HTTP/1.1 404", b"/readyz\n"),
                (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405", b"GET only.\n"),
                (b"nonsense\r\n\r\n", b"HTTP/1.1 400", b"This is not HTTP.\n"),
                (b"x" * 10_000, b"", b""),
            ):
                answer = await _ask(listener.port, request)
                assert answer.startswith(begin), request
                assert answer.endswith(end), request
            why[0] = ""
            assert b"ready\n" in await _ask(listener.port, b"GET /readyz HTTP/1.1\r\n\r\n")
            pages.open = AT_ONCE
            assert await _ask(listener.port, b"") == b""
        finally:
            listener.close()
