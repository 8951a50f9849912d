"""websocket-tcp-converter: who may pass, and what is told of it."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, facts, policy

from portway.policy.verdict import CONTINUE, Respond

ASKED = {
    b"upgrade": b"WebSocket",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("change", "method", "passes"),
    [
        ({}, "GET", True),
        ({b"upgrade": b"other, websocket"}, "GET", True),
        ({}, "POST", False),
        ({b"upgrade": b"h2c"}, "GET", False),
        ({b"sec-websocket-version": b"8"}, "GET", False),
        ({b"sec-websocket-key": b"short"}, "GET", False),
        ({b"sec-websocket-key": b"!"}, "GET", False),
        ({b"sec-websocket-key": b""}, "GET", False),
    ],
)
def test_only_handshakes_pass(change: dict[bytes, bytes], method: str, passes: bool) -> None:
    known = facts(method=method, fields=list((ASKED | change).items()))
    run = begin(policy(action("websocket-tcp-converter")), known=known)
    verdict = run.step()
    assert run.converts == passes
    if passes:
        assert verdict == CONTINUE
    else:
        assert isinstance(verdict, Respond)
        assert (verdict.status, verdict.code, verdict.final) == (400, 3206, True)
        assert (b"sec-websocket-version", b"13") in verdict.headers
