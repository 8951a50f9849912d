"""Limits of plans, as an operator writes them."""

import pytest

from portway.model.plan import Plan
from portway.server.plan_limits import plan_limits


def test_each_plan_has_its_limits() -> None:
    assert plan_limits("") == plan_limits(" ; ") == {}
    assert plan_limits("free:domains=3, addresses=0,custom_domains=off; team : addresses=20;") == {
        "free": Plan(domains=3, addresses=0, custom_domains=False),
        "team": Plan(addresses=20),
    }
    assert plan_limits("clinic:health_data=on,agents=2") == {"clinic": Plan(health_data=True, agents=2)}


@pytest.mark.parametrize(("text", "says"), [
    ("free", "not PLAN:LIMIT"), (":domains=1", "not PLAN:LIMIT"), ("Free:domains=1", "not PLAN:LIMIT"),
    ("free:", "LIMIT=N"), ("free:domains", "LIMIT=N"), ("free:doors=1", "with a limit of addresses"),
    ("free:domains=x", "whole number"), ("free:domains=-1", "whole number"),
    ("free:domains=on", "whole number"), ("free:custom_domains=3", "on nor off"),
    ("a:domains=1;a:domains=2", "stands twice"),
])  # fmt: skip
def test_nonsense_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        plan_limits(text)
