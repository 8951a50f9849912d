"""Which TCP address is given out."""

import re
import secrets

import pytest

from portway.errors import Error
from portway.model.address import ReservedAddr, choose_port, hostport, pool_host, split_hostport

PORTS = range(20_000, 20_010)


def lowest(count: int) -> bytes:
    return bytes(count)


@pytest.mark.row("T-073")
def test_the_choice_is_random_among_what_is_free() -> None:
    drawn = {choose_port(PORTS, {20_003}, [20_004], secrets.token_bytes) for _ in range(500)}
    assert drawn == set(PORTS) - {20_003, 20_004}


@pytest.mark.row("T-074")
def test_what_was_given_back_comes_last_of_all_and_the_oldest_first() -> None:
    former = [20_007, 20_002, 20_005]
    taken: set[int] = set()
    for _ in range(7):
        port = choose_port(PORTS, taken, former, secrets.token_bytes)
        assert port not in former
        taken.add(port)
    again: list[int] = []
    for _ in range(3):
        again.append(choose_port(PORTS, taken, former, secrets.token_bytes))
        taken.add(again[-1])
    assert again == former


def test_former_addresses_outside_the_range_are_not_given_out() -> None:
    with pytest.raises(Error) as caught:
        choose_port(PORTS, set(PORTS), [19_999], lowest)
    assert caught.value.code == "ERR_NGROK_503"


def test_none_is_free() -> None:
    with pytest.raises(Error) as caught:
        choose_port(PORTS, PORTS, [20_001], lowest)
    assert caught.value.code == "ERR_NGROK_503"


@pytest.mark.row("T-039")
def test_the_form_of_a_host() -> None:
    assert pool_host("example.com") == "1.tcp.example.com"
    assert pool_host("example.com", 3, "eu") == "3.tcp.eu.example.com"
    assert re.fullmatch(
        r"\d+\.tcp(\.[a-z0-9-]+)?\.example\.com:\d+", hostport(pool_host("example.com"), 20_000)
    )


@pytest.mark.parametrize(("text", "parts"), [
    ("h.example:20000", ("h.example", 20_000)), ("h", ("", 0)), ("h:", ("h", 0)), ("h:x", ("h", 0)),
    ("h:1234567", ("h", 0)), ("", ("", 0)), ("h:²", ("h", 0)),
])  # fmt: skip
def test_an_address_is_split(text: str, parts: tuple[str, int]) -> None:
    assert split_hostport(text) == parts


def test_an_address_is_shown_as_host_and_port() -> None:
    assert ReservedAddr("ra_1", "ac_1", "", "", 1.0, "local", "h.example", 20_000).addr == "h.example:20000"
