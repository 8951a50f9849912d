"""Signing visitors in: what ``oauth`` and ``openid-connect`` have the edge do.

::

    visitor ─▶ endpoint: no session ── 302, state + cookie ──▶ provider: "who are you?"
                                                                  │ 302, code + state
       endpoint: the same browser? ◀── 303, both sealed ────── auth.<domain>: is the state ours?
          │ code → tokens → person                                (identity_callback.py)
          │ session made, its cookie set
          └── 303 ─▶ where the visitor wanted to go

Who began is known by a cookie of the endpoint's own host, which the state is bound to: somebody else's state
or code signs nobody in. Nothing of a login is kept here, so a restart does not interrupt any. The cookie of
a session is random and stands hashed in the store; it is good for one host (or ``auth_cookie_domain``), one
account, one application at one provider. On https its name begins with ``__Host-``, so that a page of a
sibling host cannot set it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, urlencode

from portway.edge import pages
from portway.edge.identity_pages import PROVIDER_ERRORS, LoginFailed, failed_page, signed_out_page
from portway.edge.identity_provider import ProviderClient
from portway.edge.identity_state import LIFE, LoginState, Returned, StateSeal, hashed, new_root
from portway.edge.once import Once
from portway.model.identity import Browser, Person, SessionOpening, SessionRefresh, Tokens, VisitorSession
from portway.policy.geo import NOWHERE
from portway.policy.identity import (
    OLD_PREFIX,
    PATHS,
    Asked,
    IdentitySettings,
    NotSignedIn,
    SignedIn,
    Standing,
    belongs,
    local_target,
    standing,
)
from portway.policy.verdict import Respond

if TYPE_CHECKING:
    from portway.edge.identity_sessions import Sessions
    from portway.edge.policy_fetch import Asked as Asking
    from portway.net.tasks import Tasks
    from portway.policy.geo import GeoLookup

SPENT: Final = 10_000
"""States that are known to have been used. Older ones buy nothing either: providers take a code once."""
REVOCATION: Final = 5.0
"""Seconds that somebody who signs out may have to wait for the provider."""
CANDIDATES: Final = 8
"""Cookies of one name that are looked at."""
QUERY_LENGTH: Final = 32_768
"""Characters of a query that is read."""

Pairs = tuple[tuple[bytes, bytes], ...]

ONE_TIME: Final = frozenset(each[2] for each in PATHS.values())
"""Paths whose query holds a code."""


@dataclass(slots=True)
class Spent:
    """A state that was used."""

    code: str
    """Hash of the code that it was used with."""
    bought: "asyncio.Task[tuple[Tokens, Person] | LoginFailed] | None"
    """What came of it; None once there is a session of it."""

    def claim(self) -> bool:
        """Say whether a session may be made of it, and make that the last."""
        first, self.bought = self.bought is not None, None
        return first


class Identities:
    """All logins of one edge."""

    def __init__(
        self,
        provider: ProviderClient,
        sessions: "Sessions",
        seal: StateSeal,
        tasks: "Tasks",
        wall: Callable[[], float],
        geo: "GeoLookup | None" = None,
    ) -> None:
        """Join who asks providers, who knows sessions, and who seals."""
        self.provider = provider
        self.sessions = sessions
        self.seal = seal
        self._tasks = tasks
        self._wall = wall
        self._geo = geo
        self._refreshing = Once()
        self._spent: OrderedDict[str, Spent] = OrderedDict()
        """The last states that were used, by their roots."""

    def __repr__(self) -> str:
        """Show the sessions, and how many logins have come to their end."""
        return f"<Identities {self.sessions!r} spent={len(self._spent)}>"

    async def fetch(self, asking: "Asking", arguments: Mapping[str, object]) -> SignedIn | NotSignedIn:
        """Do what an action asks for: the kind ``identity`` of ``edge/policy_fetch.py``."""
        settings, asked = arguments["settings"], arguments["asked"]
        assert isinstance(settings, IdentitySettings)
        assert isinstance(asked, Asked)
        exchange = asking.passage.exchange
        head, html = exchange.head, pages.wants_html(exchange.head.headers)
        # Where visitors come back to is what they asked for, whatever rules have made of it since.
        asked = replace(asked, target=head.target.decode("ascii"), authority=head.authority.decode("ascii"))
        others = cast("tuple[str, ...]", arguments.get("others", ()))
        visit = Visit(self, asking.account_id, asking.endpoint.id, settings, asked, html=html, others=others)
        result = None
        try:
            result = await visit.judge()
            return result
        finally:
            if asked.path in ONE_TIME and not isinstance(result, SignedIn):
                exchange.head = head._replace(target=asked.path.encode("ascii"))  # codes are not logged

    # -- the end of a login

    async def spend(self, settings: IdentitySettings, state: LoginState, code: str) -> tuple[Tokens, Person]:
        """Give a code of the provider for tokens, and learn who it is.

        A state buys once. A browser that sends the same request again, because its connection broke off,
        gets the same as long as there is no session of it; anything else is refused. Raises LoginFailed, 3123
        for a state that was used. Cancelled: the exchange goes on, for that browser.
        """
        found = self._spent.get(state.root)
        if found is None:
            bought = self._tasks.start(self._exchanged(settings, state, code), name="exchange of a code")
            found = self._spent[state.root] = Spent(hashed(code), bought)
            if len(self._spent) > SPENT:
                self._spent.popitem(last=False)
        if found.code != hashed(code) or found.bought is None:
            raise LoginFailed(3123, "the state was used already")
        result = await asyncio.shield(found.bought)
        if isinstance(result, LoginFailed):
            raise LoginFailed(result.code, result.detail)
        if not found.claim():
            raise LoginFailed(3123, "the state was used at the same time")
        return result

    async def _exchanged(
        self, settings: IdentitySettings, state: LoginState, code: str
    ) -> tuple[Tokens, Person] | LoginFailed:
        try:
            return await self.provider.exchange(settings, state, code)
        except LoginFailed as error:
            return error

    # -- sessions

    async def refreshed(self, session: VisitorSession, settings: IdentitySettings) -> VisitorSession | None:
        """Look the person of a session up again, once for all its requests; None: a new login is needed.

        Raises LoginFailed; 3113 has ended the session.
        """
        return await self._refreshing.ask(session.id, lambda: self._refresh(session, settings))

    async def _refresh(self, session: VisitorSession, settings: IdentitySettings) -> VisitorSession | None:
        try:
            found = await self.provider.refresh(settings, session.tokens, session.person.subject)
        except LoginFailed as error:
            if error.code == 3113:
                await self.sessions.close(session)
            raise
        if found is None:
            return None
        tokens, person = found
        refresh = SessionRefresh(session.id, session.account_id, settings.digest, person, tokens)
        return await self.sessions.put(refresh)

    async def revoke(self, settings: IdentitySettings, tokens: Tokens) -> None:
        """Have the provider take back its tokens, and wait for that, though not for long.

        Providers may take back with them whatever the same person is given for the same application: who
        signs in again at once must not be ahead of that. Cancelled: the provider is told all the same.
        """
        told = self._tasks.start(self.provider.revoke(settings, tokens), name="revoke tokens")
        await asyncio.wait((told,), timeout=REVOCATION)

    def browser(self, asked: Asked) -> Browser:
        """Say from where somebody signs in."""
        place = NOWHERE if self._geo is None else self._geo(asked.client_ip).location
        return Browser(
            asked.user_agent,
            asked.client_ip,
            place.country_code,
            _number(place.latitude),
            _number(place.longitude),
            int(_number(place.radius)),
        )

    @property
    def wall(self) -> float:
        """Unix seconds."""
        return self._wall()


class Visit:
    """One request that an identity action judges."""

    def __init__(
        self,
        identities: Identities,
        account_id: str,
        endpoint_id: str,
        settings: IdentitySettings,
        asked: Asked,
        *,
        html: bool,
        others: tuple[str, ...] = (),
    ) -> None:
        """Judge this one; ``others`` are the ``auth_id`` of further actions of the policy."""
        self._all = identities
        self._account_id = account_id
        self._endpoint_id = endpoint_id
        self._settings = settings
        self._asked = asked
        self._html = html
        self._others = others
        self._host = asked.authority.rpartition(":")[0] if _has_port(asked.authority) else asked.authority
        self._realm = settings.realm(self._host)
        secure = asked.scheme == "https"
        lead = ("__Secure-" if settings.cookie_domain else "__Host-") if secure else ""
        self._session_name = f"{lead}ngrok.session{settings.mark}"
        self._nonce_name = f"{'__Host-' if secure else ''}ngrok.nonce{settings.mark}"
        self._secure = "; Secure" if secure else ""
        self._wanted_then = ""
        """Where the visitor wanted to go when the login began that has failed now."""

    async def judge(self) -> SignedIn | NotSignedIn:
        """Say who it is, or where the visitor has to go. Raises nothing of its own."""
        try:
            return await self._judge()
        except LoginFailed as error:
            error.log(f"login at {self._host}")
            gone = self._no_session() if error.code in (3113, 3151) else ()
            return NotSignedIn(self._page(error.code, gone))

    async def _judge(self) -> SignedIn | NotSignedIn:
        settings = self._settings
        if settings.cookie_domain and not belongs(self._host, settings.cookie_domain):
            raise LoginFailed(3313)
        login, logout, complete = PATHS[settings.prefix]
        path = self._asked.path.rstrip("/")
        if path in (login, logout, complete) and self._is_for_us():
            if path == login:
                return await self._login_path()
            return await (self._logout_path() if path == logout else self._complete_path())
        if settings.prefix == OLD_PREFIX and path.startswith(f"{OLD_PREFIX}/"):
            raise LoginFailed(3117)
        session, why = await self._session()
        if session is not None and why is Standing.STALE:
            fresh = await self._all.refreshed(session, settings)
            if fresh is not None:
                self._all.sessions.used(fresh)
                return SignedIn(fresh, settings.client_id, refreshed=True)
        elif session is not None and why is Standing.GOOD:
            self._all.sessions.used(session)
            return SignedIn(session, settings.client_id)
        if self._asked.mode not in ("", "navigate"):
            return NotSignedIn(self._page(3105, (self._challenge(),)), why)
        target = local_target(self._asked.target) or "/"
        return NotSignedIn(await self._to_provider(target), why)

    # -- sessions

    async def _session(self) -> tuple[VisitorSession | None, Standing | None]:
        """Find the session that the visitor shows. Raises LoginFailed 3151 for several that are good."""
        found: dict[str, tuple[VisitorSession, Standing]] = {}
        shown = dict.fromkeys(value for name, value in self._asked.cookies if name == self._session_name)
        for value in list(shown)[:CANDIDATES]:
            if not self._all.seal.is_ours(value):
                continue
            session = await self._all.sessions.find(hashed(value))
            if session is not None:
                judged = standing(session, self._account_id, self._realm, self._settings, self._all.wall)
                found[session.id] = session, judged
        good = [each for each in found.values() if each[1] in (Standing.GOOD, Standing.STALE)]
        if len(good) > 1:
            raise LoginFailed(3151, "several sessions are shown at once")
        if good:
            return good[0]
        was = next((each[1] for each in found.values() if each[1] is not Standing.FOREIGN), None)
        return None, was

    # -- the reserved paths

    def _is_for_us(self) -> bool:
        """Tell whether a reserved path names this action, by ``auth_id``. Raises LoginFailed 3117."""
        named = self._parameter("auth_id")
        if named == self._settings.auth_id:
            return True
        if named in self._others:
            return False
        raise LoginFailed(3117, f"auth_id {named[:80]!r} names no action")

    async def _login_path(self) -> NotSignedIn:
        """Sign in anew, even who is signed in."""
        return NotSignedIn(await self._to_provider(self._wanted(), again=True))

    async def _logout_path(self) -> NotSignedIn:
        """End the session here and, where the provider offers it, there."""
        target = self._wanted() if self._parameter("redirect_path") else ""
        session, _ = await self._session()
        gone = (
            self._no_session() if any(name == self._session_name for name, _ in self._asked.cookies) else ()
        )
        away = target
        if session is not None:
            await self._all.sessions.close(session)
            await self._all.revoke(self._settings, session.tokens)
            away = away or await self._all.provider.end_session_url(self._settings, session.tokens)
        if away:
            return NotSignedIn(_redirect(away, gone))
        return NotSignedIn(
            signed_out_page(html=self._html, host=self._host, link=self._login(), cookies=gone)
        )

    async def _complete_path(self) -> NotSignedIn:
        """Make the session of somebody who comes back from the provider."""
        returned = self._all.seal.open_return(self._parameter("code"), self._all.wall)
        state = returned.state
        if state.account_id != self._account_id or state.client != self._settings.client:
            raise LoginFailed(3124, "begun with other settings, or at an endpoint of another account")
        if state.origin != self._origin or state.realm != self._realm:
            raise LoginFailed(3124, "begun at another host")
        try:
            await self._check(returned)
            tokens, person = await self._all.spend(self._settings, state, returned.code)
        except LoginFailed as error:
            if error.code in (3121, 3123) and (await self._session())[1] is Standing.GOOD:
                return NotSignedIn(_redirect(state.target, ()))  # "back", or another tab was quicker
            if error.code == 3121 and len(self._nonces()) == 1:
                # Tabs that began at the same moment have one cookie, of the last of them: begin with that.
                return NotSignedIn(await self._to_provider(state.target))
            self._wanted_then = state.target
            raise
        return await self._enter(state, tokens, person)

    async def _check(self, returned: Returned) -> None:
        """Judge who comes back, who answers, and what. Raises LoginFailed."""
        if not any(compare_digest(hashed(each), returned.state.bound) for each in self._nonces()):
            raise LoginFailed(3121, "the browser is not the one that began")
        metadata = await self._all.provider.metadata(self._settings)
        if not metadata.may_say(returned.issuer):
            raise LoginFailed(3303, f"answered by {returned.issuer!r}, asked was {metadata.issuer!r}")
        if returned.error:
            code = PROVIDER_ERRORS.get(returned.error, 3112)
            raise LoginFailed(code, f"the provider says {returned.error!r} {returned.description!r}")
        if not returned.code:
            raise LoginFailed(3107, "neither a code nor an error")

    async def _enter(self, state: LoginState, tokens: Tokens, person: Person) -> NotSignedIn:
        settings, token = self._settings, self._all.seal.token()
        opening = SessionOpening(
            self._account_id, self._endpoint_id, self._origin, self._realm, settings.client,
            state.settings, hashed(token), person, tokens,
            self._all.browser(self._asked), settings.idle, settings.most,
        )  # fmt: skip
        before = await self._before()
        await self._all.sessions.open(opening)
        if before is not None:
            await self._all.sessions.close(before)  # nobody can name it any more
        cookies = (
            self._cookie(self._session_name, token, settings.most, domain=settings.cookie_domain),
            self._cookie(self._nonce_name, "", -1),
        )
        return NotSignedIn(_redirect(state.target, cookies))

    async def _before(self) -> VisitorSession | None:
        """Return the session that a new one takes the place of."""
        try:
            return (await self._session())[0]
        except LoginFailed:
            return None

    # -- the way to the provider

    async def _to_provider(self, target: str, *, again: bool = False) -> Respond:
        metadata = await self._all.provider.metadata(self._settings)
        nonces = self._nonces()
        nonce = nonces[0] if len(nonces) == 1 else self._all.seal.token()
        settings = self._settings
        state = LoginState(
            self._all.wall, self._account_id, settings.client, settings.digest, self._realm, settings.auth_id,
            settings.prefix, self._origin, target, hashed(nonce), new_root(),
        )  # fmt: skip
        url = self._all.provider.authorization_url(
            metadata, self._settings, state, self._all.seal.seal(state), again=again
        )
        cookies = (self._cookie(self._nonce_name, nonce, LIFE),)
        return _redirect(url, cookies, status=302 if self._asked.method in ("GET", "HEAD") else 303)

    def _wanted(self) -> str:
        """Return ``redirect_path``. Raises LoginFailed 3117 for one that leads elsewhere."""
        text = self._parameter("redirect_path")
        if not text:
            return "/"
        target = local_target(text)
        if target is None:
            raise LoginFailed(3117, "redirect_path is no path of this site")
        return target

    # -- small things

    @property
    def _origin(self) -> str:
        return f"{self._asked.scheme}://{self._asked.authority}"

    def _parameter(self, name: str) -> str:
        try:
            values = parse_qs(self._asked.query[:QUERY_LENGTH], max_num_fields=32).get(name, [])
        except ValueError:
            raise LoginFailed(3117, "a query of too many fields") from None
        return values[0] if values else ""

    def _nonces(self) -> list[str]:
        shown = dict.fromkeys(value for name, value in self._asked.cookies if name == self._nonce_name)
        return [each for each in list(shown)[:CANDIDATES] if self._all.seal.is_ours(each)]

    def _login(self) -> str:
        """Return the link that begins anew."""
        path, *reserved = PATHS[self._settings.prefix]
        query = {"auth_id": self._settings.auth_id} if self._settings.auth_id else {}
        target = self._wanted_then or local_target(self._asked.target)
        here = self._asked.path not in (path, *reserved) and self._asked.method == "GET"
        if target and (here or self._wanted_then):
            query["redirect_path"] = target
        return f"{path}?{urlencode(query)}" if query else path

    def _page(self, code: int, cookies: Pairs) -> Respond:
        return failed_page(code, html=self._html, host=self._host, link=self._login(), cookies=cookies)

    def _challenge(self) -> tuple[bytes, bytes]:
        """Tell a script where its page would sign in (RFC 9110 §11.6.1)."""
        line = f'Cookie realm="{self._host}", form-action="{PATHS[self._settings.prefix][0]}"'
        return b"www-authenticate", line.encode("ascii")

    def _no_session(self) -> Pairs:
        return (self._cookie(self._session_name, "", -1, domain=self._settings.cookie_domain),)

    def _cookie(self, name: str, value: str, life: float, *, domain: str = "") -> tuple[bytes, bytes]:
        """Write a cookie. ``life`` in seconds; 0: as long as the browser runs, -1: no more."""
        age = f"; Max-Age={max(0, int(life))}" if life else ""
        where = f"; Domain={domain}" if domain else ""
        line = f"{name}={value}; Path=/{where}; HttpOnly{self._secure}; SameSite=Lax{age}"
        return b"set-cookie", line.encode("ascii")


def _number(text: str) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _has_port(authority: str) -> bool:
    return authority.rpartition(":")[2].isdigit() and not authority.endswith("]")


def _redirect(url: str, cookies: Pairs, status: int = 303) -> Respond:
    """Send the visitor on. What is in the URL is nobody else's business, so no Referer goes along."""
    fields = (
        (b"location", url.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        *cookies,
    )
    return Respond(status, fields)
