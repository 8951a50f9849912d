"""A policy that an SSH client names by its URL: fetched by a guarded client, judged as every other."""

import pytest

from portway.edge.ports import EdgeConfig
from portway.edge.ssh_command import read_command
from portway.edge.ssh_policy import POLICY_LIMIT, request_of
from portway.edge.ssh_request import Forward
from portway.errors import Error
from portway.net.web_client import WebAnswer, WebFailure, WebRequest

CONFIG = EdgeConfig(
    domain="portway.localhost", http_port=7080, https_port=7443, tcp_ports=range(20_000, 21_000)
)
URL = "https://policies.test/p.yml"
RANDOM = Forward("localhost", 0)


class Page:
    """One page of the web, or why there is none."""

    def __init__(self, body: bytes = b"", status: int = 200, failure: WebFailure | None = None) -> None:
        """Answer so."""
        self._answer = WebAnswer(status, (), body, "192.0.2.1", 0.0, URL)
        self._failure = failure
        self.asked: list[WebRequest] = []

    async def request(self, request: WebRequest) -> WebAnswer:
        """Answer."""
        self.asked.append(request)
        if self._failure is not None:
            raise self._failure
        return self._answer


@pytest.mark.parametrize("proto", ["http", "tls", "tcp"])
async def test_the_policy_goes_along_with_the_bind(proto: str) -> None:
    page = Page("\ufeffon_tcp_connect: []\n".encode())
    bind = await request_of(read_command(f"{proto} --traffic-policy-url={URL}"), RANDOM, CONFIG, page)
    assert bind.opts
    assert bind.opts["TrafficPolicy"] == "on_tcp_connect: []\n"
    (asked,) = page.asked
    assert (asked.method, asked.url, asked.body_limit) == ("GET", URL, POLICY_LIMIT)


async def test_without_a_url_nobody_is_asked() -> None:
    page = Page()
    await request_of(read_command("http"), RANDOM, CONFIG, page)
    assert not page.asked


async def test_what_does_not_fit_is_refused_first() -> None:
    page, asked = Page(), read_command(f"http --traffic-policy-url={URL}")
    with pytest.raises(Error) as caught:
        await request_of(asked, Forward("localhost", 8080), CONFIG, page)
    assert caught.value.code == "ERR_NGROK_1113"
    assert not page.asked


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Page(failure=WebFailure("refused", "127.0.0.1 is an address of this machine")), "of this machine"),
        (Page(b"gone", 404), "the answer is 404"),
        (Page(b"\xff\xfe"), "no UTF-8 text"),
        (None, "this service fetches nothing"),
    ],
)
async def test_a_policy_that_cannot_be_had(page: Page | None, why: str) -> None:
    with pytest.raises(Error, match=why) as caught:
        await request_of(read_command(f"http --traffic-policy-url={URL}"), RANDOM, CONFIG, page)
    assert caught.value.code == "ERR_NGROK_9026"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "policies.test/p.yml", ""])
def test_only_urls_of_the_web(url: str) -> None:
    with pytest.raises(Error, match="http:// or https://") as caught:
        read_command(f"http --traffic-policy-url='{url}'")
    assert caught.value.code == "ERR_NGROK_1110"
