"""SSH public keys of accounts."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kit.store import opened

from portway.control.service import accounts, ssh_credentials
from portway.control.service.keys import Texts
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.errors import Error, NotFound, RefusedSession
from portway.model.entities import Grant
from portway.model.plan import Plan
from portway.model.ssh_key import parse_ssh_key

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFHOWSJ4rRQrZg5jqbbmzvVOGSQBX6gPzX2CqGiL6oJp"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGHOWSJ4rRQrZg5jqbbmzvVOGSQBX6gPzX2CqGiL6oJp"


async def test_a_key_from_beginning_to_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        mine, yours = [(await accounts.add(context, name)).id for name in ("mine", "yours")]
        made = await ssh_credentials.create(
            context, mine, f"{KEY} me@host", Texts("d", "m", ("bind:a.b",)), "u"
        )
        assert (made.public_key, made.description, made.metadata) == (f"{KEY} me@host", "d", "m")
        assert (made.acl, made.owner_id, made.account_id) == (("bind:a.b",), "u", mine)
        assert await ssh_credentials.get(context, mine, made.id) == made
        assert await ssh_credentials.page(context, mine, Page()) == [made]
        assert await ssh_credentials.page(context, yours, Page()) == []
        changed = await ssh_credentials.update(context, mine, made.id, Texts(metadata="", acl=()))
        assert (changed.description, changed.metadata, changed.acl) == ("d", "", ())
        for call in (
            ssh_credentials.get(context, yours, made.id),
            ssh_credentials.update(context, yours, made.id, Texts("x")),
            ssh_credentials.delete(context, yours, made.id),
        ):
            with pytest.raises(NotFound):
                await call
        await ssh_credentials.delete(context, mine, made.id)
        with pytest.raises(NotFound):
            await ssh_credentials.delete(context, mine, made.id)
        async with context.database.read() as connection:
            noted = await changes.after(connection, 0)
        assert [(each.kind, each.subject_id) for each in noted] == [(changes.SSH_CREDENTIAL, made.id)] * 3
        await ssh_credentials.create(context, yours, KEY, Texts())


@pytest.mark.parametrize(
    ("who", "key", "texts", "code"),
    [
        ("mine", f"{KEY} again", Texts(), 609),
        ("yours", KEY, Texts(), 610),
        ("yours", "", Texts(), 611),
        ("yours", "ssh-dss AAAA", Texts(), 612),
        ("yours", OTHER, Texts(acl=("bad",)), 600),
        ("yours", OTHER, Texts("x" * 256), 604),
        ("yours", OTHER, Texts("", "x" * 4097), 605),
    ],
)
async def test_what_is_refused(tmp_path: Path, who: str, key: str, texts: Texts, code: int) -> None:
    async with opened(tmp_path) as context:
        ids = {name: (await accounts.add(context, name)).id for name in ("mine", "yours")}
        await ssh_credentials.create(context, ids["mine"], KEY, Texts())
        with pytest.raises(Error) as raised:
            await ssh_credentials.create(context, ids[who], key, texts)
    assert raised.value.code == f"ERR_NGROK_{code}"


@pytest.mark.row("C21")
async def test_an_update_of_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        mine = (await accounts.add(context, "mine")).id
        made = await ssh_credentials.create(context, mine, KEY, Texts())
        with pytest.raises(Error) as raised:
            await ssh_credentials.update(context, mine, made.id, Texts())
    assert raised.value.code == "ERR_NGROK_606"


async def test_a_login_is_told_whose_key_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        mine = await accounts.add(context, "mine")
        fingerprint = parse_ssh_key(KEY).fingerprint
        with pytest.raises(Error) as unknown:
            await ssh_credentials.authenticate(context, fingerprint)
        assert unknown.value.code == "ERR_NGROK_1102"
        made = await ssh_credentials.create(context, mine.id, KEY, Texts(acl=("bind:a.b",)))
        grant = await ssh_credentials.authenticate(context, fingerprint)
        assert grant == Grant(mine.id, "mine", mine.plan, made.id, ("bind:a.b",))
        await ssh_credentials.delete(context, mine.id, made.id)
        with pytest.raises(Error) as gone:
            await ssh_credentials.authenticate(context, fingerprint)
        assert gone.value.code == "ERR_NGROK_1102"


@pytest.mark.row("K-31")
@pytest.mark.parametrize(("plan", "code"), [(Plan(ssh_keys=0), "1103"), (Plan(health_data=True), "1125")])
async def test_a_plan_without_ssh_refuses_keys_that_were_registered_before(
    plan: Plan, code: str, tmp_path: Path
) -> None:
    async with opened(tmp_path) as context:
        mine = await accounts.add(context, "mine")
        await ssh_credentials.create(context, mine.id, KEY, Texts())
        without = replace(context, settings=replace(context.settings, plans={mine.plan: plan}))
        with pytest.raises(RefusedSession) as refused:
            await ssh_credentials.authenticate(without, parse_ssh_key(KEY).fingerprint)
        assert (refused.value.code, refused.value.account_id) == (f"ERR_NGROK_{code}", mine.id)
