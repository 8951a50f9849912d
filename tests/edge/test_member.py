"""A member that is a session: what it writes before the visitor's bytes."""

from typing import Any, cast

import pytest

from portway.codec import proxy_protocol
from portway.edge.member import SessionMember, Visitor
from portway.errors import SessionClosed
from portway.wire.messages import ProxyHeader

VISITOR = Visitor("192.0.2.1:1234", "192.0.2.2:443", "tls", passthrough=True)


class FakeSession:
    """Remembers what was opened."""

    def __init__(self) -> None:
        self.closed = False
        self.opened: list[tuple[ProxyHeader, Any, bytes]] = []

    def open_proxy(self, header: ProxyHeader, sink: Any, first: bytes = b"") -> Any:
        self.opened.append((header, sink, first))
        return "pipe"


def member(session: FakeSession, **options: Any) -> SessionMember:
    return SessionMember(cast("Any", session), "ep_1", "client", **options)


@pytest.mark.row("S24")
def test_the_header_says_who_comes_and_for_which_bind() -> None:
    session, sink = FakeSession(), cast("Any", object())
    assert cast("Any", member(session).open(VISITOR, sink)) == "pipe"
    header = ProxyHeader("ep_1", "192.0.2.1:1234", "tls", "0", True)
    assert session.opened == [(header, sink, b"")]


@pytest.mark.row("S26")
@pytest.mark.parametrize("version", [1, 2])
def test_the_proxy_header_rides_along(version: int) -> None:
    session = FakeSession()
    member(session, proxy_proto=version).open(VISITOR, cast("Any", None))
    assert session.opened[0][2] == proxy_protocol.encode(version, "192.0.2.1:1234", "192.0.2.2:443")


def test_a_member_that_was_given_up_or_has_no_session_is_not_usable() -> None:
    session = FakeSession()
    one = member(session)
    assert one.usable
    assert repr(one) == "<SessionMember ep_1 usable>"
    session.closed = True
    assert not one.usable
    session.closed = False
    one.retired = True
    assert not one.usable
    with pytest.raises(SessionClosed):
        one.open(VISITOR, cast("Any", None))
    assert session.opened == []
