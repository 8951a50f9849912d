"""Agents that are too old: what may be demanded, how versions are ordered, who is refused or warned."""

from itertools import pairwise

import pytest

from portway.model.agent_version import NEVER, NO_DAY, Demand, Judgement, judge, key, least, read_demands

DAY = 1_801_353_600.0  # 2027-01-31T00:00:00Z


def test_what_may_be_demanded() -> None:
    assert read_demands("") == ()
    assert read_demands("0.2.0, ngrok-python=1.4@2027-01-31,portway=1@later") == (
        Demand("portway", "0.2.0"),
        Demand("ngrok-python", "1.4", DAY),
        Demand("portway", "1", NEVER),
    )
    assert [each.day for each in read_demands("1,1@2027-01-31,1@later")] == [
        NO_DAY,
        "2027-01-31T00:00:00Z",
        NO_DAY,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("new", "'new' is not [PRODUCT=]VERSION[@DAY]"),
        ("portway=", "'portway=' is not"),
        ("a b=1", "'a b=1' is not"),
        ("1.0@", "'1.0@' is not"),
        ("1.0@soon", "'soon' in '1.0@soon' is neither a day such as 2027-01-31 nor 'later'"),
        ("1.0@2027-02-30", "'2027-02-30' in"),
    ],
)
def test_what_is_none(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_demands(text)
    assert said in str(caught.value)


def test_versions_are_ordered() -> None:
    """The row of SemVer section 11, and spellings of Python's and of this world."""
    rising = [
        "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
        "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1.dev1", "1.0.1", "1.2", "1.10", "1.10.0.1", "v2",
    ]  # fmt: skip
    keys = [key(each) for each in rising]
    assert all(low is not None and high is not None and low < high for low, high in pairwise(keys)), keys
    assert key("1.0") == key("v1.0.0+build.7") == key("1")
    assert [key(each) for each in ("", "x", "1..2", "1.0 ", "1.0/2", "-1", "1" * 10)] == [None] * 7


def judged(text: str, user_agent: str, now: float = 0.0) -> Judgement:
    """Judge by demands as they are written."""
    return judge(read_demands(text), user_agent, now)


def test_who_is_refused() -> None:
    for served in (
        "portway/0.2.0",
        "other/0.1",
        "",
        "shop/0.1 portway/0.2.1 (x/0.1; portway/0.1)",
        "Portway/1",
    ):
        assert judged("0.2.0", served) == Judgement(), served
    for late in ("portway/0.1.9", "shop/9 (portway/3) portway/0.2.0-rc.1 x/1", "portway/1 PORTWAY/0.1"):
        assert judged("0.2.0", late).refused == Demand("portway", "0.2.0"), late
    assert judged("0.2.0", "portway/0.1").text == (
        "This agent, portway 0.1, is too old for this service, which asks for portway 0.2.0 or later."
        " Please update it."
    )
    unknown = judged("0.2.0", "portway/nightly")
    assert (unknown.readable, unknown.text) == (
        False,
        "'nightly' is no version of portway: this service asks for portway 0.2.0 or later.",
    )


def test_who_is_warned_and_until_when() -> None:
    demands = "0.2,0.4@2027-01-31,0.9@later"
    assert judged(demands, "portway/0.1", DAY - 1).refused == Demand("portway", "0.2")
    soon = judged(demands, "portway/0.3", DAY - 1)
    assert (soon.refused, soon.coming) == (None, Demand("portway", "0.4", DAY)), "the nearest"
    assert soon.text == (
        "portway 0.3 will be too old from 2027-01-31 on: please update to portway 0.4 or later."
    )
    assert judged(demands, "portway/0.3", DAY).refused == Demand("portway", "0.4", DAY)
    later = judged(demands, "portway/0.5", DAY)
    assert later.text == "portway 0.5 will be too old: please update to portway 0.9 or later."
    assert judged(demands, "portway/0.9", DAY).text == ""


def test_the_least_version_that_is_served() -> None:
    demands = read_demands("0.2,0.10@2027-01-31,ngrok-python=1.4,2@later")
    assert [least(demands, "portway", now) for now in (0.0, DAY)] == ["0.2", "0.10"]
    assert least(demands, "ngrok-go", DAY) == ""
