"""A real provider of OpenID Connect in a process of its own, and a real browser that signs in there."""

import contextlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from playwright.async_api import Error as BrowserError
from playwright.async_api import Page, async_playwright

from tests.kit.browser import FLAGS, trusting
from tests.kit.eventually import eventually
from tests.kit.programs import need
from tests.kit.sdk import NODE, TESTS, installed

CLIENT: Final = {"client_id": "portway", "client_secret": "a-secret-of-the-tests-that-is-long"}

_OWN: Final = ("--headless", "--host-resolver-rules")
"""Flags that the driver of the browser sets in its own way, or that we do."""
_NAMES: Final = "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@contextlib.contextmanager
def providing(port: int, folder: Path, *callbacks: str) -> Generator[str]:
    """Run the provider for the time of the context; yield its issuer."""
    home = installed()
    with (folder / "provider.log").open("ab") as log:
        process = subprocess.Popen(
            [str(NODE), str(TESTS / "node" / "provider.mjs"), str(port), *callbacks],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"SDK_HOME": str(home)},
        )
    try:
        eventually(
            lambda: b"ready" in (folder / "provider.log").read_bytes(), "the provider is ready", timeout=60
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        assert process.stdin
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def browser_page(url: str, ca: Path) -> AsyncGenerator[Page]:
    """Open a page of a browser that has nothing yet and trusts whom ``ca`` vouches for at ``url``."""
    flags = [*(each for each in FLAGS if not each.startswith(_OWN)), _NAMES, trusting(url, ca)]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(need("chromium")), args=flags)
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def go(page: Page, url: str) -> Any:
    """Go to a URL; again while the network of this machine changes, as other tests have it."""
    for _ in range(20):
        try:
            return await page.goto(url)
        except BrowserError as error:
            if "ERR_NETWORK_CHANGED" not in str(error) and "chrome-error" not in str(error):
                raise
            await page.wait_for_timeout(200)
    raise AssertionError("the network changes all the time")


async def sign_in(page: Page, url: str, who: str) -> Any:
    """Go to a URL, sign in as somebody, consent; return the answer that the browser ends with."""
    for _ in range(5):
        try:
            answer = await go(page, url)
            if "/interaction/" in page.url:
                await page.fill("input[name=login]", who)
                await page.fill("input[name=password]", "any")
                async with page.expect_navigation():
                    await page.click("button[type=submit]")
                async with page.expect_navigation() as last:
                    await page.click("button[type=submit]")
                answer = await last.value
        except BrowserError as error:
            if "ERR_NETWORK_CHANGED" not in str(error) and "chrome-error" not in str(error):
                raise
        else:
            return answer
    raise AssertionError("the network changes all the time")


@dataclass
class Walker:
    """Follows redirects and keeps cookies like a browser, at a hundredth of its price."""

    ca: Path
    cookies: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Of each host and port."""

    def ask(self, url: str, form: dict[str, str] | None = None) -> tuple[str, int, str]:
        """Ask for a URL, or post a form, until an answer leads nowhere else; return URL, status, body."""
        for _ in range(12):
            parts = urlsplit(url)
            held = self.cookies.setdefault(parts.netloc, {})
            head, body = self._answer(url, form, "; ".join(f"{name}={value}" for name, value in held.items()))
            for line in head.get_all("set-cookie") or ():
                name, value = line.partition(";")[0].split("=", 1)
                held[name] = value
                if not value:
                    del held[name]
            if not 300 <= head.status < 400:
                return url, head.status, body
            url, form = urljoin(url, str(head["location"])), None
        raise AssertionError(f"{url} leads on and on")

    def _answer(self, url: str, form: dict[str, str] | None, cookies: str) -> "tuple[Head, str]":
        parts = urlsplit(url)
        tls = ssl.create_default_context(cafile=self.ca)
        with socket.create_connection(("127.0.0.1", parts.port or 80), 20) as plain:
            secured = parts.scheme == "https"
            sock = tls.wrap_socket(plain, server_hostname=parts.hostname) if secured else plain
            connection = HTTPConnection("127.0.0.1", timeout=20)
            connection.sock = sock
            fields = {"Host": parts.netloc, "Connection": "close"} | ({"Cookie": cookies} if cookies else {})
            if form is not None:
                fields["Content-Type"] = "application/x-www-form-urlencoded"
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            sent = None if form is None else urlencode(form)
            connection.request("GET" if form is None else "POST", target, sent, fields)
            with connection.getresponse() as answer:
                made = Head(answer.status)
                for name, value in answer.getheaders():
                    made[name] = value
                return made, answer.read().decode()

    def sign_in(self, url: str, who: str) -> tuple[str, int, str]:
        """Go to a URL, sign in as somebody, consent; return where that ends."""
        return self.say_who(*self.ask(url), who)

    def say_who(self, at: str, status: int, body: str, who: str) -> tuple[str, int, str]:
        """Sign in and consent from the page that was answered; return where that ends."""
        while "/interaction/" in at:
            action, prompt = (
                re.search(pattern, body) for pattern in (r'action="([^"]+)"', r'name="prompt" value="(\w+)"')
            )
            assert action, body
            assert prompt, body
            form = {"prompt": prompt[1], "login": who, "password": "any"}
            at, status, body = self.ask(urljoin(at, action[1]), form)
        return at, status, body


class Head(Message):
    """The head of an answer: its status and its fields."""

    def __init__(self, status: int) -> None:
        """Have no fields yet."""
        super().__init__()
        self.status = status
