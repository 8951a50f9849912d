"""What the controller answers of sessions, as the data plane asks it."""

from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec.structs import replace
from tests.kit.store import opened
from tests.server.test_identity_link import OPENING

from portway.control.certificates.seal import Seal
from portway.control.service import accounts
from portway.model.identity import SessionRefresh, Tokens, VisitorSession
from portway.server.channel import arguments
from portway.server.identity_link import IdentityLink
from portway.server.identity_requests import IdentityRequests


class Direct:
    """A link without a channel: each request is carried out at once."""

    def __init__(self, requests: IdentityRequests) -> None:
        self.table = requests.table()

    async def ask(self, do: str, args: object, into: type[Any]) -> Any:
        answer = await self.table[do](msgspec.Raw(msgspec.json.encode(args)))
        return arguments(msgspec.Raw(msgspec.json.encode(answer)), into)


async def test_both_ends_understand_each_other(tmp_path: Path) -> None:
    async with opened(tmp_path) as bare:
        context = replace(bare, seal=Seal(tmp_path / "store.key"))
        account = (await accounts.add(context, "ann")).id
        link = IdentityLink(cast("Any", Direct(IdentityRequests(context))))
        made = await link.open_session(msgspec.structs.replace(OPENING, account_id=account))
        assert isinstance(made, VisitorSession)
        assert await link.find_session("h") == made
        await link.use_session(made.id, made.last_active + 5)
        used = await link.find_session("h")
        assert used is not None
        assert used.last_active == made.last_active + 5
        fresh = SessionRefresh(made.id, account, "other", made.person, Tokens("new"))
        renewed = await link.refresh_session(fresh)
        assert renewed is not None
        assert renewed.tokens.access == "new"
        await link.close_session(made.id)
        assert await link.find_session("h") is None
