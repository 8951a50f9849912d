"""Whether an issuer that a policy names is one: its discovery document is asked for when the policy comes.

A wrong ``issuer_url`` shows at once then, to whoever has written it (ERR_NGROK_2227), and not at the first
login. Only an answer refuses: one that is no discovery document, or is another issuer's. Of who cannot be
reached, or is in trouble, nothing is known: agents bring their policies anew after each start, and the outage
of a provider must not take their endpoints with it. For the same reason who was right once is not asked again
for a while.
"""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

from portway.net.web_client import WebFailure, WebRequest
from portway.policy.problem import PolicyError, Problem

if TYPE_CHECKING:
    from portway.edge.identity_provider import Web
    from portway.policy.engine import Policy, Step

TIMEOUT: Final = 3.0
"""Seconds that an issuer may take to answer."""
ANSWER: Final = 256 << 10
"""Bytes of its answer."""
ISSUERS: Final = 10
"""Issuers of one policy that are asked."""
AT_ONCE: Final = 8
"""Requests to issuers at a time: what asks them asks key sets and logs people in, too, and issuers that hang
must not take all of its turns."""
REMEMBERED: Final = 3600.0
"""Seconds for which an issuer that was right is not asked again."""
KEPT: Final = 1000
"""Issuers that are remembered."""
CODE: Final = 2227

_TROUBLE: Final = frozenset((408, 425, 429))
_log = logging.getLogger(__name__)


class Issuers:
    """Asks issuers, and remembers those that were right."""

    def __init__(self, web: "Web | None", now: Callable[[], float]) -> None:
        """Ask by ``web``, which may come later: until then nobody is asked. ``now`` is monotonic."""
        self.web = web
        self._now = now
        self._right: OrderedDict[str, float] = OrderedDict()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def __repr__(self) -> str:
        """Show how many are known."""
        return f"<Issuers right={len(self._right)}>"

    async def check(self, policy: "Policy | None") -> None:
        """Ask all that a policy names. Raises PolicyError 2227. Takes ``TIMEOUT`` at most."""
        if policy is None or self.web is None or not (steps := list(_named(policy))[:ISSUERS]):
            return
        said = await asyncio.gather(*(self._wrong(issuer) for issuer, _ in steps))
        problems = [
            Problem(CODE, f"issuer_url {issuer} has no valid discovery document: {why}", *_place(step))
            for (issuer, step), why in zip(steps, said, strict=True)
            if why
        ]
        if problems:
            raise PolicyError(problems)

    async def _wrong(self, issuer: str) -> str:
        """Say why an issuer is none; "" if it is one, or nothing is known of it."""
        try:
            async with asyncio.timeout(TIMEOUT), self._turns:
                return "" if self._is_right(issuer) else await self._asked(issuer)
        except TimeoutError:
            _log.warning("the issuer %s could not be asked: too many others are", issuer)
            return ""

    def _is_right(self, issuer: str) -> bool:
        return self._now() < self._right.get(issuer, float("-inf")) + REMEMBERED

    async def _asked(self, issuer: str) -> str:
        from portway.edge.identity_provider import discovery_url  # who asks nobody needs none of it

        assert self.web is not None
        url = discovery_url(issuer)
        fields = [("Accept", "application/json"), ("User-Agent", "portway")]
        try:
            answer = await self.web.request(
                WebRequest("GET", url, fields, timeout=TIMEOUT, body_limit=ANSWER, redirects=2)
            )
        except WebFailure as error:
            _log.warning("the issuer %s could not be asked: %s", issuer, error.message)
            return ""
        if answer.status != 200:
            trouble = answer.status >= 500 or answer.status in _TROUBLE
            return "" if trouble else f"{url} answered {answer.status}"
        why = _judged(issuer, answer.body)
        if not why:
            self._right[issuer] = self._now()
            self._right.move_to_end(issuer)
            if len(self._right) > KEPT:
                self._right.popitem(last=False)
        return why


def _judged(issuer: str, body: bytes) -> str:
    """Say why a document is not an issuer's; "" if it is."""
    from portway.edge.identity_provider import read_metadata

    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return "it is no JSON"
    if not isinstance(document, dict):
        return "it is no JSON object"
    try:
        read_metadata(issuer, cast("dict[str, object]", document), basic=True)
    except ValueError as error:
        return str(error)
    return ""


def _named(policy: "Policy") -> "Iterable[tuple[str, Step]]":
    """Return the issuers that openid-connect names, each once, with where that is."""
    from portway.policy.actions.identity import issuer_of
    from portway.policy.phase import Phase

    found: dict[str, Step] = {}
    for rule in policy.rules(Phase.HTTP_REQUEST):
        for step in rule.steps:
            issuer = issuer_of(step.action)
            if issuer:
                found.setdefault(issuer, step)
    return found.items()


def _place(step: "Step") -> tuple[str, int, int]:
    return step.path, step.line, step.column
