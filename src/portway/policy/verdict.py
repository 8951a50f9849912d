"""What a policy decides: values that the edge carries out.

::

    CONTINUE   go on: nothing in this phase ends the request
    Respond    answer the visitor; nothing is asked of the upstream
    Close      close the visitor's connection without a word
    Forward    let another endpoint of the account serve it
    Fetch      make a request for the policy, then go on with its result (Run.resume)
"""

from collections.abc import Mapping
from typing import Final

import msgspec

INTERNAL: Final = 2300
"""What fails in a policy that is nobody's rule's fault."""
UNAPPLIED: Final = "The traffic policy of this endpoint could not be applied."
"""What visitors are told of failures whose reason is not for them."""

Headers = tuple[tuple[bytes, bytes], ...]


class Continue(msgspec.Struct, frozen=True):
    """The rules are at their end and nothing stops the request."""


class Respond(msgspec.Struct, frozen=True):
    """Answer with this instead of what an upstream would say.

    ``code`` (0: none) goes into the field ``ngrok-error-code`` and, when ``page`` is set, onto the error
    page that is then the body. ``final`` answers skip on_http_response: they are refusals; what
    custom-response and redirect make is an ordinary answer and passes through it.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    code: int = 0
    message: str = ""
    page: bool = False
    final: bool = True


class Close(msgspec.Struct, frozen=True):
    """Close the connection at once, with TCP's or TLS's own means; ``code`` is for events (0: none)."""

    code: int = 0


class Forward(msgspec.Struct, frozen=True):
    """Hand the request or connection to an internal endpoint.

    On failure the edge calls :meth:`portway.policy.engine.Run.resume` with a :class:`Failed`, whatever
    ``go_on`` says: the engine then goes on or answers.
    """

    url: str
    go_on: bool = False
    """The action says ``on_error: continue``."""


class Fetch(msgspec.Struct, frozen=True):
    """A request that the edge makes for an action; its result goes to ``Run.resume``."""

    what: str
    """The kind of request, which says how its result looks."""
    arguments: Mapping[str, object]


class Failed(msgspec.Struct, frozen=True):
    """What was asked of the edge did not succeed: for ``Run.resume``."""

    code: int
    message: str
    status: int = 502


Verdict = Continue | Respond | Close | Forward | Fetch

CONTINUE: Final = Continue()


def refusal(status: int, code: int = 0, message: str = "", headers: Headers = ()) -> Respond:
    """Make the answer of an enforcing action: final, an error page if there is a code."""
    return Respond(status, headers, code=code, message=message, page=bool(code))
