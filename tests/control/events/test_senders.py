"""The way of sending that each kind of target has."""

from pathlib import Path

import pytest
from tests.kit.events import TARGETS
from tests.kit.receivers import Carried, Printed, Receiver

from portway.control.events.senders import Tools, make_sender
from portway.model.event_target import KINDS, parse_target, undeliverable


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_way_or_a_reason(kind: str, tmp_path: Path) -> None:
    tools = Tools(Receiver(), Printed(), tmp_path, lambda: 0.0, Carried())
    sender = make_sender(parse_target({kind: TARGETS[kind]}), "ac_1", tools)
    assert (sender is None) == bool(undeliverable(kind))
    assert sender is None or 1 <= sender.batch_size <= 500
