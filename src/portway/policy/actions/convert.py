"""``websocket-tcp-converter``: WebSocket visitors for an upstream that speaks no HTTP.

portway's own, for the option of older agents. Who asks for a WebSocket goes on, and the edge turns its binary
messages into the bytes of the stream to the agent and back; whoever asks for anything else is refused.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portway.policy.actions import Action, ActionType
from portway.policy.phase import HTTP, Phase
from portway.policy.verdict import Verdict, refusal

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.engine import Run
    from portway.policy.facts import Request
    from portway.policy.fields import Fields

NO_WEBSOCKET: Final = 3206
VERSION: Final = b"13"


@dataclass(frozen=True, slots=True)
class _Convert:
    def run(self, run: "Run") -> Verdict | None:
        if not _is_handshake(run.request):
            hint = (b"sec-websocket-version", VERSION)
            return refusal(400, NO_WEBSOCKET, "This endpoint takes WebSockets only.", (hint,))
        run.converts = True
        return None


def _is_handshake(request: "Request") -> bool:
    """Tell whether a request opens a WebSocket as RFC 6455 §4.2.1 wants it."""
    upgrade, version, key = (
        request.get(name) for name in (b"upgrade", b"sec-websocket-version", b"sec-websocket-key")
    )
    asked = [part.strip().lower() for value in upgrade for part in value.split(b",")]
    return request.method == "GET" and b"websocket" in asked and version == [VERSION] and _is_key(key)


def _is_key(values: list[bytes]) -> bool:
    try:
        return len(values) == 1 and len(b64decode(values[0].strip(), validate=True)) == 16
    except Base64Error:
        return False


def _parse(_config: "Fields", _compiler: "Compiler") -> Action:
    return _Convert()


TYPES: Final = [
    ActionType("websocket-tcp-converter", _parse, frozenset((Phase.HTTP_REQUEST,)), HTTP, guards=True)
]
