"""Authtokens: issued once, kept as hashes, refused with the right code."""

from pathlib import Path

import pytest
from tests.kit.store import Clock, everything, opened

from portway.control.service import accounts, credentials
from portway.control.service.keys import Texts
from portway.control.store import changes
from portway.errors import Error, RefusedSession
from portway.model.entities import Grant


@pytest.mark.row("G-054")
async def test_a_fresh_token_is_accepted(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = await accounts.add(context, "a", plan="free")
        issued = await credentials.add(context, description="laptop")
        grant = await credentials.authenticate(context, f" {issued.token}\n")
    assert grant == Grant(account.id, "a", "free", issued.value.id)
    assert issued.value.description == "laptop"


@pytest.mark.row("G-054")
@pytest.mark.parametrize(("token", "code"), [
    ("", "4018"), (" \n", "4018"), ("a b", "105"), ("tökén", "105"), ("x" * 513, "105"), ("a\0b", "105"),
    ("x" * 512, "107"), ("nonsense", "107"), ("2abcdefghijklmnopqrstuvwxyz_secret", "107"), ("_", "107"),
])  # fmt: skip
async def test_what_is_refused_and_how(tmp_path: Path, token: str, code: str) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        await credentials.add(context)
        with pytest.raises(Error) as caught:
            await credentials.authenticate(context, token)
    assert caught.value.code == f"ERR_NGROK_{code}"


@pytest.mark.row("G-054")
async def test_the_right_row_with_a_wrong_secret_is_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        token = (await credentials.add(context)).token
        wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
        with pytest.raises(Error) as caught:
            await credentials.authenticate(context, wrong)
    assert caught.value.code == "ERR_NGROK_107"
    assert wrong not in str(caught.value)


@pytest.mark.row("G-054")
async def test_a_revoked_token_is_unknown_and_the_change_is_noted(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        account = await accounts.add(context, "a")
        issued = await credentials.add(context)
        clock.now += 5
        revoked = await credentials.revoke(context, issued.value.id)
        with pytest.raises(Error) as caught:
            await credentials.authenticate(context, issued.token)
        async with context.database.read() as connection:
            noted = await changes.after(connection, 0)
        clock.now += 5
        assert await credentials.revoke(context, issued.value.id) == revoked
    assert caught.value.code == "ERR_NGROK_107"
    assert revoked.revoked_at == clock.now - 5
    made, ended = noted
    assert (made.subject_id, ended.subject_id) == (issued.value.id, issued.value.id)
    assert ended == changes.Change(2, changes.CREDENTIAL, account.id, issued.value.id)


async def test_the_store_holds_no_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        token = (await credentials.add(context)).token
        content = everything(tmp_path)
    secret = token.partition("_")[2]
    assert token.partition("_")[0].encode() in content  # the row itself is there…
    assert secret.encode() not in content  # …its secret is not


async def test_tokens_are_listed_by_account(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        await accounts.add(context, "b")
        of_a = (await credentials.add(context, "a")).value
        of_b = (await credentials.add(context, "b")).value
        assert await credentials.listed(context, "a") == [of_a]
        assert {each.id for each in await credentials.listed(context)} == {of_a.id, of_b.id}


async def test_unknown_keys_and_long_descriptions_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        with pytest.raises(Error, match="no authtoken 'cr_x'"):
            await credentials.revoke(context, "cr_x")
        with pytest.raises(Error) as caught:
            await credentials.add(context, description="é" * 128)
    assert caught.value.code == "ERR_NGROK_604"


@pytest.mark.row("EV-09")
async def test_of_a_revoked_token_it_is_known_whose_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = (await accounts.add(context, "ann")).id
        made = await credentials.create(context, account, Texts())
        await credentials.delete(context, account, made.value.id)
        with pytest.raises(RefusedSession) as caught:
            await credentials.authenticate(context, made.token)
        assert (caught.value.account_id, caught.value.credential_id) == (account, made.value.id)
        other = made.token[:-1] + ("a" if made.token[-1] != "a" else "b")
        with pytest.raises(Error) as never:
            await credentials.authenticate(context, other)
        assert not isinstance(never.value, RefusedSession)
