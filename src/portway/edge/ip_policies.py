"""IP policies at the edge: sets of networks that follow the store, and what they say of an address.

A policy allows some networks and denies others. Several policies that are referred to together are one set
of rules: an address passes if some rule of them allows it and none denies it, so that policies which only
deny, or have no rule at all, let nobody in.

An :class:`IpJudge` is made once, by identifiers, and asked for ever: it looks at the rules as they are at
each call, and a policy that is gone, or is another account's, is one without rules.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from portway.model.cidr import CidrTable, parse_address
from portway.model.view import IpPolicyItem, IpRestrictionItem, IpRuleItem

if TYPE_CHECKING:
    from portway.edge.view import View
    from portway.model.view import ViewItem

BLOCKED: Final = 3205
"""The code that a visitor is shown whom an account's restriction keeps out."""


class Verdict(NamedTuple):
    """What rules say of an address, and the network by which they do: "" when none holds it."""

    allowed: bool
    matched: str = ""


class Rules(msgspec.Struct, frozen=True):
    """The rules of one policy."""

    account_id: str
    allow: CidrTable = msgspec.field(default_factory=CidrTable)
    deny: CidrTable = msgspec.field(default_factory=CidrTable)
    owners: dict[tuple[str, str], str] = msgspec.field(default_factory=dict[tuple[str, str], str])
    """Action and network → its rule. A rule that goes must not take along what another has got meanwhile."""

    def side(self, action: str) -> CidrTable:
        """Return the networks that an action holds for."""
        return self.allow if action == "allow" else self.deny

    def add(self, rule: IpRuleItem) -> None:
        """Take a rule in."""
        self.side(rule.action).add(rule.cidr)
        self.owners[rule.action, rule.cidr] = rule.id

    def discard(self, rule: IpRuleItem) -> None:
        """Let a rule go."""
        if self.owners.get((rule.action, rule.cidr)) == rule.id:
            del self.owners[rule.action, rule.cidr]
            self.side(rule.action).discard(rule.cidr)


class IpPolicies:
    """All IP policies and restrictions of endpoints that the edge knows."""

    def __init__(self, view: "View", changed: Callable[[], None] = lambda: None) -> None:
        """Follow the view. ``changed`` is called when visitors who were let in may not come any more."""
        self._on_change = changed
        self._policies: dict[str, Rules] = {}
        self.endpoints: dict[str, Restriction] = {}
        """Account → whom it lets in to its endpoints; those without a restriction are not there."""
        for item in view.all():
            self._changed(item, None)
        view.on_change(self._changed)

    def __repr__(self) -> str:
        """Show how much is known."""
        rules = sum(len(each.owners) for each in self._policies.values())
        return f"<IpPolicies {len(self._policies)} rules={rules} restrictions={len(self.endpoints)}>"

    def judge(self, account_id: str, ids: Sequence[str]) -> "IpJudge":
        """Return who judges by these policies of an account, now and later."""
        return IpJudge(self, account_id, tuple(dict.fromkeys(ids)))

    def knows(self, account_id: str, policy_id: str) -> bool:
        """Tell whether an account has a policy."""
        found = self._policies.get(policy_id)
        return found is not None and found.account_id == account_id

    def sides(self, account_id: str, policy_id: str) -> "tuple[Side, Side] | None":
        """Return what a policy allows and what it denies, for ``restrict-ips``; None if there is no such."""
        if not self.knows(account_id, policy_id):
            return None
        return Side(self, account_id, policy_id, "allow"), Side(self, account_id, policy_id, "deny")

    def rules(self, account_id: str, policy_id: str) -> "Rules | None":
        """Return the rules of a policy as they are now."""
        found = self._policies.get(policy_id)
        return found if found is not None and found.account_id == account_id else None

    # -- from the view

    def _changed(self, item: "ViewItem", before: "ViewItem | None") -> None:
        """Hear of a row."""
        if isinstance(item, IpRuleItem):
            self._rule(item, before)
        elif isinstance(item, IpPolicyItem):
            if item.gone:
                self._policies.pop(item.id, None)
            else:
                self._of(item.id, item.account_id)
        elif isinstance(item, IpRestrictionItem):
            self._restriction(item)
            self._on_change()
            return
        if item.account_id in self.endpoints and isinstance(item, IpRuleItem | IpPolicyItem):
            self._on_change()

    def _rule(self, item: IpRuleItem, before: "ViewItem | None") -> None:
        if isinstance(before, IpRuleItem):
            found = self._policies.get(before.policy_id)
            if found is not None:
                found.discard(before)
        if not item.gone:
            self._of(item.policy_id, item.account_id).add(item)

    def _restriction(self, item: IpRestrictionItem) -> None:
        known = self.endpoints.get(item.account_id)
        if not item.gone:
            judge = self.judge(item.account_id, item.policy_ids)
            self.endpoints[item.account_id] = Restriction(item.id, item.enforced, judge)
        elif known is not None and known.id == item.id:  # else another has taken its place meanwhile
            del self.endpoints[item.account_id]

    def _of(self, policy_id: str, account_id: str) -> Rules:
        """Return the rules of a policy; a rule may be told of before it."""
        found = self._policies.get(policy_id)
        if found is None:
            found = self._policies[policy_id] = Rules(account_id)
        return found


class IpJudge:
    """Some policies of one account, as one set of rules."""

    __slots__ = ("_account_id", "_ids", "_policies")

    def __init__(self, policies: IpPolicies, account_id: str, ids: tuple[str, ...]) -> None:
        """Judge by these."""
        self._policies = policies
        self._account_id = account_id
        self._ids = ids

    def __repr__(self) -> str:
        """Show the policies."""
        return f"<IpJudge {' '.join(self._ids)}>"

    def match(self, address: str) -> Verdict:
        """Judge an address without brackets. What is none is not allowed."""
        parsed = parse_address(address)
        if parsed is None:
            return Verdict(False)
        allowed: str | None = None
        for each in self._ids:
            rules = self._policies.rules(self._account_id, each)
            if rules is None:
                continue
            if (denied := rules.deny.find(parsed)) is not None:
                return Verdict(False, denied)
            if allowed is None:
                allowed = rules.allow.find(parsed)
        return Verdict(False) if allowed is None else Verdict(True, allowed)

    def permits(self, address: str) -> bool:
        """Tell whether an address may enter."""
        return self.match(address).allowed


class Side(msgspec.Struct, frozen=True):
    """What one policy allows, or what it denies, as it is at each look."""

    policies: IpPolicies
    account_id: str
    policy_id: str
    action: str

    def match(self, address: str) -> str | None:
        """Return the smallest network that holds an address; None if none does."""
        rules = self.policies.rules(self.account_id, self.policy_id)
        return None if rules is None else rules.side(self.action).match(address)


class Restriction(msgspec.Struct, frozen=True):
    """Whom an account lets in to its endpoints. Without ``enforced`` it only warns."""

    id: str
    enforced: bool
    judge: IpJudge

    def decide(self, address: str) -> str:
        """Return what the event of a visitor says: allow or block."""
        return "allow" if self.judge.permits(address) else "block"
