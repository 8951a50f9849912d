"""The one host to which every provider sends visitors back: ``auth.<domain>``, published like the API.

A provider knows each application by the addresses that it may send people to. Endpoints come and go under
names of their own, so their addresses cannot be registered; this one can, once for all of them. What arrives
must belong to a state that is ours and young. It goes on to the endpoint where the login began, sealed, so
that nobody on the way can read or use it, and good for a minute: only there can be seen whether the browser
is the one that began, and only there is known which provider was asked for what.

No account can have this host: it is the service's own, and only a path of it answers.
"""

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode

from portway.edge import pages
from portway.edge.identity_pages import LoginFailed, failed_page
from portway.edge.identity_state import Returned
from portway.edge.policy_facts import lines_of
from portway.policy.identity import PATHS
from portway.policy.verdict import Respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.http1 import ResponseHead
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import RequestHooks
    from portway.edge.identity_state import StateSeal

CALLBACK: Final = "/oauth2/callback"
QUERY_LENGTH: Final = 32_768
"""Characters of a query that is read."""
CODE_LENGTH: Final = 4096
"""Characters of a provider's code."""


class CallbackHost:
    """What rules over requests to the callback host: it answers all of them (a ``RequestPolicy``)."""

    def __init__(self, seal: "StateSeal", wall: "Callable[[], float]") -> None:
        """Hand on what comes back for logins under this seal."""
        self._seal = seal
        self._wall = wall

    def __repr__(self) -> str:
        """Show what it is."""
        return "<CallbackHost>"

    def begin(self, passage: "Passage") -> "RequestHooks":
        """Answer one request."""
        return _Answering(self, passage)

    def answer(self, passage: "Passage") -> None:
        """Answer it."""
        exchange = passage.exchange
        path, _, query = exchange.head.target.decode("ascii", "replace").partition("?")
        head = exchange.head = exchange.head._replace(target=path.encode())  # codes and states are not logged
        if path != CALLBACK or head.method not in (b"GET", b"HEAD"):
            passage.fail(
                404, pages.GENERAL, "There is nothing here but the way back from identity providers."
            )
            return
        verdict = handed_on(self._seal, self._wall(), query, html=pages.wants_html(head.headers))
        lines = lines_of(verdict.headers)
        if verdict.code:
            lines.append(b"ngrok-error-code: ERR_NGROK_%d" % verdict.code)
        passage.answer(verdict.status, lines, verdict.body, verdict.code)


class _Answering:
    """One request to the callback host."""

    __slots__ = ("_host", "_passage")

    def __init__(self, host: CallbackHost, passage: "Passage") -> None:
        self._host = host
        self._passage = passage

    def on_request(self) -> None:
        self._host.answer(self._passage)

    def on_response(self, head: "ResponseHead") -> None:
        self._passage.pass_on(head)  # there is no upstream

    def on_unreached(self, status: int, code: int) -> bool:
        del status, code
        return False

    def on_over(self) -> None:
        """Nothing is under way."""


def handed_on(seal: "StateSeal", now: float, query: str, *, html: bool) -> Respond:
    """Send a visitor who comes back from a provider on to the endpoint."""
    try:
        found = _parameters(query[:QUERY_LENGTH])
        state = seal.open(found.get("state", ""), now)
    except LoginFailed as error:
        error.log("provider's answer")
        return failed_page(error.code, html=html, host="this service")
    error, description = found.get("error", "")[:100], found.get("error_description", "")[:300]
    issuer = found["iss"][:255] if "iss" in found else None
    returned = Returned(now, state, found.get("code", ""), error, description, issuer)
    onward = {"code": seal.seal_return(returned)} | ({"auth_id": state.auth_id} if state.auth_id else {})
    url = f"{state.origin}{PATHS[state.prefix][2]}?{urlencode(onward)}"
    fields = (
        (b"location", url.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
    )
    return Respond(303, fields)


def _parameters(query: str) -> dict[str, str]:
    """Read the query. Raises LoginFailed 3108 where a parameter stands twice (RFC 6749 §3.1), or too long."""
    try:
        parsed = parse_qs(query, keep_blank_values=True, max_num_fields=32)
    except ValueError:
        raise LoginFailed(3108, "a query of too many fields") from None
    if any(len(values) > 1 for values in parsed.values()):
        raise LoginFailed(3108, "a parameter stands there twice")
    if any(len(value) > CODE_LENGTH for value in parsed.get("code", ())):
        raise LoginFailed(3108, "a code of that length was not made by a provider")
    return {name: values[0] for name, values in parsed.items()}
