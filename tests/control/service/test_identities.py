"""People who sign in, and their sessions: as the data plane makes them, as accounts see and end them."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.kit.store import Clock, everything, opened

from portway.control.certificates.seal import Seal
from portway.control.service import accounts, identities
from portway.control.service.context import Context
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.errors import Error, NotFound
from portway.model.identity import Browser, Person, SessionOpening, SessionRefresh, Tokens

TOKENS = Tokens("access-secret", "refresh-secret", "identity-secret", 5.0)
ADA = Person("google", "https://accounts.google.com", "ada", "ada@example.com", "Ada", "ada")
BROWSER = Browser("Firefox", "192.0.2.1", "DE", 52.5, 13.4, 10)


def opening(account: str, token_hash: str = "h", person: Person = ADA, **more: float) -> SessionOpening:
    """Ask for a session."""
    return SessionOpening(
        account, "ep_1", "https://a.example", "a.example oidc", "client", "settings", token_hash, person,
        TOKENS, BROWSER, **more,
    )  # fmt: skip


def sealing(context: Context, folder: Path) -> Context:
    """Give a context a key for secrets."""
    return replace(context, seal=Seal(folder / "store.key"))


@pytest.mark.row("P-54")
async def test_a_session_from_beginning_to_end(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as bare:
        context = sealing(bare, tmp_path)
        account = (await accounts.add(context, "mine")).id
        made = await identities.open_session(context, opening(account))
        assert made.tokens == TOKENS
        assert made.person == ADA
        assert await identities.find_session(context, "h") == made
        assert await identities.find_session(context, "other") is None
        clock.now += 100
        await identities.use_session(context, made.id, clock.now)
        await identities.use_session(context, made.id, clock.now - 50)
        found = await identities.find_session(context, "h")
        assert found is not None
        assert found.last_active == clock.now
        assert found.expires_at == clock.now + identities.KEPT
        fresh = SessionRefresh(
            made.id, account, "others", msgspec.structs.replace(ADA, name="Ada L"), Tokens("new")
        )
        renewed = await identities.refresh_session(context, fresh)
        assert renewed is not None
        assert (renewed.person.name, renewed.tokens.access, renewed.settings) == ("Ada L", "new", "others")
        assert renewed.refreshed_at == clock.now
        assert (
            await identities.refresh_session(context, msgspec.structs.replace(fresh, account_id="ac_x"))
            is None
        )
        await identities.close_session(context, made.id)
        await identities.close_session(context, made.id)
        assert await identities.find_session(context, "h") is None
        assert await identities.refresh_session(context, fresh) is None
        async with context.database.read() as connection:
            noted = await changes.after(connection, 0)
        assert (changes.APP_SESSION, made.id) in [(each.kind, each.subject_id) for each in noted]


async def test_tokens_are_sealed_and_cookies_hashed(tmp_path: Path) -> None:
    async with opened(tmp_path) as bare:
        context = sealing(bare, tmp_path)
        account = (await accounts.add(context, "mine")).id
        await identities.open_session(context, opening(account))
        assert b"-secret" not in everything(tmp_path)
        other = replace(context, seal=Seal(tmp_path / "another.key"))
        other.seal.seal(b"x", "x")
        with pytest.raises(Error, match="cannot be opened") as raised:
            await identities.find_session(other, "h")
        assert raised.value.code == "ERR_NGROK_128"
        with pytest.raises(Error, match="cannot be sealed"):
            await identities.open_session(bare, opening(account, "i"))


@pytest.mark.row("P-54")
async def test_a_person_is_known_again_and_forgotten_with_all_sessions(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as bare:
        context = sealing(bare, tmp_path)
        mine, yours = [(await accounts.add(context, name)).id for name in ("mine", "yours")]
        first = await identities.open_session(context, opening(mine, "h1"))
        clock.now += 10
        renamed = msgspec.structs.replace(ADA, name="Ada L")
        second = await identities.open_session(context, opening(mine, "h2", renamed))
        theirs = await identities.open_session(context, opening(yours, "h3"))
        assert first.user_id == second.user_id != theirs.user_id
        (user,) = await identities.users(context, mine, Page())
        assert (user.name, user.created_at, user.last_login) == ("Ada L", clock.now - 10, clock.now)
        assert [each.id for each in await identities.sessions(context, mine, Page())] == [second.id, first.id]
        for call in (
            identities.user(context, yours, user.id),
            identities.delete_user(context, yours, user.id),
            identities.session(context, yours, first.id),
            identities.delete_session(context, yours, first.id),
        ):
            with pytest.raises(NotFound):
                await call
        await identities.delete_session(context, mine, first.id)
        assert await identities.find_session(context, "h1") is None
        await identities.delete_user(context, mine, user.id)
        assert await identities.find_session(context, "h2") is None
        assert await identities.find_session(context, "h3") is not None
        assert await identities.users(context, mine, Page()) == []
        async with context.database.read() as connection:
            noted = await changes.after(connection, 0)
        told = [each.subject_id for each in noted if each.kind == changes.APP_SESSION]
        assert told == [first.id, second.id]


async def test_sessions_end_by_themselves(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as bare:
        context = sealing(bare, tmp_path)
        account = (await accounts.add(context, "mine")).id
        idle = await identities.open_session(context, opening(account, "h1", idle=100.0))
        old = await identities.open_session(context, opening(account, "h2", most=1000.0))
        clock.now += 101
        assert await identities.find_session(context, "h1") is None
        with pytest.raises(NotFound):
            await identities.session(context, account, idle.id)
        assert [each.id for each in await identities.sessions(context, account, Page())] == [old.id]
        clock.now += 800
        await identities.use_session(context, old.id, clock.now)
        clock.now += 100
        assert await identities.find_session(context, "h2") is None


async def test_one_person_has_a_bounded_number_of_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "SESSIONS_OF_USER", 3)
    clock = Clock()
    async with opened(tmp_path, clock) as bare:
        context = sealing(bare, tmp_path)
        account = (await accounts.add(context, "mine")).id
        made: list[str] = []
        for number in range(5):
            clock.now += 1
            made.append((await identities.open_session(context, opening(account, f"h{number}"))).id)
        assert [each.id for each in await identities.sessions(context, account, Page())] == made[:1:-1]
