"""Asking a provider: where its things are, a code for tokens, who somebody is, whether that is still so.

A provider is outside and may be slow, broken or hostile. So each question has a deadline and a bound, one
question serves all who ask it at once, what the discovery document says is remembered for an hour, and an
address in it that would lead secrets over an open wire is refused. Everything that goes wrong becomes a
:class:`LoginFailed` with the code of its page; what the provider really said goes to the log.
"""

import asyncio
import json
import logging
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from portway.edge.identity_pages import TOKEN_ERRORS, LoginFailed
from portway.edge.identity_state import LoginState
from portway.edge.once import Once
from portway.model.identity import Person, Tokens, issuer_problem
from portway.net.web_client import WebAnswer, WebFailure, WebRequest
from portway.policy.id_token import BadToken, UnknownKey, keys_in, verify
from portway.policy.identity import IdentitySettings
from portway.policy.jwt import TokenError, read_token
from portway.policy.providers import PROVIDERS, Unfit, issuer_fits, person_of, verified_of

T = TypeVar("T")

TIMEOUT: Final = 10.0
"""Seconds for one answer of a provider."""
ANSWER_LIMIT: Final = 256 << 10
"""Bytes of one answer: a discovery document, keys, tokens, what is said of a person."""
TOKEN_LIMIT: Final = 16_384
"""Characters of one token."""
REMEMBERED: Final = 3600.0
"""Seconds that a discovery document and keys are good without being asked for again."""
FAILED: Final = 5.0
"""Seconds that a provider which could not be asked is not asked again."""
KEYS_AGAIN: Final = 30.0
"""Seconds between two looks for keys because of a token that names an unknown one."""
WAITING: Final = 100
"""Who may wait for one document: visitors who are signed in already shall find room beside them."""
PROVIDERS_KEPT: Final = 1000
"""Providers whose documents are remembered."""

_log = logging.getLogger(__name__)


class Web(Protocol):
    """Who makes requests (``net/web_client.py``)."""

    async def request(self, request: WebRequest) -> WebAnswer:
        """Send a request and return its answer. Raises WebFailure."""
        ...


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider's things are. Empty: it has no such thing."""

    issuer: str
    authorize: str
    token: str
    userinfo: str = ""
    keys: str = ""
    emails: str = ""
    revoke: str = ""
    end_session: str = ""
    says_issuer: bool = False
    """Its answers to authorization requests name it (RFC 9207)."""
    basic: bool = True
    """It takes the application's secret in a field rather than in the body."""

    @property
    def discovered(self) -> bool:
        """Whether it speaks OpenID Connect."""
        return bool(self.keys)

    def may_say(self, issuer: str | None) -> bool:
        """Tell whether an answer to an authorization request that names this issuer is its own (RFC 9207)."""
        if issuer is None:
            return not self.says_issuer
        if self.discovered:
            return issuer_fits(self.issuer, issuer)
        return (
            urlsplit(issuer).netloc == urlsplit(self.authorize).netloc
        )  # which name it has is not published


