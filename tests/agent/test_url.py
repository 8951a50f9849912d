"""URLs as the SDK shows them."""

import pytest

from portway.agent.url import URL, join_host_port, split_host_port
from portway.errors import ConfigError


@pytest.mark.row("G-009", "T-071")
def test_a_url_is_its_text_and_knows_its_parts() -> None:
    url = URL("tcp://localhost:20000")
    assert f"{url}" == "tcp://localhost:20000"
    assert (url.scheme, url.host, url.hostname, url.port) == ("tcp", "localhost:20000", "localhost", 20000)


def test_a_url_can_be_called_as_in_the_older_sdks() -> None:
    text = URL("https://a.example")()
    assert text == "https://a.example"
    assert type(text) is str


@pytest.mark.parametrize(
    ("text", "port"),
    [("http://h", 80), ("https://h", 443), ("tls://h", 443), ("tcp://h", None), ("tcp://h:5", 5)],
)
def test_a_port_that_is_not_shown_is_the_schemes(text: str, port: int | None) -> None:
    assert URL(text).port == port


def test_an_address_of_version_6() -> None:
    assert URL("tcp://[::1]:5").hostname == "::1"
    assert split_host_port("[::1]:5", "x") == ("::1", 5)
    assert split_host_port("[::1]", "x") == ("::1", None)
    assert join_host_port("::1", 5) == "[::1]:5"


@pytest.mark.parametrize("text", ["", ":5", "h:0", "h:65536", "h:²", "[::1", "[::1]5", "a/b:1", "::1:5"])
def test_what_is_no_address_names_where_it_was_said(text: str) -> None:
    with pytest.raises(ConfigError, match="PORTWAY_CONNECT_URL"):
        split_host_port(text, "PORTWAY_CONNECT_URL")
