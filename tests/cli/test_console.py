"""The status screen: what stands where, and that it fits every terminal."""

import fcntl
import io
import os
import re
import struct
import termios
from collections.abc import Iterator

import pytest
from rich.console import Console as Terminal
from tests.kit.slow import drain

from portway.cli.console import Screen, draw, milliseconds, phrase, sparkline, status_style
from portway.cli.status import Request, Status


def example() -> Status:
    status = Status(
        version="0.1.0", account="demo", plan="Free", region="local", connect_url="127.0.0.1:4443"
    )
    status.online()
    status.latency = 0.0034
    status.http = True
    status.forwarding = [("https://1eb2-127-0-0-1.portway.localhost:7443", "http://localhost:8080")]
    for i, code in enumerate((200, 302, 404, 500)):
        status.requests.append(Request(f"12:00:0{i}.000", "GET", f"/page/{i}", code))
    return status


def lines(status: Status, width: int, height: int = 30) -> list[str]:
    out = io.StringIO()
    Terminal(width=width, height=height, file=out).print(draw(status, width, height, 100.0))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_everything_that_users_know_is_there() -> None:
    text = "\n".join(lines(example(), 110))
    for part in (
        "Session Status                online",
        "Account                       demo (Plan: Free)",
        "Region                        local",
        "Latency                       3.4ms",
        "Forwarding                    https://1eb2-127-0-0-1.portway.localhost:7443 -> http://localhost:8080",
        "ttl     opn     rt1     rt5     p50     p90",
        "500 Internal Server Error",
    ):
        assert part in text
    assert text.index("/page/3") < text.index("/page/0"), "newest request first"


@pytest.mark.row("K-24")
@pytest.mark.parametrize("width", [40, 80])
def test_a_message_of_the_service_is_not_cut_short(width: int) -> None:
    status = example()
    status.messages = ["Your agent is deprecated. Please update to 0.2 or later by 2027-01-31."]
    shown = lines(status, width)
    first = next(number for number, line in enumerate(shown) if line.startswith("Message "))
    label = shown[first].index("Your")
    told = [shown[first][label:]]
    while shown[first + len(told)].startswith(" " * label):
        told.append(shown[first + len(told)][label:])
    assert " ".join(told) == status.messages[0]


@pytest.mark.parametrize("width", [40, 80])
def test_why_there_is_no_session_is_not_cut_short(width: int) -> None:
    status = example()
    status.offline("cannot connect to portway.example.com:4443: connection refused")
    shown = lines(status, width)
    assert shown[2].split() == ["Session", "Status", "reconnecting"]
    told = [line.strip() for line in shown[3 : next(i for i, line in enumerate(shown) if "Account" in line)]]
    assert " ".join(told) == status.problem


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [10, 24, 50])
def test_it_fits_the_terminal(width: int, height: int) -> None:
    shown = lines(example(), width, height)
    assert len(shown) <= height
    assert max(map(len, shown)) <= width


def test_urls_stay_where_the_terminal_is_low() -> None:
    shown = lines(example(), 40, 8)
    assert shown[2].startswith("Session Status online")
    assert shown[3].startswith("Account")
    assert shown[4:] == [
        "Forwarding",
        "https://1eb2-127-0-0-1.portway.localhost",
        ":7443",
        "-> http://localhost:8080",
    ]


def test_a_url_that_does_not_fit_beside_its_label_gets_a_line_of_its_own() -> None:
    shown = lines(example(), 50)
    assert "https://1eb2-127-0-0-1.portway.localhost:7443" in shown
    assert "-> http://localhost:8080" in shown


def test_a_url_that_does_not_fit_at_all_is_continued() -> None:
    status = example()
    shown = lines(status, 40)
    assert "".join(shown).count("https://1eb2-127-0-0-1.portway.localhost:7443") == 1
    assert not any("…" in line for line in shown if "portway.localhost" in line)


def test_the_latency_has_a_history() -> None:
    status = example()
    for latency in (0.001, 0.008, 0.004):
        status.heard(latency)
    assert "Latency                       4.0ms   ▁█▄" in "\n".join(lines(status, 100))
    assert (sparkline([]), sparkline([1.0, 1.0]), sparkline([0.0, 7.0])) == ("", "▁▁", "▁█")


