"""IP policies as the edge knows them: live, by account, whatever order their rows come in."""

import random

from portway.edge.ip_policies import IpPolicies, Verdict
from portway.edge.view import View
from portway.model.view import IpPolicyItem, IpRestrictionItem, IpRuleItem


def rule(
    n: int, cidr: str, action: str = "allow", policy: str = "ipp_1", account: str = "ac_1"
) -> IpRuleItem:
    return IpRuleItem(f"ipr_{n}", account, policy, cidr, action)


def gone(n: int) -> IpRuleItem:
    return IpRuleItem(f"ipr_{n}", "ac_1", gone=True)


def followed(*items: IpPolicyItem | IpRuleItem | IpRestrictionItem) -> tuple[View, IpPolicies]:
    view = View()
    policies = IpPolicies(view)
    view.begin()
    view.apply(items)
    view.finish()
    return view, policies


POLICY = IpPolicyItem("ipp_1", "ac_1")
OTHER = IpPolicyItem("ipp_2", "ac_1")


def test_some_rule_must_allow_and_none_may_deny() -> None:
    _, policies = followed(
        POLICY, OTHER,
        rule(1, "10.0.0.0/8"), rule(2, "10.1.0.0/16", "deny"), rule(3, "2001:db8::/32"),
        rule(4, "192.0.2.0/24", "allow", "ipp_2"), rule(5, "10.2.0.0/16", "deny", "ipp_2"),
    )  # fmt: skip
    one, both = policies.judge("ac_1", ["ipp_1"]), policies.judge("ac_1", ["ipp_1", "ipp_2", "ipp_1"])
    assert one.match("10.9.9.9") == Verdict(True, "10.0.0.0/8")
    assert one.match("10.1.9.9") == Verdict(False, "10.1.0.0/16")
    assert one.match("::ffff:10.9.9.9").allowed
    assert one.permits("2001:db8::9")
    assert not one.permits("2001:db9::9")
    assert one.match("192.0.2.1") == Verdict(False)
    assert both.permits("192.0.2.1")
    assert one.permits("10.2.0.1")
    assert not both.permits("10.2.0.1")
    assert not both.permits("/run/socket")


def test_who_only_denies_or_says_nothing_lets_nobody_in() -> None:
    _, policies = followed(POLICY, OTHER, rule(1, "10.0.0.0/8", "deny"))
    assert not policies.judge("ac_1", ["ipp_1"]).permits("192.0.2.1")
    assert not policies.judge("ac_1", ["ipp_2"]).permits("192.0.2.1")
    assert not policies.judge("ac_1", []).permits("192.0.2.1")
    assert not policies.judge("ac_1", ["ipp_9"]).permits("192.0.2.1")


def test_a_judge_sees_each_change_at_once() -> None:
    view, policies = followed(POLICY)
    judge = policies.judge("ac_1", ["ipp_1"])
    allow, deny = policies.sides("ac_1", "ipp_1") or (None, None)
    assert allow is not None
    assert deny is not None
    view.apply([rule(1, "127.0.0.1/32")])
    assert judge.permits("127.0.0.1")
    assert allow.match("127.0.0.1") == "127.0.0.1/32"
    view.apply([rule(1, "127.0.0.2/32")])
    assert not judge.permits("127.0.0.1")
    assert judge.permits("127.0.0.2")
    view.apply([rule(2, "127.0.0.2/32", "deny")])
    assert deny.match("127.0.0.2") == "127.0.0.2/32"
    assert not judge.permits("127.0.0.2")
    view.apply([gone(2)])
    assert judge.permits("127.0.0.2")
    view.apply([IpPolicyItem("ipp_1", "ac_1", gone=True), gone(1)])
    assert not judge.permits("127.0.0.2")
    assert allow.match("127.0.0.2") is None
    assert policies.sides("ac_1", "ipp_1") is None


def test_what_a_rule_leaves_and_another_takes_stays() -> None:
    view, policies = followed(POLICY, rule(1, "10.0.0.0/8"), rule(2, "192.0.2.0/24"))
    view.apply([rule(2, "10.0.0.0/8"), gone(1)])  # told in an order in which it cannot have happened
    assert policies.judge("ac_1", ["ipp_1"]).permits("10.0.0.1")
    view.apply([rule(3, "10.0.0.0/8", "deny"), gone(2)])
    assert policies.judge("ac_1", ["ipp_1"]).match("10.0.0.1") == Verdict(False, "10.0.0.0/8")
    assert "rules=1" in repr(policies)


def test_policies_of_others_are_not_there() -> None:
    _, policies = followed(POLICY, rule(1, "0.0.0.0/0"))
    assert policies.knows("ac_1", "ipp_1")
    assert not policies.knows("ac_2", "ipp_1")
    assert policies.sides("ac_2", "ipp_1") is None
    assert not policies.judge("ac_2", ["ipp_1"]).permits("127.0.0.1")


def test_restrictions_are_known_by_account_and_followed() -> None:
    view, policies = followed(
        POLICY, rule(1, "127.0.0.1/32"), IpRestrictionItem("ipx_1", "ac_1", False, ("ipp_1",))
    )
    found = policies.endpoints["ac_1"]
    assert not found.enforced
    assert (found.decide("127.0.0.1"), found.decide("127.0.0.2")) == ("allow", "block")
    view.apply([IpRestrictionItem("ipx_1", "ac_1", True, ("ipp_1",))])
    assert policies.endpoints["ac_1"].enforced
    view.apply(
        [IpRestrictionItem("ipx_2", "ac_1", False, ("ipp_1",)), IpRestrictionItem("ipx_1", "ac_1", gone=True)]
    )
    assert policies.endpoints["ac_1"].id == "ipx_2"
    view.apply([IpRestrictionItem("ipx_2", "ac_1", gone=True)])
    assert not policies.endpoints


def test_who_begins_later_knows_what_is_there() -> None:
    view, _ = followed(POLICY, rule(1, "10.0.0.0/8"))
    assert IpPolicies(view).judge("ac_1", ["ipp_1"]).permits("10.0.0.1")


def test_rows_in_any_order_come_to_the_same() -> None:
    rows = [POLICY, *(rule(n, f"10.{n}.0.0/16", "deny" if n % 3 == 0 else "allow") for n in range(30))]
    for seed in range(20):
        random.Random(seed).shuffle(rows)
        judge = followed(*rows)[1].judge("ac_1", ["ipp_1"])
        assert [judge.permits(f"10.{n}.0.1") for n in range(30)] == [n % 3 != 0 for n in range(30)]
