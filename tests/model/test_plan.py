"""Limits of plans."""

from dataclasses import fields

from portway.model.plan import Plan


def test_a_plan_begins_without_limits() -> None:
    assert all(getattr(Plan(), each.name) in {None, True} for each in fields(Plan))
