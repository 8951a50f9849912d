"""A provider, a store and a browser for tests of signing in: in memory, without a network.

The provider is as honest as a test lets it be: what it answers can be changed before it does.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwk, jwt
from msgspec.structs import replace as changed

from portway.edge.identity import Identities, Visit
from portway.edge.identity_callback import handed_on
from portway.edge.identity_provider import ProviderClient
from portway.edge.identity_sessions import Sessions
from portway.edge.identity_state import StateSeal
from portway.errors import Error
from portway.model.identity import SessionOpening, SessionRefresh, VisitorSession
from portway.net.tasks import Tasks
from portway.net.web_client import WebAnswer, WebFailure, WebRequest
from portway.policy.identity import Asked, IdentitySettings, NotSignedIn, SignedIn

ISSUER = "https://idp.example"
CALLBACK = "https://auth.portway.example/oauth2/callback"
NOW = 1_800_000_000.0
KEY = jwk.generate_key("EC", "P-256", {"kid": "one"})

OPENID = IdentitySettings("oidc", "", ISSUER, "portway", "s3cret")
GOOGLE = IdentitySettings("oauth", "google", ISSUER, "portway", "s3cret", managed=True)


@dataclass
class Clock:
    """A clock that tests set."""

    now: float = NOW

    def __call__(self) -> float:
        """Return what it shows."""
        return self.now


@dataclass
class FakeProvider:
    """An OpenID provider that answers requests of the edge (its ``Web``)."""

    clock: Clock
    issuer: str = ISSUER
    person: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "ada", "email": "ada@example.com", "email_verified": True, "name": "Ada",
        }
    )  # fmt: skip
    document: dict[str, Any] = field(default_factory=dict[str, Any])
    """In the place of what its discovery document says."""
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    """In the place of what its id_token says."""
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "ES256", "kid": "one"})
    key: Any = field(default_factory=lambda: KEY)
    """What it signs with."""
    keys: list[Any] = field(default_factory=lambda: [KEY.as_dict(private=False)])
    answers: dict[str, WebAnswer | WebFailure] = field(default_factory=dict[str, WebAnswer | WebFailure])
    """Path → what is answered whatever is asked."""
    token: dict[str, Any] = field(default_factory=dict[str, Any])
    """In the place of what its token endpoint says."""
    asked: list[WebRequest] = field(default_factory=list[WebRequest])
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    logins: int = 0
    slow: asyncio.Event | None = None
    """What its answers wait for, but for the documents."""
    info: dict[str, Any] | None = None
    """What userinfo says, if not the same as the id_token."""

    def authorize(self, url: str) -> dict[str, str]:
        """Have the person sign in; return the query with which they are sent back."""
        query = dict(parse_qsl(urlsplit(url).query))
        self.logins += 1
        code = f"code-{self.logins}"
        self.codes[code] = query
        return {"code": code, "state": query["state"], "iss": self.issuer}

    async def request(self, request: WebRequest) -> WebAnswer:
        """Answer the edge."""
        self.asked.append(request)
        path = urlsplit(request.url).path
        if self.slow is not None and path in ("/token", "/me", "/revoke"):
            await self.slow.wait()
        fixed = self.answers.get(path)
        if isinstance(fixed, WebFailure):
            raise fixed
        if fixed is not None:
            return fixed
        if path.endswith("/.well-known/openid-configuration"):
            return answer(200, self._document(request))
        if path == "/token":
            return answer(200, self._token(request))
        known = {"/keys": {"keys": self.keys}, "/me": self.info or self.person, "/revoke": dict[str, Any]()}
        return answer(200, known[path]) if path in known else answer(404, {})

    def _document(self, _request: WebRequest) -> dict[str, Any]:
        made: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/me",
            "jwks_uri": f"{ISSUER}/keys",
            "revocation_endpoint": f"{ISSUER}/revoke",
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in (made | self.document).items() if value is not None}

    def _token(self, request: WebRequest) -> dict[str, Any]:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form["grant_type"] == "refresh_token":
            return {"access_token": "fresh", "expires_in": 600} | self.token
        query = self.codes.pop(form["code"])
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        assert query["code_challenge"] == challenge
        assert query["code_challenge_method"] == "S256"
        said = {"iss": self.issuer, "aud": query["client_id"], "nonce": query["nonce"]}
        claims = said | {"exp": self.clock.now + 600, "iat": self.clock.now} | self.person | self.claims
        identity = jwt.encode(self.header, claims, self.key)
        return {
            "access_token": "access", "refresh_token": "refresh", "expires_in": 600, "id_token": identity,
        } | self.token  # fmt: skip


def answer(status: int, body: object, *headers: tuple[str, str]) -> WebAnswer:
    """Make an answer of a provider; a text or bytes are sent as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebAnswer(status, headers, data, "192.0.2.9", 0.01, "")