class ProviderClient:
    """All questions to providers of one process."""

    def __init__(self, web: Web, callback: str, now: Callable[[], float], wall: Callable[[], float]) -> None:
        """Ask by ``web``; ``callback`` is where providers send visitors back to."""
        self.callback = callback
        self._web = web
        self._now = now
        self._wall = wall
        self._known: OrderedDict[str, tuple[float, object]] = OrderedDict()
        """URL → when it was read, and the document, or the failure."""
        self._once = Once()

    def __repr__(self) -> str:
        """Show how many documents are known."""
        return f"<ProviderClient known={len(self._known)}>"

    # -- where

    async def metadata(self, settings: IdentitySettings) -> Metadata:
        """Return where a provider's things are. Raises LoginFailed 3160."""
        known = PROVIDERS.get(settings.provider)
        if known is not None and known.places is not None:
            places = known.places(settings.issuer.rstrip("/"))
            return Metadata(
                settings.issuer, places.authorize, places.token, places.userinfo,
                emails=places.emails, basic=False,
            )  # fmt: skip
        url = discovery_url(settings.issuer)
        document = await self._document(url)
        try:
            return read_metadata(settings.issuer, document, basic=settings.provider != "linkedin")
        except ValueError as error:
            raise LoginFailed(3160, f"{url}: {error}") from error

    def authorization_url(
        self, metadata: Metadata, settings: IdentitySettings, state: LoginState, sealed: str, *, again: bool
    ) -> str:
        """Return where the visitor signs in. ``again``: although it may be signed in there already."""
        known = PROVIDERS.get(settings.provider)
        query: dict[str, str] = dict(known.parameters) if known else {}
        if again:
            query.update(known.again if known else (("prompt", "login"),))
        query.update(settings.parameters)
        query |= {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": self.callback,
            "scope": (" " if settings.provider != "facebook" else ",").join(scopes_of(settings)),
            "state": sealed,
        }
        if metadata.discovered:
            query["nonce"] = state.nonce
        if known is None or known.pkce:
            query |= {"code_challenge": state.challenge, "code_challenge_method": "S256"}
        mark = "&" if "?" in metadata.authorize else "?"
        return metadata.authorize + mark + urlencode(query, quote_via=quote)

    # -- who

    async def exchange(
        self, settings: IdentitySettings, state: LoginState, code: str
    ) -> tuple[Tokens, Person]:
        """Give a code for tokens, and learn who it is. Raises LoginFailed."""
        metadata = await self.metadata(settings)
        known = PROVIDERS.get(settings.provider)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.callback}
        if known is None or known.pkce:
            form["code_verifier"] = state.verifier
        answer = await self._token(metadata, settings, form, 3164)
        tokens = _tokens(answer, self._wall())
        claims: Mapping[str, object] = {}
        if metadata.discovered:
            if not tokens.identity:
                raise LoginFailed(3160, "the provider gave no id_token")
            claims = await self._verified(
                metadata, tokens, settings.client_id, state.nonce, needs=known is None or known.nonce
            )
        return tokens, await self._person(metadata, settings, tokens, claims)

    async def refresh(
        self, settings: IdentitySettings, tokens: Tokens, subject: str
    ) -> tuple[Tokens, Person] | None:
        """Look a person up again; None when that needs a new login. Raises LoginFailed.

        3113: the provider says that access has ended.
        """
        metadata = await self.metadata(settings)
        if tokens.expires_at and self._wall() >= tokens.expires_at - 30:
            if not tokens.refresh:
                return None
            form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
            answer = await self._token(metadata, settings, form, 3164, gone=3113)
            fresh = _tokens(answer, self._wall())
            tokens = Tokens(fresh.access, fresh.refresh or tokens.refresh, tokens.identity, fresh.expires_at)
        if not metadata.userinfo:
            return None
        person = await self._person(metadata, settings, tokens, _claims_then(metadata, tokens), gone=3113)
        if person.subject != subject:
            raise LoginFailed(3113, "the provider speaks of somebody else now")
        return tokens, person

    async def revoke(self, settings: IdentitySettings, tokens: Tokens) -> None:
        """Tell the provider that tokens are not needed any more; what fails is logged (RFC 7009)."""
        try:
            metadata = await self.metadata(settings)
            if not metadata.revoke:
                return
            for kind, token in (("refresh_token", tokens.refresh), ("access_token", tokens.access)):
                if token:
                    form = {"token": token, "token_type_hint": kind}
                    await self._post(metadata.revoke, metadata, settings, form)
        except (LoginFailed, WebFailure) as error:
            _log.info("tokens could not be revoked: %s", error)

    async def end_session_url(self, settings: IdentitySettings, tokens: Tokens) -> str:
        """Return where the visitor is signed out at the provider itself; "" if it offers nothing."""
        try:
            metadata = await self.metadata(settings)
        except LoginFailed:
            return ""
        if not metadata.end_session:
            return ""
        query = {"client_id": settings.client_id}
        if tokens.identity and len(tokens.identity) <= 4096:
            query["id_token_hint"] = tokens.identity
        mark = "&" if "?" in metadata.end_session else "?"
        return metadata.end_session + mark + urlencode(query)

    # -- inside

    async def _verified(
        self, metadata: Metadata, tokens: Tokens, client_id: str, nonce: str, *, needs: bool
    ) -> Mapping[str, object]:
        """Return the claims of the id_token; keys are asked for once more if it names an unknown one."""

        async def attempt(keys: Mapping[str, object]) -> Mapping[str, object]:
            return await asyncio.to_thread(
                verify, tokens.identity, keys, issuer=metadata.issuer, client_id=client_id, nonce=nonce,
                needs_nonce=needs, access_token=tokens.access, now=self._wall(),
            )  # fmt: skip

        try:
            try:
                return await attempt(keys_in(await self._document(metadata.keys)))
            except UnknownKey:
                return await attempt(keys_in(await self._document(metadata.keys, most=KEYS_AGAIN)))
        except BadToken as error:
            raise LoginFailed(3164, f"id_token of {metadata.issuer}: {error}") from error

    async def _person(
        self,
        metadata: Metadata,
        settings: IdentitySettings,
        tokens: Tokens,
        claims: Mapping[str, object],
        gone: int = 3118,
    ) -> Person:
        said = dict(claims)
        if metadata.userinfo:
            found = await self._userinfo(metadata.userinfo, tokens, gone)
            if claims and found.get("sub") != claims.get("sub"):
                raise LoginFailed(3164, "userinfo speaks of somebody else than the id_token")
            said |= found
        if metadata.emails:
            listed = await self._listed(metadata.emails, tokens)
            said["email"], said["email_verified"] = verified_of(listed), True
        try:
            name = settings.provider or settings.issuer
            return person_of(name, settings.issuer, said, wants_email=settings.kind == "oauth")
        except Unfit as error:
            raise LoginFailed(error.code, error.message) from error

    async def _userinfo(self, url: str, tokens: Tokens, gone: int) -> dict[str, object]:
        answer = await self._ask(_get(url, tokens.access))
        if answer.status in (400, 401, 403):
            raise LoginFailed(gone, f"{_place(url)} answered {answer.status}")
        _check_status(answer, url, 3167)
        return _object(answer, url)

    async def _listed(self, url: str, tokens: Tokens) -> object:
        """Return the addresses of a person; without the permission there are none."""
        answer = await self._ask(_get(url, tokens.access))
        if answer.status in (401, 403, 404):
            return []
        _check_status(answer, url, 3167)
        return _json(answer, url)

    async def _token(
        self,
        metadata: Metadata,
        settings: IdentitySettings,
        form: dict[str, str],
        trouble: int,
        gone: int = 0,
    ) -> dict[str, object]:
        try:
            answer = await self._post(metadata.token, metadata, settings, form)
        except WebFailure as error:
            raise LoginFailed(3160, f"{_place(metadata.token)}: {error.message}") from error
        if answer.status in (429, *range(500, 600)):
            _check_status(answer, metadata.token, trouble)
        said = _object(answer, metadata.token)
        error = said.get("error")
        if error is not None or answer.status != 200:
            code = TOKEN_ERRORS.get(str(error), trouble)
            raise LoginFailed(
                gone if gone and code == 3122 else code, _said(said, metadata.token, answer.status)
            )
        return said

    async def _post(
        self, url: str, metadata: Metadata, settings: IdentitySettings, form: dict[str, str]
    ) -> WebAnswer:
        headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
            ("User-Agent", "portway"),
        ]
        if metadata.basic:
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
            headers.append(("Authorization", f"Basic {b64encode(pair.encode()).decode()}"))
        else:
            form = form | {"client_id": settings.client_id, "client_secret": settings.client_secret}
        body = urlencode(form).encode()
        return await self._web.request(
            WebRequest("POST", url, headers, body, timeout=TIMEOUT, body_limit=ANSWER_LIMIT)
        )

    async def _ask(self, request: WebRequest) -> WebAnswer:
        try:
            return await self._web.request(request)
        except WebFailure as error:
            raise LoginFailed(3160, f"{_place(request.url)}: {error.message}") from error

    async def _document(self, url: str, most: float = REMEMBERED) -> Mapping[str, object]:
        """Return a public document, remembered. Raises LoginFailed 3160."""
        found = self._known.get(url)
        if found is not None:
            age = self._now() - found[0]
            if age < (FAILED if isinstance(found[1], LoginFailed) else most):
                self._known.move_to_end(url)
                if isinstance(found[1], LoginFailed):
                    raise LoginFailed(found[1].code, found[1].detail)
                return cast("Mapping[str, object]", found[1])
        return cast("Mapping[str, object]", await self._shared(url, lambda: self._fetched(url)))

    async def _fetched(self, url: str) -> object:
        made: object
        try:
            answer = await self._ask(_get(url, "", redirects=2))
            _check_status(answer, url, 3160)
            made = _object(answer, url)
        except LoginFailed as error:
            made = error
        old = self._known.get(url)
        if isinstance(made, LoginFailed) and old is not None and not isinstance(old[1], LoginFailed):
            _log.warning("%s; what it said last goes on to hold", made.detail)
            made = old[1]
        self._known[url] = (self._now(), made)
        self._known.move_to_end(url)
        while len(self._known) > PROVIDERS_KEPT:
            self._known.popitem(last=False)
        if isinstance(made, LoginFailed):
            raise made
        return made

    async def _shared(self, key: str, ask: Callable[[], Awaitable[object]]) -> object:
        """Ask once for all who want the same at the same time."""
        if self._once.waiting(key) >= WAITING:
            raise LoginFailed(3165, f"{_place(key)} lets others wait already")
        return await self._once.ask(key, ask)


