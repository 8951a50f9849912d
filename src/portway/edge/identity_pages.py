"""What a visitor is told when signing in does not work: one text a code, with a way on.

The codes are those of the identity actions: 3100–3127 the visitor or the provider has refused something,
3150–3152 the session, 3160–3167 the provider is in trouble, 3300–3313 what was kept of the login is not as it
was. Each page has a link that begins anew, where beginning anew can help.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portway.edge import pages
from portway.edge.pages import Text
from portway.policy.verdict import Respond

if TYPE_CHECKING:
    from portway.policy.verdict import Headers

_log = logging.getLogger(__name__)

_AGAIN: Final = "Sign in once more with the link below."
_ANEW: Final = "Open the page that you wanted once more: it leads to where you sign in."
_SITE: Final = "If it happens again, tell the owner of this site."
_LATER: Final = "Try again in a few minutes."
_HERE: Final = "The action that signs visitors in is set up in the traffic policy of this endpoint."
_APP: Final = (
    "Compare the application at the provider with client_id, client_secret and the callback address."
)


def _text(title: str, what: str, visitor: str, owner: str = _HERE) -> Text:
    return Text(title, what, visitor, owner)


TEXTS: Final = {
    3100: (
        401,
        _text(
            "Session expired",
            "Your session at {host} has ended: it was as old as it may be.",
            _AGAIN,
            "max_session_duration says how long a session may last.",
        ),
    ),
    3101: (
        403,
        _text(
            "Permission denied",
            "The provider was not allowed to tell who you are.",
            "Sign in once more and allow what the provider asks for.",
        ),
    ),
    3102: (
        403,
        _text(
            "Account problem",
            "The provider has a problem with your account.",
            "Sign in at the provider itself and see what it says.",
        ),
    ),
    3104: (
        403,
        _text(
            "E-mail address not verified",
            "The provider has not verified your e-mail address.",
            "Verify the address at the provider, then sign in once more.",
            "Rules decide by addresses, so one that may be anybody's is not taken.",
        ),
    ),
    3105: (
        401,
        _text(
            "Not signed in",
            "You are not signed in at {host}, or your session has ended.",
            "Load the page again: it leads to where you sign in.",
            "Scripts, pictures and sockets cannot sign visitors in, so they are not sent to the provider.",
        ),
    ),
    3107: (
        400,
        _text("Login incomplete", "The provider sent you back without what you were sent with.", _AGAIN),
    ),
    3108: (400, _text("Login unreadable", "The provider sent you back with what was not made here.", _AGAIN)),
    3109: (
        403,
        _text(
            "No e-mail address",
            "The provider did not tell your e-mail address.",
            "Give your account at the provider an address, or allow it to be told.",
            "Policies that only name a provider decide by the address.",
        ),
    ),
    3112: (502, _text("Provider error", "The provider could not sign you in.", _AGAIN + " " + _SITE, _APP)),
    3113: (
        403,
        _text("Access ended", "The provider says that your access was revoked or has expired.", _AGAIN),
    ),
    3114: (
        403,
        _text(
            "Consent needed",
            "The provider needs your consent first.",
            "Sign in once more and allow what the provider asks for.",
        ),
    ),
    3115: (
        502,
        _text(
            "Callback not registered",
            "The provider does not know where to send you back to.",
            _SITE,
            "Register the callback address of this service with the application at the provider.",
        ),
    ),
    3117: (
        400,
        _text(
            "Wrong link",
            "The link that led you here asks for what cannot be done.",
            "Go to the first page of this site.",
            "redirect_path is a path of this site, beginning with one slash; auth_id names an action.",
        ),
    ),
    3118: (403, _text("Data refused", "The provider refused to tell who you are.", _AGAIN, _APP)),
    3119: (400, _text("Login too slow", "Signing in took more than 15 minutes.", _AGAIN)),
    3120: (400, _text("Login incomplete", "What is needed to finish the login is missing.", _AGAIN)),
    3121: (
        400,
        _text(
            "Another browser",
            "This login was begun in another browser, or cookies are not kept.",
            "Allow cookies for this site and sign in once more.",
            "The cookie of a login is the host's own and lives for 15 minutes.",
        ),
    ),
    3122: (400, _text("Login expired", "The code with which you came back is not good any more.", _AGAIN)),
    3123: (400, _text("Login used", "The code with which you came back was used already.", _AGAIN)),
    3124: (400, _text("Another site", "This login was begun for another site.", _AGAIN)),
    3125: (
        502,
        _text("Application refused", "The provider does not accept this site's application.", _SITE, _APP),
    ),
    3126: (
        502,
        _text(
            "Scope refused",
            "The provider does not know what it was asked for.",
            _SITE,
            "Compare the scopes of the action with those that the provider offers.",
        ),
    ),
    3127: (403, _text("Credentials expired", "What the provider gave for you is not good any more.", _AGAIN)),
    3150: (
        503,
        _text(
            "Session not readable",
            "Your session could not be read now.",
            _LATER,
            "The control plane of the service does not answer; sessions stand.",
        ),
    ),
    3151: (
        400,
        _text(
            "Session refused",
            "Your browser shows several sessions at once.",
            "Clear the cookies of this site and sign in once more.",
            "Another site of the same domain has set cookies for this one.",
        ),
    ),
    3152: (502, _text("Request refused", "The provider did not understand what it was asked.", _SITE, _APP)),
    3160: (
        502,
        _text(
            "Provider not understood",
            "The provider could not be asked, or its answer not be used.",
            _LATER + " " + _SITE,
            "The log of the service says what the provider answered.",
        ),
    ),
    3161: (503, _text("Provider busy", "The provider takes no more requests for some minutes.", _LATER)),
    3162: (
        503,
        _text("Provider busy", "The provider takes no more requests for an hour.", "Try again in an hour."),
    ),
    3163: (502, _text("Login not finished", "Your login could not be finished.", _AGAIN + " " + _SITE)),
    3164: (
        502,
        _text("Login not accepted", "The provider could not confirm your login.", _AGAIN + " " + _SITE),
    ),
    3165: (503, _text("Provider busy", "The provider is too busy to sign you in.", _LATER)),
    3166: (502, _text("Provider error", "The provider failed while it signed you in.", _LATER + " " + _SITE)),
    3167: (503, _text("Provider busy", "The provider is too busy to say who you are.", _LATER)),
    3301: (400, _text("Login expired", "What was kept of your login is too old.", _AGAIN)),
    3303: (
        400,
        _text(
            "Another provider",
            "Another provider answered than the one that was asked.",
            _AGAIN,
            "The issuer in the answer differs (RFC 9207): somebody may try to mix providers up.",
        ),
    ),
    3313: (
        400,
        _text(
            "Cookie domain",
            "This site does not belong to the domain of its login cookies.",
            _SITE,
            "auth_cookie_domain must be the host of the endpoint, or a domain above it.",
        ),
    ),
}

_USUAL: Final = (502, _text("Login failed", "Signing in at {host} did not work.", _AGAIN + " " + _SITE))

PROVIDER_ERRORS: Final = {
    "access_denied": 3101, "user_cancelled_login": 3101, "user_cancelled_authorize": 3101,
    "consent_required": 3114, "interaction_required": 3114, "invalid_scope": 3126,
    "unauthorized_client": 3125, "invalid_request": 3152, "unsupported_response_type": 3152,
    "server_error": 3166, "temporarily_unavailable": 3165, "redirect_uri_mismatch": 3115,
    "account_selection_required": 3102, "application_suspended": 3125,
}  # fmt: skip
"""Error of a provider's answer → code (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6)."""

