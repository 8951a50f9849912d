"""Limits of plans."""

from msgspec.structs import fields

from portway.model.plan import Plan


def test_a_plan_begins_without_limits() -> None:
    begun = {each.name: getattr(Plan(), each.name) for each in fields(Plan)}
    assert not begun.pop("health_data"), "what forbids something is off"
    assert all(limit in {None, True} for limit in begun.values())