def _claims_then(metadata: Metadata, tokens: Tokens) -> Mapping[str, object]:
    """Return what the id_token of the login said, verified then: userinfo alone does not say all of it.

    Microsoft's names neither the tenant nor the name for signing in, by which an address is believed.
    """
    if not (metadata.discovered and tokens.identity):
        return {}
    try:
        return read_token(tokens.identity).payload
    except TokenError:
        return {}


def scopes_of(settings: IdentitySettings) -> tuple[str, ...]:
    """Return what is asked for: what is needed in any case, then what the policy adds."""
    known = PROVIDERS.get(settings.provider)
    needed = known.scopes if known is not None else ("openid", "email", "profile")
    return tuple(dict.fromkeys((*needed, *settings.scopes)))


def discovery_url(issuer: str) -> str:
    """Return where an issuer's discovery document is (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def read_metadata(wanted: str, document: Mapping[str, object], *, basic: bool) -> Metadata:
    """Read a discovery document. Raises ValueError for what cannot be trusted."""
    issuer = document.get("issuer")
    if not isinstance(issuer, str) or issuer.rstrip("/") != wanted.rstrip("/"):
        common = isinstance(issuer, str) and "{tenantid}" in issuer
        if not (common and urlsplit(str(issuer)).hostname == urlsplit(wanted).hostname):
            raise ValueError(f"it names {str(issuer)[:200]!r} as the issuer")
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    more = ("userinfo_endpoint", "revocation_endpoint", "end_session_endpoint")
    found = {name: _url(document, name, required=name in needed) for name in (*needed, *more)}
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    takes = cast("list[object]", methods) if isinstance(methods, list) else []
    return Metadata(
        cast("str", issuer),
        found["authorization_endpoint"],
        found["token_endpoint"],
        found["userinfo_endpoint"],
        found["jwks_uri"],
        revoke=found["revocation_endpoint"],
        end_session=found["end_session_endpoint"],
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        basic=basic and "client_secret_basic" in takes,
    )


def _url(document: Mapping[str, object], name: str, *, required: bool) -> str:
    value = document.get(name)
    if value is None and not required:
        return ""
    # Visitors are sent there: what is no plain text would end the field that does it.
    plain = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    if not isinstance(value, str) or not plain or issuer_problem(value.partition("?")[0]) or "#" in value:
        raise ValueError(f"{name} is no address that secrets may be sent to: {str(value)[:200]!r}")
    return value


def _get(url: str, token: str, redirects: int = 0) -> WebRequest:
    headers = [("Accept", "application/json"), ("User-Agent", "portway")]
    if token:
        headers.append(("Authorization", f"Bearer {token}"))
    return WebRequest("GET", url, headers, timeout=TIMEOUT, body_limit=ANSWER_LIMIT, redirects=redirects)


def _check_status(answer: WebAnswer, url: str, trouble: int) -> None:
    if answer.status == 429:
        wait = answer.header("retry-after")
        raise LoginFailed(
            3162 if wait.isdigit() and int(wait) >= 1800 else 3161, f"{_place(url)} answered 429"
        )
    if answer.status != 200:
        raise LoginFailed(trouble, f"{_place(url)} answered {answer.status}")


def _json(answer: WebAnswer, url: str) -> object:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise LoginFailed(3160, f"{_place(url)} answered {answer.status} with what is no JSON") from error


def _object(answer: WebAnswer, url: str) -> dict[str, object]:
    found = _json(answer, url)
    if not isinstance(found, dict):
        raise LoginFailed(3160, f"{_place(url)} answered with what is no JSON object")
    return cast("dict[str, object]", found)


def _tokens(said: Mapping[str, object], now: float) -> Tokens:
    """Read the tokens of an answer. Raises LoginFailed 3160."""
    texts: list[str] = []
    for name in ("access_token", "refresh_token", "id_token"):
        value = said.get(name, "")
        if not isinstance(value, str) or len(value) > TOKEN_LIMIT or not value.isascii() or not _plain(value):
            raise LoginFailed(3160, f"the provider's {name} cannot be used")
        texts.append(value)
    if not texts[0]:
        raise LoginFailed(3160, "the provider gave no access token")
    return Tokens(*texts, expires_at=_ends(said.get("expires_in"), now))


def _ends(seconds: object, now: float) -> float:
    """Return when a token of so many seconds ends; 0 when that is not said in a way that makes sense."""
    if isinstance(seconds, str) and seconds.isdecimal() and len(seconds) < 12:
        seconds = int(seconds)
    good = isinstance(seconds, int | float) and 0 < seconds < 10**10
    return now + float(seconds) if good and isinstance(seconds, int | float) else 0.0


def _plain(text: str) -> bool:
    return not text or text.isprintable()


def _said(said: Mapping[str, object], url: str, status: int) -> str:
    error, more = str(said.get("error"))[:100], str(said.get("error_description", ""))[:300]
    return f"{_place(url)} answered {status}: {error!r} {more!r}"


def _place(url: str) -> str:
    """Return a URL for the log: without its query, which may hold secrets."""
    return url.partition("?")[0]
