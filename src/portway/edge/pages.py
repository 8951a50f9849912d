"""Our own answers to visitors: what happened, what to do about it, and the error code.

A browser gets a page that needs nothing from elsewhere; everyone else gets the same as plain text.
The code travels in ``ngrok-error-code``, a field that only the service can set. Everything that came
from outside is escaped, and nothing here tells more than a visitor may know.
"""

from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Final

from portway.edge.member import NoVerdict, Unserved
from portway.errors import PortwayError, StreamLimit

GENERAL: Final = 3007
"""The gateway's general error. No documented code is nearer to a request that cannot be read, was too slow or
was meant for another connection: all others name an endpoint, an agent or an upstream at fault."""
OFFLINE: Final = 3200
RESTRICTED: Final = 3205
INVALID_ANSWER: Final = 3004
TIMEOUT: Final = 3005
NOT_FORWARDED: Final = 3210
UNREACHABLE: Final = 8012
NO_VERDICT: Final = 6029


@dataclass(frozen=True, slots=True)
class Text:
    """What a page says. ``{host}`` is whom the visitor asked for."""

    title: str
    what: str
    visitor: str
    owner: str


_POLICY: Final = Text(
    "Not served",
    "The traffic policy of {host} could not be applied.",
    "Try again in a moment. If it happens again, tell the owner of this site.",
    "A rule of the endpoint's traffic policy failed. The service's log says which and why (policy_error), and"
    " `portway policy test` tries it.",
)

_BY_CODE: Final = {
    **dict.fromkeys((2238, 2247, 2249, 2253, 2254, 2300), _POLICY),
    OFFLINE: Text(
        "Endpoint offline",
        "The endpoint {host} is not online.",
        "Check the address for typing errors, or try again in a moment.",
        "Start the agent that serves this address, and check that its URL is exactly this one.",
    ),
    RESTRICTED: Text(
        "Access denied",
        "{host} may not be used from your address.",
        "If you should have access, tell the owner of this site from where you come.",
        "An IP restriction of the account is enforced for its endpoints: of the rules of its IP policies some"
        " must allow the visitor's address and none may deny it.",
    ),
    INVALID_ANSWER: Text(
        "Invalid answer",
        "The service behind {host} answered with something that is not complete, valid HTTP.",
        "Try again in a moment. If it happens again, tell the owner of this site.",
        "Check that the upstream really speaks HTTP on its port: an HTTPS one needs https:// in its address.",
    ),
    TIMEOUT: Text(
        "No answer in time",
        "The service behind {host} took the request but did not answer in time.",
        "Try again in a moment. If it happens again, tell the owner of this site.",
        "Look at what the upstream was doing with the request, and at the idle limit of the service.",
    ),
    NOT_FORWARDED: Text(
        "Not forwarded",
        "The agent that serves {host} could not take the request just now.",
        "Try again in a moment.",
        "The agent has just lost its session or has as many requests at once as it can bear.",
    ),
    NO_VERDICT: Text(
        "No answer",
        "The cloud endpoint {host} is online, but its traffic policy does not answer the request.",
        "Try again later. If it happens again, tell the owner of this site.",
        "A cloud endpoint has no agent to forward to: its policy must answer or forward every request.",
    ),
    UNREACHABLE: Text(
        "Service not reachable",
        "The agent of {host} is online, but the service behind it did not answer the connection.",
        "Try again in a moment. If it happens again, tell the owner of this site.",
        "Start the service that the agent forwards to, and check the address and port given to the agent.",
    ),
}

_BY_STATUS: Final = {
    400: Text(
        "Bad request",
        "The request cannot be understood.",
        "If a browser sent it, clear the cookies of this site and try again.",
        "The client sends HTTP that is malformed or ambiguous; it was not forwarded.",
    ),
    408: Text(
        "Request too slow",
        "The request did not arrive in time.",
        "Try again, perhaps over a faster connection.",
        "The client stopped sending before its request was complete; it was not forwarded.",
    ),
    421: Text(
        "Wrong connection",
        "This connection was made for another name than {host}.",
        "Try again with a new connection.",
        "The name in the TLS handshake or in the request target is not the one in the Host field.",
    ),
    431: Text(
        "Request head too large",
        "The head of the request is larger than this service takes.",
        "Clear the cookies of this site and try again.",
        "The service limits the bytes and the fields of a head. Cookies are what usually grows.",
    ),
    505: Text(
        "HTTP version not supported",
        "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
        "Use another client.",
        "The client asked for a version of HTTP that is not served on this port.",
    ),
}

_OTHER: Final = Text(
    "Not served",
    "The request cannot be served.",
    "Try again in a moment. If it happens again, tell the owner of this site.",
    "The request was not forwarded.",
)

