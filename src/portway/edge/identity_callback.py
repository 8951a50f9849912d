"""The one host to which every provider sends visitors back: ``auth.<domain>``, published like the API.

A provider knows each application by the addresses that it may send people to. Endpoints come and go under
names of their own, so their addresses cannot be registered; this one can, once for all of them. What arrives
is judged here before any endpoint hears of it: the state must be ours and young, the issuer (RFC 9207) the
one that was asked, the code must buy tokens. The visitor then goes back to the endpoint with a code of ours,
good once and for a minute, because cookies of the endpoint can be set only there.

No account can have this host: it is the service's own, and only a path of it answers.
"""

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from portway.edge import pages
from portway.edge.identity import PATHS
from portway.edge.identity_pages import LoginFailed, failed_page
from portway.edge.policy_facts import lines_of
from portway.policy.verdict import Respond

if TYPE_CHECKING:
    import asyncio

    from portway.codec.http1 import ResponseHead
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import RequestHooks
    from portway.edge.identity import Begun, Identities
    from portway.edge.identity_state import LoginState
    from portway.net.tasks import Tasks

CALLBACK: Final = "/oauth2/callback"
QUERY_LENGTH: Final = 32_768
"""Characters of a query that is read."""


class CallbackHost:
    """What rules over requests to the callback host: it answers all of them (a ``RequestPolicy``)."""

    def __init__(self, identities: "Identities", tasks: "Tasks") -> None:
        """Finish logins of these; each in a task."""
        self._identities = identities
        self._tasks = tasks

    def __repr__(self) -> str:
        """Show whose it is."""
        return f"<CallbackHost {self._identities!r}>"

    def begin(self, passage: "Passage") -> "RequestHooks":
        """Answer one request."""
        return _Answering(self, passage)

    def start(self, passage: "Passage") -> "asyncio.Task[None]":
        """Answer in a task."""
        exchange = passage.exchange
        path, _, query = exchange.head.target.decode("ascii", "replace").partition("?")
        exchange.head = exchange.head._replace(target=path.encode())  # codes and states are not logged
        return self._tasks.start(self._answer(passage, path, query), name="provider's answer")

    async def _answer(self, passage: "Passage", path: str, query: str) -> None:
        head = passage.exchange.head
        html = pages.wants_html(head.headers)
        if path != CALLBACK or head.method not in (b"GET", b"HEAD"):
            passage.fail(
                404, pages.GENERAL, "There is nothing here but the way back from identity providers."
            )
            return
        verdict = await Callback(self._identities, query[:QUERY_LENGTH], html=html).answer()
        lines = lines_of(verdict.headers)
        if verdict.code:
            lines.append(b"ngrok-error-code: ERR_NGROK_%d" % verdict.code)
        passage.answer(verdict.status, lines, verdict.body, verdict.code)


class _Answering:
    """One request to the callback host."""

    __slots__ = ("_host", "_passage", "_task")

    def __init__(self, host: CallbackHost, passage: "Passage") -> None:
        self._host = host
        self._passage = passage
        self._task: asyncio.Task[None] | None = None

    def on_request(self) -> None:
        self._task = self._host.start(self._passage)

    def on_response(self, head: "ResponseHead") -> None:
        self._passage.pass_on(head)  # there is no upstream

    def on_unreached(self, status: int, code: int) -> bool:
        del status, code
        return False

    def on_over(self) -> None:
        if self._task is not None and not self._passage.exchange.status:
            self._task.cancel()


class Callback:
    """One answer of a provider."""

    def __init__(self, identities: "Identities", query: str, *, html: bool) -> None:
        """Take the query of the request."""
        self._all = identities
        self._query = query
        self._html = html

    async def answer(self) -> Respond:
        """Say where the visitor goes. Raises nothing of its own."""
        state: LoginState | None = None
        begun: Begun | None = None
        try:
            found = self._parameters()
            state = self._all.seal.open(found.get("state", ""), self._all.wall)
            begun = self._all.begun(state.key)
            return await self._finish(found, state, begun)
        except LoginFailed as error:
            error.log("provider's answer")
            return self._page(error.code, state, begun)

    async def _finish(self, found: dict[str, str], state: "LoginState", begun: "Begun") -> Respond:
        settings = begun.settings
        metadata = await self._all.provider.metadata(settings)
        said = found.get("iss")
        if (said is not None or metadata.says_issuer) and said != metadata.issuer:
            raise LoginFailed(3303, f"answered by {said!r}, asked was {metadata.issuer!r}")
        if "error" in found:
            text = found.get("error_description", "")
            code = _ERRORS.get(found["error"], 3112)
            raise LoginFailed(code, f"the provider says {found['error'][:100]!r} {text[:300]!r}")
        if not found.get("code"):
            raise LoginFailed(3107, "neither a code nor an error")
        code = await self._all.spend(begun, state, found["code"])
        query = {"code": code} | ({"auth_id": settings.auth_id} if settings.auth_id else {})
        url = f"{state.origin}{PATHS[settings.prefix][2]}?{urlencode(query)}"
        fields = (
            (b"location", url.encode("ascii")),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
        )
        return Respond(303, fields)

    def _parameters(self) -> dict[str, str]:
        """Read the query. Raises LoginFailed 3108 where a parameter stands twice (RFC 6749 §3.1)."""
        try:
            parsed = parse_qs(self._query, keep_blank_values=True, max_num_fields=32)
        except ValueError:
            raise LoginFailed(3108, "a query of too many fields") from None
        if any(len(values) > 1 for values in parsed.values()):
            raise LoginFailed(3108, "a parameter stands there twice")
        return {name: values[0] for name, values in parsed.items()}

    def _page(self, code: int, state: "LoginState | None", begun: "Begun | None") -> Respond:
        if state is None:
            return failed_page(code, html=self._html, host="this service")
        prefix = begun.settings.prefix if begun is not None else "/ngrok"
        query = {"redirect_path": state.target}
        if begun is not None and begun.settings.auth_id:
            query["auth_id"] = begun.settings.auth_id
        link = f"{state.origin}{PATHS[prefix][0]}?{urlencode(query)}"
        host = urlsplit(state.origin).hostname or ""
        return failed_page(code, html=self._html, host=host, link=link)


_ERRORS: Final = {
    "access_denied": 3101, "user_cancelled_login": 3101, "user_cancelled_authorize": 3101,
    "consent_required": 3114, "interaction_required": 3114, "invalid_scope": 3126,
    "unauthorized_client": 3125, "invalid_request": 3152, "unsupported_response_type": 3152,
    "server_error": 3166, "temporarily_unavailable": 3165, "redirect_uri_mismatch": 3115,
    "account_selection_required": 3102, "application_suspended": 3125,
}  # fmt: skip
"""Error of a provider → code (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6)."""