def test_a_qr_code_where_there_is_room() -> None:
    status = example()
    status.qr = True
    assert "█▀▀▀▀▀▀▀█" in "\n".join(lines(status, 80, 50))
    assert "too small for the QR code" in "\n".join(lines(status, 80, 24))
    assert "too small" in "\n".join(lines(status, 30, 60))


def test_requests_say_how_long_they_took() -> None:
    status = example()
    status.requests.append(Request("12:00:09.000", "GET", "/slow", 200, 1.25))
    assert "   1.2s 200 OK" in "\n".join(lines(status, 100))
    assert "12:00:09 GET     /slow" in "\n".join(lines(status, 50))


def test_a_lost_session_says_why_and_has_no_latency() -> None:
    status = example()
    status.offline("read EOF from remote peer")
    text = "\n".join(lines(status, 100))
    assert "reconnecting  read EOF from remote peer" in text
    assert "Latency                       -" in text


def test_what_a_visitor_sends_cannot_move_the_cursor() -> None:
    status = example()
    status.requests.append(Request("12:00:09.000", "GET", "/\x1b[2J\r\nforged", 200))
    text = "\n".join(lines(status, 120))
    assert "\x1b" not in text
    assert "/\\x1b[2J\\r\\nforged" in text


def test_tcp_endpoints_show_no_requests() -> None:
    status = example()
    status.http = False
    assert "HTTP Requests" not in "\n".join(lines(status, 100))


def test_small_words() -> None:
    assert (milliseconds(0.0004), milliseconds(0.0123), milliseconds(1.25)) == ("0.4ms", "12ms", "1.2s")
    assert (phrase(404), phrase(799)) == ("Not Found", "")
    assert (status_style(204), status_style(503), status_style(999)) == ("green", "bold red", "")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    main, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    yield main, terminal
    os.close(main)
    os.close(terminal)


def test_the_screen_takes_and_returns_the_terminal(terminal: tuple[int, int]) -> None:
    main, end = terminal
    with Screen(example(), lambda: 1.0, end):
        pass
    text = drain(main).decode()
    assert text.index("\x1b[?1049h") < text.index("Forwarding") < text.index("\x1b[?1049l")


@pytest.mark.parametrize("value", ["1", ""])
def test_no_color(value: str, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty counts as unset, as no-color.org has it."""
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setenv("TERM", "xterm-256color")
    main, end = terminal
    with Screen(example(), lambda: 1.0, end):
        pass
    coloured = re.search(r"\x1b\[[0-9;]*3[0-7]", drain(main).decode())
    assert bool(coloured) == (not value)


@pytest.mark.row("K-14")
@pytest.mark.parametrize("black", [True, False])
def test_a_black_background(black: bool, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written and what is cleared; the shapes stay, and so does the terminal's own without it."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    main, end = terminal
    with Screen(example(), lambda: 1.0, end, black=black):
        pass
    text = drain(main).decode()
    assert bool(re.search(r"\x1b\[37;40mAccount", text)) == black
    assert ("\x1b[40m\x1b[K\x1b[m\r" in text) == black
    assert ("\x1b[40m\x1b[K\x1b[J\x1b[m" in text) == black
    assert black or ";40m" not in text


def test_only_something_new_is_drawn(terminal: tuple[int, int]) -> None:
    main, end = terminal
    status = example()
    with Screen(status, lambda: 1.0, end) as screen:
        drain(main)
        screen.refresh()
        assert drain(main) == b""
        status.offline("gone")
        screen.refresh()
        assert b"gone" in drain(main)


def test_a_stopped_terminal_stops_nobody(terminal: tuple[int, int]) -> None:
    main, end = terminal
    status = example()
    with Screen(status, lambda: 1.0, end) as screen:
        for i in range(200):
            status.offline(f"reason {i}")
            screen.refresh()
        text = drain(main).decode()
        assert "reason 199" not in text
        for _ in range(100):  # the terminal goes on: what was kept comes, then the newest picture
            screen.refresh()
            text = drain(main).decode()
            if "reason 199" in text:
                return
    raise AssertionError("the newest picture never came")