_STYLE: Final = (
    ":root{color-scheme:light dark;--ink:#1d2433;--dim:#5b6578;--paper:#f6f7f9;--card:#fff;--line:#dfe3ea;"
    "--mark:#b3261e}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e7eaf0;--dim:#9aa4b5;--paper:#12151b;--card:#1a1f28;"
    "--line:#2c3442;--mark:#ff8a80}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px;background:var(--paper);"
    "color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "main{width:100%;max-width:620px;background:var(--card);border:1px solid var(--line);"
    "border-radius:14px;padding:36px 40px}"
    "p{margin:0;overflow-wrap:anywhere}"
    "p.status{color:var(--mark);font-weight:600}"
    "h1{margin:4px 0 12px;font-size:28px;line-height:1.2}"
    "h2{margin:26px 0 4px;font-size:13px;letter-spacing:.06em;text-transform:uppercase;color:var(--dim)}"
    "footer{margin-top:30px;padding-top:16px;border-top:1px solid var(--line);color:var(--dim);"
    "font-size:14px;display:flex;justify-content:space-between;gap:16px;flex-wrap:wrap}"
    "code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
    "p.way{margin-top:26px}"
    "p.way a{display:inline-block;padding:10px 18px;border-radius:8px;background:var(--ink);"
    "color:var(--card);text-decoration:none;font-weight:600}"
    "@media(max-width:480px){main{padding:26px 22px}}"
)


def unserved(error: PortwayError) -> tuple[int, int]:
    """Return status and code for a visitor whom no member of an endpoint takes."""
    if isinstance(error, NoVerdict):
        return 500, NO_VERDICT
    if isinstance(error, Unserved):
        return 503, error.code
    return (502, NOT_FORWARDED) if isinstance(error, StreamLimit) else (404, OFFLINE)


def wants_html(fields: list[tuple[bytes, bytes]]) -> bool:
    """Say whether the visitor is a browser or the like: its Accept names text/html."""
    return any(name.lower() == b"accept" and b"text/html" in value.lower() for name, value in fields)


def error_page(
    status: int,
    code: int = 0,
    *,
    html: bool = False,
    host: str = "",
    detail: str = "",
    body: bool = True,
    keep_alive: bool = False,
) -> bytes:
    """Return a whole HTTP/1.1 answer; see :func:`error_answer` for what it says.

    ``body`` is False for the answer to HEAD, which states the length and ends with its head.
    """
    fields, content = error_answer(status, code, html=html, host=host, detail=detail)
    lines = [
        f"HTTP/1.1 {status} {phrase(status)}".encode("ascii"),
        *fields,
        b"Content-Length: %d" % len(content),
        b"Connection: keep-alive\r\n\r\n" if keep_alive else b"Connection: close\r\n\r\n",
    ]
    head = b"\r\n".join(lines)
    return head + content if body else head


def error_answer(
    status: int,
    code: int = 0,
    *,
    html: bool = False,
    host: str = "",
    detail: str = "",
    text: Text | None = None,
    link: tuple[str, str] | None = None,
) -> tuple[list[bytes], bytes]:
    """Return the field lines and the body of an answer of ours, without what a version of HTTP adds.

    ``code`` is n of ERR_NGROK_n, 0 for none; ``detail`` a safe sentence that replaces the general one;
    ``text`` what the page says in the place of the usual text; ``link`` a way on: its words and its address.
    """
    text = text or _BY_CODE.get(code) or _BY_STATUS.get(status, _OTHER)
    what = detail or text.what.format(host=host or "this address")
    label = f"ERR_NGROK_{code}" if code else ""
    said = phrase(status)
    make = _html if html else _plain
    content = make(status, said, text, what, label, link)
    lines = [
        b"Content-Type: text/html; charset=utf-8" if html else b"Content-Type: text/plain; charset=utf-8",
        b"Cache-Control: no-store",
        b"X-Content-Type-Options: nosniff",
    ]
    if html:
        lines.append(b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'")
    if label:
        lines.append(f"ngrok-error-code: {label}".encode("ascii"))
    return lines, content


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _plain(
    status: int, phrase: str, text: Text, what: str, label: str, link: tuple[str, str] | None
) -> bytes:
    lines = [f"{status} {phrase}", "", what, "", f"Visitor: {text.visitor}", f"Owner: {text.owner}"]
    if link is not None:
        lines += ["", f"{link[0]}: {link[1]}"]
    if label:
        lines += ["", label]
    # A control character from outside could play with the visitor's terminal.
    shown = "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)
    return f"{shown}\n".encode()


def _html(status: int, phrase: str, text: Text, what: str, label: str, link: tuple[str, str] | None) -> bytes:
    way = f'<p class="way"><a href="{escape(link[1])}">{escape(link[0])}</a></p>' if link else ""
    footer = f"<code>{label}</code>" if label else "<span></span>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(text.title)}</title>'
        f"<style>{_STYLE}</style></head>"
        f'<body><main><p class="status">{status} {escape(phrase)}</p><h1>{escape(text.title)}</h1>'
        f"<p>{escape(what)}</p><h2>If you are visiting</h2><p>{escape(text.visitor)}</p>"
        f"<h2>If this is your site</h2><p>{escape(text.owner)}</p>{way}"
        f"<footer>{footer}<span>portway</span></footer></main></body></html>\n"
    ).encode()
