"""What the access rules of a credential let its sessions bind.

::

    rule   = "*" | "bind:" target
    target = "*"                  anything
           | host                 that name, for http, https and tls on any port
           | "*." host            every name below it, at any depth, and the wildcard name itself
           | host ":" port        that TCP address
           | key "=" value        that label; "*" stands for any key or any value

Rules add up, and no rule at all allows everything. Points that the grammar leaves open are settled
here. A public TCP address is a host with its port, so only a rule that names both allows it; an
internal one is a name, so the rules for names do too. A name or address that the service is to choose
is allowed when every one that it may choose is. Hosts are folded as those of URLs are, so case does
not matter; labels are compared exactly. A labelled tunnel may be bound when each of its labels may.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from portway.errors import Error
from portway.model.url import Url, normal_host

RULES_LIMIT: Final = 100
"""Rules of one credential; more are ERR_NGROK_600."""
RULE_LIMIT: Final = 512
"""Bytes of one rule; a longer one is ERR_NGROK_600."""

_PREFIX: Final = "bind:"
_ANY: Final = "*"


class Acl(msgspec.Struct):
    """Parsed rules. Make it with :meth:`parse`; they do not change afterwards."""

    everything: bool = False
    hosts: set[str] = msgspec.field(default_factory=set)
    parents: set[str] = msgspec.field(default_factory=set)
    """``example.com`` for ``*.example.com``."""
    addresses: set[tuple[str, int]] = msgspec.field(default_factory=set)
    labels: set[tuple[str, str]] = msgspec.field(default_factory=set)

    @classmethod
    def parse(cls, rules: Sequence[str]) -> "Acl":
        """Read rules. Raises Error 600 that names the first bad one."""
        if len(rules) > RULES_LIMIT:
            raise Error(f"There are {len(rules)} access rules; {RULES_LIMIT} are allowed.", 600)
        acl = cls(everything=not rules)
        for rule in rules:
            acl._add(rule)
        return acl

    def allows_url(self, url: Url) -> bool:
        """Tell whether an endpoint with this host (tcp: host and port) may be bound."""
        if self.everything:
            return True
        if url.scheme == "tcp" and (url.host, url.port) in self.addresses:
            return True
        return (url.scheme != "tcp" or url.is_internal) and self._allows_host(url.host)

    def allows_random(self, scheme: str, base: str) -> bool:
        """Tell whether an endpoint may be bound whose name below ``base`` the service chooses.

        For tcp the service chooses a port too, so nothing less than everything allows it.
        """
        return self.everything or (scheme != "tcp" and self._allows_below(f"{_ANY}.{base}"))

    def allows_labels(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a tunnel with these labels may be bound: each of them must be allowed."""
        return self.everything or (
            bool(labels) and all(self._allows_label(key, value) for key, value in labels.items())
        )

    def _allows_host(self, host: str) -> bool:
        return host in self.hosts or self._allows_below(host)

    def _allows_below(self, host: str) -> bool:
        return any(parent in self.parents for parent in _parents(host))

    def _allows_label(self, key: str, value: str) -> bool:
        forms = ((key, value), (key, _ANY), (_ANY, value), (_ANY, _ANY))
        return any(form in self.labels for form in forms)

    def _add(self, rule: str) -> None:
        target = rule.removeprefix(_PREFIX)
        if rule == _ANY or (target == _ANY and target != rule):
            self.everything = True
        elif target == rule:
            raise _bad(rule, f"it must be {_ANY!r} or start with {_PREFIX!r}")
        elif len(rule.encode()) > RULE_LIMIT:
            raise _bad(rule, f"it may have {RULE_LIMIT} bytes")
        elif "=" in target:
            self.labels.add(_label(rule, target))
        elif ":" in target:
            self.addresses.add(_address(rule, target))
        elif target.startswith(f"{_ANY}."):
            self.parents.add(_host(rule, target.removeprefix(f"{_ANY}.")))
        else:
            self.hosts.add(_host(rule, target))


def _parents(host: str) -> Iterator[str]:
    """Yield what a name is below, the nearest first."""
    while host := host.partition(".")[2]:
        yield host


def _label(rule: str, target: str) -> tuple[str, str]:
    key, _, value = target.partition("=")
    if not key or not value:
        raise _bad(rule, "a label needs a key and a value")
    if any(_ANY in part and part != _ANY for part in (key, value)):
        raise _bad(rule, f"{_ANY!r} stands for a whole key or a whole value")
    return key, value


def _address(rule: str, target: str) -> tuple[str, int]:
    host, _, digits = target.rpartition(":")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65_535):
        raise _bad(rule, "a TCP address ends in a port from 1 to 65535")
    return _host(rule, host), int(digits)


def _host(rule: str, name: str) -> str:
    try:
        host = normal_host(name)
    except Error as error:
        raise _bad(rule, error.message) from error
    if _ANY in host:
        raise _bad(rule, f"{_ANY!r} may only be the first label of a name")
    return host


def _bad(rule: str, why: str) -> Error:
    shown = rule if len(rule) <= 80 else f"{rule[:79]}…"
    return Error(f"The access rule {shown!r} cannot be used: {why}.", 600)
