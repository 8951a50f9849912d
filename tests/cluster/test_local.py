"""The claims of one process: what is written down, in which order, and what failure does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from portway.cluster.local import LocalClaims
from portway.cluster.table import Table
from portway.errors import ConnectError, Error
from portway.model.url import Url

URL = Url("https", "a.portway.localhost", 443)
TLS = Url("tls", "a.portway.localhost", 443)


class Keeper:
    """Remembers what is written; refuses while ``broken``."""

    def __init__(self) -> None:
        self.written: list[tuple[object, ...]] = []
        self.broken = False
        self.told = asyncio.Event()

    async def _take(self, *what: object) -> None:
        await asyncio.sleep(0)
        self.told.set()
        if self.broken:
            raise ConnectError("tcp", "the controller is away")
        self.written.append(what)

    async def reserve(self, url: str, account_id: str, session_key: str) -> None:
        await self._take("reserve", url, account_id, session_key)

    async def hold(self, url: str, until: float) -> None:
        await self._take("hold", url, until)

    async def release(self, url: str) -> None:
        await self._take("release", url)


class Rig:
    def __init__(self) -> None:
        self.now = 0.0
        self.keeper = Keeper()
        self.claims = LocalClaims(
            Table("portway.localhost", 180.0),
            self.keeper,
            clock=lambda: self.now,
            wall=lambda: 1_000_000.0 + self.now,
        )
        self.freed: list[Url] = []
        self.claims.on_freed(self.freed.append)
        self.claims.open()

    async def claim(
        self, url: Url, account: str, holder: str, *, pooled: bool = False, returning: bool = False
    ) -> None:
        await self.claims.claim(url, account, holder, pooled=pooled, returning=returning)


@asynccontextmanager
async def running() -> AsyncGenerator[Rig]:
    rig = Rig()
    task = asyncio.create_task(rig.claims.run())
    try:
        yield rig
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_claim_is_written_before_it_is_granted() -> None:
    async with running() as rig:
        await rig.claim(URL, "a", "s1")
        assert rig.keeper.written == [("reserve", str(URL), "a", "s1")]
        rig.claims.hold(URL, "s1")
        await rig.claims.flush()
        assert rig.keeper.written[1:] == [("hold", str(URL), 1_000_180.0)]
        assert rig.claims.taken(URL)
        rig.now = 180.0
        assert not rig.claims.taken(URL)
        await rig.claims.flush()
        assert rig.keeper.written[2:] == [("release", str(URL))]
        assert rig.freed == [URL]


async def test_two_claims_at_once_have_one_winner() -> None:
    async with running() as rig:
        results = await asyncio.gather(
            rig.claim(URL, "a", "s1"), rig.claim(URL, "b", "s2"), return_exceptions=True
        )
        assert results[0] is None
        assert isinstance(results[1], Error)
        assert results[1].code == "ERR_NGROK_320"


@pytest.mark.parametrize(
    ("url", "account", "code"), [(URL, "b", 320), (Url("tcp", "localhost", 2), "b", 309), (URL, "a", 334)]
)
async def test_refusals_have_their_codes(url: Url, account: str, code: int) -> None:
    async with running() as rig:
        await rig.claim(url, "a", "s1")
        with pytest.raises(Error) as refused:
            await rig.claim(url, account, "s2")
        assert refused.value.code == f"ERR_NGROK_{code}"


async def test_a_lost_name_says_so() -> None:
    async with running() as rig:
        await rig.claim(URL, "a", "s1")
        rig.claims.hold(URL, "s1")
        await rig.claim(URL, "a", "s2")
        rig.claims.hold(URL, "s2")
        with pytest.raises(Error, match="newer session") as refused:
            await rig.claim(URL, "a", "s1", returning=True)
        assert refused.value.code == "ERR_NGROK_334"


async def test_a_name_that_cannot_be_written_is_not_granted_and_not_held() -> None:
    async with running() as rig:
        rig.keeper.broken = True
        with pytest.raises(Error) as refused:
            await rig.claim(URL, "a", "s1")
        assert refused.value.code == "ERR_NGROK_128"
        assert not rig.claims.taken(URL)
        assert rig.freed == [URL]
        rig.keeper.broken = False
        await rig.claim(URL, "b", "s2")


async def test_a_fault_of_the_keeper_costs_one_bind_and_not_the_journal() -> None:
    async with running() as rig:
        reserve = rig.keeper.reserve

        async def faulty(url: str, account_id: str, session_key: str) -> None:
            raise ZeroDivisionError

        rig.keeper.reserve = faulty  # type: ignore[method-assign]
        with pytest.raises(Error) as refused:
            await rig.claim(URL, "a", "s1")
        assert refused.value.code == "ERR_NGROK_128"
        rig.keeper.reserve = reserve  # type: ignore[method-assign]
        await rig.claim(URL, "a", "s1")


async def test_a_hold_that_fails_is_written_later() -> None:
    async with running() as rig:
        await rig.claim(URL, "a", "s1")
        rig.keeper.broken = True
        rig.keeper.told.clear()
        rig.claims.hold(URL, "s1")
        await rig.keeper.told.wait()
        rig.keeper.broken = False
        await rig.claims.flush()
        assert rig.keeper.written[-1] == ("hold", str(URL), 1_000_180.0)


async def test_a_returning_holder_waits_for_no_store() -> None:
    async with running() as rig:
        await rig.claim(URL, "a", "s1")
        rig.claims.hold(URL, "s1")
        await rig.claims.flush()
        rig.keeper.broken = True
        rig.keeper.told.clear()
        await rig.claim(URL, "a", "s1", returning=True)
        await rig.keeper.told.wait()
        assert rig.claims.taken(URL)
        rig.keeper.broken = False
        await rig.claims.flush()
        assert rig.keeper.written[-1] == ("reserve", str(URL), "a", "s1")


async def test_only_the_latest_state_is_written() -> None:
    rig = Rig()  # nobody runs the journal
    claim = asyncio.create_task(rig.claim(URL, "a", "s1"))
    await asyncio.sleep(0)
    rig.claims.hold(URL, "s1")
    rig.claims.release(URL, "s1")
    await rig.claims.flush()
    await claim
    assert rig.keeper.written == [("release", str(URL))]


async def test_a_name_that_changes_its_scheme_leaves_nothing_behind() -> None:
    async with running() as rig:
        await rig.claim(TLS, "a", "s1")
        rig.claims.hold(TLS, "s1")
        await rig.claim(URL, "a", "s1")
        await rig.claims.flush()
        last = {str(what[1]): what[0] for what in rig.keeper.written}
        assert last == {str(TLS): "release", str(URL): "reserve"}


async def test_restored_names_are_kept_and_written_with_their_new_end() -> None:
    rig = Rig()
    rig.now = 50.0
    rig.claims.restore(URL, "a", "s1")
    await rig.claims.flush()
    assert rig.keeper.written == [("hold", str(URL), 1_000_230.0)]
    assert rig.claims.taken(URL)
    assert "kept=1" in repr(rig.claims)


async def test_nobody_claims_before_all_is_restored() -> None:
    claims = LocalClaims(Table("portway.localhost", 180.0), Keeper(), clock=lambda: 0.0)
    claim = asyncio.create_task(claims.claim(URL, "b", "s2", pooled=False, returning=False))
    await asyncio.sleep(0)
    claims.restore(URL, "a", "s1")
    claims.open()
    with pytest.raises(Error) as refused:
        await claim
    assert refused.value.code == "ERR_NGROK_320"


async def test_pool_members_leave_one_by_one() -> None:
    async with running() as rig:
        await rig.claim(URL, "a", "s1", pooled=True)
        rig.claims.pool(URL, "s1", pooled=True)
        await rig.claim(URL, "a", "s2", pooled=True)
        rig.claims.release(URL, "s1")
        assert rig.freed == []
        rig.claims.release(URL, "s2")
        assert rig.freed == [URL]
