"""People, sessions and tokens on their way between edge and control plane."""

import msgspec

from portway.model.identity import Person, ProviderApp, SessionOpening, Tokens, VisitorSession


def test_they_travel_as_json() -> None:
    person = Person("google", "https://accounts.google.com", "ada", "a@b.example", "Ada")
    session = VisitorSession(
        "appsess_1",
        "ac_1",
        "appusr_1",
        "r",
        "c",
        "s",
        person,
        Tokens("a", expires_at=5.0),
        1.0,
        2.0,
        3.0,
        4.0,
    )
    assert msgspec.json.decode(msgspec.json.encode(session), type=VisitorSession) == session
    assert {"idle", "most"} <= set(SessionOpening.__struct_fields__)


def test_no_secret_is_shown() -> None:
    assert repr(Tokens("secret", "", "secret")) == "Tokens(access, identity)"
    assert "secret" not in repr(ProviderApp("id", "secret", "https://a"))
