"""The catalogue of exported events."""

import pytest

from portway.model import event_types


@pytest.mark.row("EV-01")
def test_there_are_55_types_in_two_classes() -> None:
    assert len(event_types.STEMS) == 17
    assert len(event_types.AUDIT_TYPES) == 53
    assert len(event_types.TYPES) == 55
    assert not event_types.AUDIT_TYPES & event_types.TRAFFIC_TYPES
    assert all(each.endswith(".v0") for each in event_types.TYPES)


def test_fields_are_sorted_and_unique() -> None:
    for fields in (event_types.HTTP_FIELDS, event_types.TCP_FIELDS):
        assert list(fields) == sorted(set(fields))
    assert len(event_types.TCP_FIELDS) == 11
