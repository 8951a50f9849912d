"""What is fetched by its address: within its time and size, and without holding anybody up."""

import asyncio
from types import SimpleNamespace

import pytest
from tests.kit.traffic import server

from portway.cli.fetch import fetched

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"


async def test_what_comes_and_what_is_refused() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            HEAD + b"x" * 100 if b"/good" in head else b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
        )
        writer.close()

    async with server(serve) as port:
        url = f"http://127.0.0.1:{port}"
        assert await fetched(f"{url}/good", 100, 20) == b"x" * 100
        with pytest.raises(ValueError, match="larger than 99 bytes"):
            await fetched(f"{url}/good", 99, 20)
        with pytest.raises(ValueError, match="the answer is 404"):
            await fetched(f"{url}/bad", 99, 20)
    with pytest.raises(OSError, match="refused"):
        await fetched(url, 99, 20)


async def test_a_server_that_says_a_little_now_and_then_has_no_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its bytes come in time each, and all of them do not."""
    clock = iter((0.0, 25.0))
    monkeypatch.setattr("portway.cli.fetch.time", SimpleNamespace(monotonic=lambda: next(clock)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"x")
        await reader.read()

    async with server(serve) as port:
        with pytest.raises(TimeoutError, match="does not come within 20 s"):
            await fetched(f"http://127.0.0.1:{port}/", 1000, 20)
