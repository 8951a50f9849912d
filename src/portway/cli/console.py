"""The live status screen of an agent on a terminal.

`draw` turns a Status into lines that fit the terminal, from 40 to 200 columns and more: labels in one
column, values in the next, the newest requests first. Where a screen is too low, what is least needed goes
first: QR codes, then requests, counters, and what is told of the session; URLs stay. It redraws only when
something has changed. NO_COLOR leaves the shapes and takes the colours.
"""

import io
import os
import textwrap
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self

from rich.console import Console as Terminal
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.text import Text

from portway.cli.output import colours, printable
from portway.cli.qr import code
from portway.cli.status import FIVE_MINUTES, MINUTE, Request, Status
from portway.net.output import Output

WIDE = 80
"""From this width on the label column has room to breathe."""

NARROW = 60
"""Below this width times are written without their milliseconds."""

_ENTER, _LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
"""Take the alternate screen and hide the cursor; the reverse (xterm's private modes)."""

_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[K\x1b[J"

_BLACK, _PAINT_BLACK, _RESET = "white on black", "\x1b[40m", "\x1b[m"
"""How things are written on black; the background in which terminals clear, and its end (ECMA-48, SGR)."""

_SESSION_STYLE = {"online": "bold green", "connecting": "yellow", "reconnecting": "bold red"}
_NEED = ("Session Status", "Account", "Region", "Latency", "Version", "Service")
"""What is told of the session; the last goes first where there is no room."""
_BARS = "▁▂▃▄▅▆▇█"
MESSAGE_LINES = 4
"""Lines of one message of the service, and of why there is no session."""

_SPARK = 20
"""Round trips that are drawn beside the latency."""
_COUNTERS = ("ttl", "opn", "rt1", "rt5", "p50", "p90")


def draw(status: Status, width: int, height: int, now: float) -> RenderableType:
    """Draw the whole screen, at most `height` lines of `width` cells."""
    label = 30 if width >= WIDE else 15
    forwarding = _forwarding_lines(status, label, width)
    lines = [_title(width), Text(""), *_session_lines(status, label, width, height - 2 - len(forwarding))]
    lines += forwarding
    lines += [Text(""), *_counter_lines(status, label, now)]
    if status.qr:
        lines += _code_lines(status, height - len(lines), width)
    if status.http:
        lines += _request_lines(status.requests, height - len(lines), width)
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[:height])


def _title(width: int) -> Text:
    hint = "(Ctrl+C to quit)"
    gap = max(width - len("portway") - len(hint), 1)
    return Text.assemble(("portway", "bold cyan"), " " * gap, (hint, "dim"))


def _row(width: int, label: str, value: Text) -> Text:
    return Text.assemble(label.ljust(width), value)


def _session_lines(status: Status, width: int, whole: int, room: int) -> list[Text]:
    state = Text(status.session, style=_SESSION_STYLE.get(status.session, ""))
    problem = printable(status.problem)
    if problem and width + len(state) + 2 + len(problem) <= whole:
        state.append(f"  {problem}", style="red")
        problem = ""
    account = printable(status.account) + (f" (Plan: {printable(status.plan)})" if status.plan else "")
    latency = Text("-" if status.latency is None else milliseconds(status.latency).ljust(8))
    if status.latency is not None and len(status.latencies) > 1:
        latency.append(sparkline(list(status.latencies)[-min(_SPARK, max(whole - width - 8, 0)) :]), "cyan")
    rows = [
        ("Session Status", state),
        ("Account", Text(account or "-")),
        ("Version", Text(status.version)),
        ("Region", Text(printable(status.region) or "-")),
        ("Latency", latency),
        ("Service", Text(status.connect_url or "-")),
    ]
    needed = {each[0] for each in sorted(rows, key=lambda row: _NEED.index(row[0]))[: max(room, 1)]}
    rows = [each for each in rows if each[0] in needed]
    rows[1:1] = _wrapped("", problem, "red", whole - width)
    for message in status.messages:
        rows += _wrapped("Message", message, "yellow", whole - width)
    return [_row(width, label, value) for label, value in rows]


def _wrapped(label: str, text: str, style: str, width: int) -> list[tuple[str, Text]]:
    """Return the rows of a text that may need several."""
    pieces = textwrap.wrap(printable(text), max(width, 1), max_lines=MESSAGE_LINES)
    return [("" if number else label, Text(each, style)) for number, each in enumerate(pieces)]


def sparkline(values: Sequence[float]) -> str:
    """Draw numbers as bars, from the least to the greatest of them; all alike are the lowest bar."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((value - low) / step)] for value in values)


def _code_lines(status: Status, room: int, width: int) -> list[Text]:
    """Draw the QR code of each URL that there is room for; a line says so where there is none."""
    lines: list[Text] = []
    for url, _ in status.forwarding:
        drawn = code(url)
        if max(map(len, drawn)) > width or len(lines) + len(drawn) + 1 > room:
            return [*lines, Text(""), Text("(the terminal is too small for the QR code)", style="dim")]
        lines += [Text(""), *(Text(line) for line in drawn)]
    return lines


def _forwarding_lines(status: Status, label: int, width: int) -> list[Text]:
    lines: list[Text] = []
    for url, upstream in status.forwarding:
        address, arrow = Text(printable(url), style="bold cyan"), Text(f"-> {printable(upstream)}")
        if label + len(address) + 1 + len(arrow) <= width:
            lines.append(Text.assemble(address, " ", arrow))
        else:  # a URL that is cut short is of no use to anybody: more lines instead
            lines += [address[at : at + width] for at in range(0, len(address), width)]
            lines.append(arrow)
    if any(label + len(line) > width for line in lines):
        return [Text("Forwarding"), *lines]
    return [_row(label, "" if i else "Forwarding", line) for i, line in enumerate(lines or [Text("-")])]


def _counter_lines(status: Status, width: int, now: float) -> list[Text]:
    values = (
        str(status.opened),
        str(status.open_now),
        f"{status.rate.per_second(now, MINUTE):.2f}",
        f"{status.rate.per_second(now, FIVE_MINUTES):.2f}",
        f"{status.percentile(0.5):.2f}",
        f"{status.percentile(0.9):.2f}",
    )
    cell = 8 if width == 30 else 5
    shown = [i for i, name in enumerate(_COUNTERS) if width == 30 or name != "p50"]
    names = " ".join(_COUNTERS[i].ljust(cell - 1) for i in shown)
    numbers = " ".join(values[i].ljust(cell - 1) for i in shown)
    return [_row(width, "Connections", Text(names, style="dim")), _row(width, "", Text(numbers))]


def _request_lines(requests: Iterable[Request], room: int, width: int) -> list[Text]:
    newest = list(requests)[::-1][: max(room - 3, 0)]
    return [
        Text(""),
        Text("HTTP Requests"),
        Text("-------------"),
        *(_request_line(r, width) for r in newest),
    ]


def _request_line(request: Request, width: int) -> Text:
    answer = f"{request.status} {phrase(request.status)}".rstrip() if width >= WIDE else str(request.status)
    at = request.at if width >= NARROW else request.at[:8]
    start = Text.assemble((at, "dim"), f" {printable(request.method):<7} ")
    took = f"{milliseconds(request.seconds):>7} " if width >= WIDE else ""
    path = Text(printable(request.path))
    rest = len(took) + (26 if width >= WIDE else 4)
    path.truncate(max(width - len(start) - rest, 4), overflow="ellipsis", pad=True)
    return Text.assemble(start, path, " ", (took, "dim"), (answer, status_style(request.status)))


def phrase(status: int) -> str:
    """Name a status as its registry does; empty for a number that has no name there."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def status_style(status: int) -> str:
    """Colour of a status: green for success, cyan for redirects, yellow and red for errors."""
    return {2: "green", 3: "cyan", 4: "yellow", 5: "bold red"}.get(status // 100, "")


def milliseconds(seconds: float) -> str:
    """Write a latency for people: 0.4ms, 12ms, 1.2s."""
    if seconds >= 1:
        return f"{seconds:.1f}s"
    value = seconds * 1000
    return f"{value:.1f}ms" if value < 10 else f"{value:.0f}ms"


class Screen:
    """The terminal, held for the life of the agent and given back as it was.

    A picture is drawn whole and handed to an `Output`: a terminal that is stopped (Ctrl+S, a hung
    remote shell) misses pictures and stops nobody.
    """

    def __init__(
        self, status: Status, clock: Callable[[], float], descriptor: int, *, black: bool = False
    ) -> None:
        """Take what is to be shown, a clock that never goes back, and the terminal's descriptor.

        ``black``: the background is, instead of the terminal's own, unless NO_COLOR stands.
        """
        self._status = status
        self._clock = clock
        self._descriptor = descriptor
        self._output = Output(descriptor)
        self._painter = Terminal(file=io.StringIO(), force_terminal=True, style=_BLACK if black else None)
        self._around = (_PAINT_BLACK, _RESET) if black and colours() else ("", "")
        self._last = ""

    def __enter__(self) -> Self:
        """Take the terminal's alternate screen."""
        self._output.write(_ENTER)
        self.refresh()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the terminal back, also after a failure."""
        self._output.write(_LEAVE)
        self._output.close()

    def refresh(self) -> None:
        """Draw what is true now, at the size that the terminal has now, if it is something new."""
        if not self._output.flush():
            return
        picture = self._paint()
        if picture != self._last:
            self._last = picture
            self._output.write(picture.encode("utf-8", "replace"))

    def _paint(self) -> str:
        width, height = os.get_terminal_size(self._descriptor)
        painter = self._painter
        painter.size = ConsoleDimensions(width or 80, height or 24)
        with painter.capture() as capture:
            painter.print(draw(self._status, *painter.size, self._clock()), end="")
        lines = capture.get().rstrip("\n").split("\n")
        paint, reset = self._around
        end = f"{paint}{_CLEAR_LINE}{reset}\r\n"
        return _HOME + end.join(lines) + paint + _CLEAR_BELOW + reset