class FakeStore:
    """Sessions in memory (an ``IdentityStore``)."""

    def __init__(self, clock: Clock) -> None:
        """Know nobody."""
        self.clock = clock
        self.sessions: dict[str, tuple[str, VisitorSession]] = {}
        self.away = False
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise Error("The control plane cannot answer now.", 128)

    async def find_session(self, token_hash: str) -> VisitorSession | None:
        """Return the session of a cookie."""
        self._called("find")
        return next((each for hashed, each in self.sessions.values() if hashed == token_hash), None)

    async def open_session(self, opening: SessionOpening) -> VisitorSession:
        """Make a session."""
        self._called("open")
        now = self.clock.now
        made = VisitorSession(
            f"appsess_{len(self.calls)}", opening.account_id, "appusr_1", opening.realm, opening.client,
            opening.settings, opening.person, opening.tokens, now, now, now, now + 30 * 86_400,
        )  # fmt: skip
        self.sessions[made.id] = opening.token_hash, made
        return made

    async def refresh_session(self, refresh: SessionRefresh) -> VisitorSession | None:
        """Write down what was learnt anew."""
        self._called("refresh")
        found = self.sessions.get(refresh.session_id)
        if found is None:
            return None
        fresh = changed(
            found[1], settings=refresh.settings, person=refresh.person, tokens=refresh.tokens,
            refreshed_at=self.clock.now,
        )  # fmt: skip
        self.sessions[fresh.id] = found[0], fresh
        return fresh

    async def use_session(self, session_id: str, at: float) -> None:
        """Write down a use."""
        self._called("use")
        hashed, found = self.sessions[session_id]
        self.sessions[session_id] = hashed, changed(found, last_active=at)

    async def close_session(self, session_id: str) -> None:
        """Delete a session."""
        self._called("close")
        self.sessions.pop(session_id, None)


class Place:
    """An edge's identities, with a provider and a store of the test's."""

    def __init__(self, tasks: Tasks) -> None:
        """Join them."""
        self.clock = Clock()
        self.provider = FakeProvider(self.clock)
        self.store = FakeStore(self.clock)
        self.tasks = tasks
        self.identities = self.made()

    def made(self) -> Identities:
        """Make the identities anew, as after a restart of the service."""
        client = ProviderClient(self.provider, CALLBACK, self.clock, self.clock)
        self.sessions = Sessions(self.store, self.tasks, self.clock, self.clock)
        return Identities(client, self.sessions, StateSeal(b"s" * 32), self.tasks, self.clock)

    def browser(self, host: str = "app.example", scheme: str = "https") -> "Browser":
        """Make a browser that looks at one host."""
        return Browser(self, host, scheme)

    def callback(self, query: dict[str, str] | str) -> Any:
        """Come back from the provider; return what the callback host answers."""
        text = query if isinstance(query, str) else urlencode(query)
        return handed_on(self.identities.seal, self.clock(), text, html=True)

    def onward(self, query: dict[str, str]) -> str:
        """Come back from the provider; return the target at the endpoint that the visitor is sent to."""
        answered = self.callback(query)
        assert answered.status == 303, answered
        parts = urlsplit(location(answered))
        return f"{parts.path}?{parts.query}"


class Browser:
    """A visitor: keeps cookies, goes where it is sent."""

    def __init__(self, place: Place, host: str, scheme: str) -> None:
        """Look at this host."""
        self.place = place
        self.host = host
        self.scheme = scheme
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []
        """Every ``Set-Cookie`` that came."""
        self.account = "ac_1"

    def copy(self) -> "Browser":
        """Make a browser with the same cookies."""
        made = Browser(self.place, self.host, self.scheme)
        made.cookies, made.account = dict(self.cookies), self.account
        return made

    def asked(self, target: str = "/", method: str = "GET", **more: Any) -> Asked:
        """Make a request of this browser."""
        cookies = tuple(self.cookies.items())
        return replace(Asked(method, self.scheme, self.host, target, cookies, "Firefox", "192.0.2.1"), **more)

    async def visit(
        self, target: str = "/", settings: IdentitySettings = OPENID, **more: Any
    ) -> SignedIn | NotSignedIn:
        """Ask for something; take the cookies that come."""
        others = more.pop("others", ())
        asked = self.asked(target, **more)
        identities = self.place.identities
        visit = Visit(identities, self.account, "ep_1", settings, asked, html=True, others=others)
        result = await visit.judge()
        if isinstance(result, NotSignedIn):
            for name, value in result.answer.headers:
                if name == b"set-cookie":
                    self.take(value.decode())
        return result

    def take(self, line: str) -> None:
        """Take a cookie."""
        self.set.append(line)
        name, _, value = line.partition(";")[0].partition("=")
        if "Max-Age=0" in line:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    async def to_provider(self, target: str = "/", settings: IdentitySettings = OPENID, **more: Any) -> str:
        """Ask for something; return where at the provider that leads."""
        result = await self.visit(target, settings, **more)
        assert isinstance(result, NotSignedIn), result
        assert result.answer.status in (302, 303), result
        return location(result.answer)

    async def back(self, target: str = "/", settings: IdentitySettings = OPENID, **more: Any) -> str:
        """Sign in at the provider; return the target at the endpoint with what came back."""
        url = await self.to_provider(target, settings, **more)
        answered = self.place.callback(self.place.provider.authorize(url))
        assert answered.status == 303, answered
        parts = urlsplit(location(answered))
        assert (parts.scheme, parts.netloc) == (self.scheme, self.host)
        return f"{parts.path}?{parts.query}"

    async def sign_in(self, target: str = "/", settings: IdentitySettings = OPENID, **more: Any) -> str:
        """Sign in; return where that leads."""
        result = await self.visit(await self.back(target, settings, **more), settings)
        assert isinstance(result, NotSignedIn)
        assert result.answer.status == 303, result
        return location(result.answer)


def location(answered: Any) -> str:
    """Return where an answer leads."""
    return dict(answered.headers)[b"location"].decode()


def code_of(result: Any) -> int:
    """Return the code of a refusal; 0 for a redirect."""
    assert isinstance(result, NotSignedIn), result
    return result.answer.code
