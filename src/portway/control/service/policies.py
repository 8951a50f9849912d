"""Traffic policies as the API takes them: judged by the same compiler that the data plane uses."""

import re
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from portway.control.store import ip_tables, nouns
from portway.control.store.tables import certificate_authorities
from portway.errors import Error
from portway.model.cidr import CidrSet
from portway.model.identity import ProviderApp
from portway.net.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.document import Node
    from portway.control.service.context import Context
    from portway.control.service.settings import Settings
    from portway.model.url import Url
    from portway.policy.engine import Policy
    from portway.policy.geo import Geo

COMPILING: Final = 2
"""Policies of one account that are judged at a time."""
_turns: Final = Turns(COMPILING)

_AUTHORITY: Final = re.compile(r"\bca_[A-Za-z0-9]+", re.ASCII).findall
_IP_POLICY: Final = re.compile(r"\bipp_[A-Za-z0-9]+", re.ASCII).findall


async def check(context: "Context", account_id: str, url: "Url", text: str) -> None:
    """Refuse what could not be carried out on a cloud endpoint at this URL; compiled in a thread.

    Raises Error: 18002 when it is too long, else the codes of the policy's problems, all of which are told.
    """
    named = await _named(context, account_id, text)
    made = await _turns.run(account_id, lambda: _compile(text, url, named, context.settings))
    await context.issuers.check(made)


async def check_document(
    context: "Context", account_id: str, url: "Url", text: str, make: "Callable[[], str | Node]"
) -> bool:
    """Refuse what could not be carried out at an edge; tell whether it judges connections.

    ``make`` makes the document, of which ``text`` is the part that somebody wrote. Raises Error as ``check``.
    """
    named = await _named(context, account_id, text)

    def compiled() -> "Policy | None":
        document = make()
        return _compile(document, url, named, context.settings, cloud=False) if document else None

    made = await _turns.run(account_id, compiled)
    if made is None:
        return False
    await context.issuers.check(made)
    from portway.policy.phase import Phase

    return made.has(Phase.TCP_CONNECT)


class _Named(msgspec.Struct, frozen=True):
    """What a document names, as far as the account has it. ``text`` is what somebody has written."""

    text: str
    authorities: dict[str, bytes]
    ip_policies: set[str]

    def ip_policy(self, policy_id: str, *, cloud: bool) -> "tuple[CidrSet, CidrSet] | None":
        """Return something for a policy that there is; what modules of edges name was looked for there."""
        there = policy_id in self.ip_policies or not (cloud or policy_id in self.text)
        return (CidrSet(), CidrSet()) if there else None


async def _named(context: "Context", account_id: str, text: str) -> _Named:
    """Look up what a policy names. Raises Error 18002 when it is too long."""
    limit = context.settings.policy_limits.document
    if len(text.encode()) > limit:
        raise Error(f"The traffic policy is longer than {limit} bytes.", 18002)
    authorities: dict[str, bytes] = {}
    policies: set[str] = set()
    wanted, ip_policies = set(_AUTHORITY(text)), set(_IP_POLICY(text))
    if wanted or ip_policies:
        async with context.database.read() as connection:
            for each in sorted(wanted):
                row = await nouns.find(connection, certificate_authorities, account_id, each)
                if row is not None:
                    authorities[each] = str(row.ca_pem).encode()
            if ip_policies:
                policies = await ip_tables.known(connection, account_id, sorted(ip_policies))
    return _Named(text, authorities, policies)


def _compile(
    text: "str | Node", url: "Url", named: _Named, settings: "Settings", *, cloud: bool = True
) -> "Policy":
    from portway.policy.actions.identity import APPS, SHARED
    from portway.policy.actions.waf import CRS
    from portway.policy.compiler import Target, World, compile_policy

    world = World(
        authority=named.authorities.get,
        ip_policy=partial(named.ip_policy, cloud=cloud),
        geo=_nowhere if settings.geoip else None,
        extra={
            APPS: dict.fromkeys(settings.oauth_providers, _APP),
            SHARED: (settings.domain,),
            CRS: settings.crs,
        },
    )
    host = "" if url.is_internal or not cloud else url.host
    target = Target(url.scheme, internal=url.is_internal, cloud=cloud, host=host)
    return compile_policy(text, target, settings.policy_limits, world)


_APP: Final = ProviderApp("known to the data plane")
"""Stands for an application of the operator: what it is, is not told to the controller."""


def _nowhere(_address: str) -> "Geo":
    from portway.policy.geo import Geo

    return Geo()