TOKEN_ERRORS: Final = {
    "invalid_grant": 3122, "bad_verification_code": 3122, "invalid_client": 3125,
    "incorrect_client_credentials": 3125, "unauthorized_client": 3125, "invalid_scope": 3126,
    "redirect_uri_mismatch": 3115, "invalid_request": 3152, "unsupported_grant_type": 3152,
    "access_denied": 3101, "temporarily_unavailable": 3165, "server_error": 3166,
}  # fmt: skip
"""The same of its token endpoint (RFC 6749 §5.2)."""


class LoginFailed(Exception):
    """Signing in did not work; ``detail`` is for the log and never shown."""

    def __init__(self, code: int, detail: str = "") -> None:
        """Take n of ERR_NGROK_n, which says what the visitor is told, and what really happened."""
        super().__init__(detail or f"ERR_NGROK_{code}")
        self.code = code
        self.detail = detail

    def log(self, where: str) -> None:
        """Write down what happened, as a warning only where it is not the visitor's doing: they are many."""
        if self.detail:
            level = logging.WARNING if status_of(self.code) >= 500 else logging.DEBUG
            _log.log(level, "%s: ERR_NGROK_%d: %s", where, self.code, self.detail)


def status_of(code: int) -> int:
    """Return the status of a code."""
    return TEXTS.get(code, _USUAL)[0]


def failed_page(code: int, *, html: bool, host: str, link: str = "", cookies: "Headers" = ()) -> Respond:
    """Make the page of a code. ``link`` is where to begin anew, "" for nowhere."""
    status, text = TEXTS.get(code, _USUAL)
    if not link:
        text = replace(text, visitor=text.visitor.replace(_AGAIN, _ANEW))
    return _page(status, text, code, html=html, host=host, link=("Sign in again", link), cookies=cookies)


def signed_out_page(*, html: bool, host: str, link: str, cookies: "Headers") -> Respond:
    """Make the page behind a logout."""
    text = _text(
        "Signed out",
        "You are signed out of {host}.",
        "Whoever uses this browser next may still be signed in at the provider.",
        "Link to this path wherever visitors shall be able to sign out.",
    )
    return _page(200, text, 0, html=html, host=host, link=("Sign in again", link), cookies=cookies)


def _page(
    status: int, text: Text, code: int, *, html: bool, host: str, link: tuple[str, str], cookies: "Headers"
) -> Respond:
    lines, body = pages.error_answer(
        status, code, html=html, host=host, text=text, link=link if link[1] else None
    )
    fields = [(name.strip(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    fields = [each for each in fields if each[0] != b"ngrok-error-code"]  # the engine's verdict sets it
    what = text.what.format(host=host)
    return Respond(status, (*fields, *cookies), body, code=code, message=what)
