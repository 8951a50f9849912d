"""The way of sending that each kind of target has."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from portway.control.events.datadog import Datadog
from portway.control.events.files import File
from portway.control.events.local import Debug, Stdout
from portway.control.events.otlp import Otlp
from portway.control.events.sending import Poster, Printer, Sender
from portway.control.events.syslog import Syslog, Wire
from portway.control.events.webhook import Webhook
from portway.model.event_target import Target, undeliverable


class Tools(msgspec.Struct, frozen=True):
    """What senders send with. ``folder`` holds the files of all accounts; ``now`` returns Unix seconds."""

    poster: Poster
    printer: Printer
    folder: Path
    now: Callable[[], float]
    wire: Wire
    machine: str = ""
    """The name of this machine."""


def make_sender(target: Target, account_id: str, tools: Tools) -> Sender | None:
    """Return the way of sending to a target of an account; None where nothing is sent."""
    if undeliverable(target.kind):
        return None
    settings = target.whole
    match target.kind:
        case "webhook":
            return Webhook(settings, tools.poster, tools.now)
        case "datadog":
            return Datadog(settings, tools.poster)
        case "otlp":
            return Otlp(settings, tools.poster)
        case "file":
            return File(tools.folder / account_id, settings, tools.now)
        case "syslog":
            return Syslog(settings, tools.wire, tools.machine)
        case "stdout":
            return Stdout(tools.printer)
        case _:
            return Debug(settings, tools.poster)
