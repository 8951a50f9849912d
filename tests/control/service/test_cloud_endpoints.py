"""Cloud endpoints through their whole life, and all who may be at a URL before them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kit.live import live_endpoint, tell
from tests.kit.names import DOMAIN, configured, noted, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import cloud_endpoints, reserved_addrs, reserved_domains
from portway.control.service.cloud_endpoints import Wish
from portway.control.service.context import Context
from portway.control.store import changes
from portway.errors import NotFound
from portway.model.cloud_endpoint import CloudEndpoint
from portway.model.plan import Plan

POLICY = "on_http_request: [{actions: [{type: deny}]}]"
OTHER = "on_http_request: [{actions: [{type: close-connection}]}]"
OPEN = "on_http_request: [{expressions: ['false'], actions: [{type: deny}]}]"
RAW = "on_tcp_connect: [{actions: [{type: deny}]}]"
APP = f"app.{DOMAIN}"
URL = f"https://{APP}"
WRITTEN = f"{URL}:7443"


@dataclass
class Stage:
    """Two accounts; ann has reserved app.DOMAIN."""

    context: Context
    clock: Clock
    ann: str
    ben: str
    domain: str

    async def make(self, url: str = URL, account: str = "", **wish: object) -> CloudEndpoint:
        """Make a cloud endpoint of ann's."""
        made = Wish(url=url, traffic_policy=POLICY if str(url).startswith("http") else RAW)
        return await cloud_endpoints.create(self.context, account or self.ann, replace(made, **wish))

    async def change(self, endpoint: CloudEndpoint, **wish: object) -> CloudEndpoint:
        """Change it."""
        return await cloud_endpoints.update(self.context, self.ann, endpoint.id, replace(Wish(), **wish))


@asynccontextmanager
async def stage(folder: Path) -> AsyncGenerator[Stage]:
    clock = Clock()
    async with opened(folder, clock) as plain:
        context = configured(plain, folder)
        ann, ben = await two_accounts(context)
        domain = await reserved_domains.create(context, ann.id, APP, reserved_domains.Wish())
        yield Stage(context, clock, ann.id, ben.id, domain.id)


@pytest.mark.row("C14")
async def test_from_beginning_to_end(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        made = await it.make(description="d", metadata="m", type="cloud", bindings=["public"])
        assert made == CloudEndpoint(
            id=made.id,
            account_id=it.ann,
            url=WRITTEN,
            binding="public",
            pooling_enabled=False,
            traffic_policy=POLICY,
            description="d",
            metadata="m",
            created_at=it.clock.now,
            updated_at=it.clock.now,
            domain_id=it.domain,
        )
        it.clock.now += 5
        changed = await it.change(made, metadata="", traffic_policy=OTHER, pooling_enabled=True)
        assert changed == replace(
            made, metadata="", traffic_policy=OTHER, pooling_enabled=True, updated_at=it.clock.now
        )
        moved = await it.change(made, url=f"https://deep.{APP}")
        assert (moved.url, moved.metadata, moved.pooling_enabled) == (f"https://deep.{APP}:7443", "", True)
        await cloud_endpoints.delete(it.context, it.ann, made.id)
        for gone in (
            cloud_endpoints.delete(it.context, it.ann, made.id),
            it.change(made, metadata="x"),
        ):
            with pytest.raises(NotFound):
                await gone
        found = await noted(it.context)
        assert found.count((changes.CLOUD_ENDPOINT, made.id)) == 4


@pytest.mark.row("C14")
async def test_what_is_missing_or_wrong_has_its_code(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        for wish, code in (
            ({"type": "agent"}, 248), ({"type": "edge"}, 248), ({"url": ""}, 18015), ({"url": None}, 18015),
            ({"url": APP}, 18022), ({"url": "tcp://x.example"}, 18003), ({"url": f"{URL}:1"}, 18023),
            ({"url": f"{URL}/x"}, 18001), ({"traffic_policy": None}, 18011), ({"traffic_policy": " "}, 18011),
            ({"traffic_policy": "[]"}, 2236), ({"traffic_policy": "a: ["}, 2236),
            ({"traffic_policy": "x" * 300_000}, 18002), ({"traffic_policy": "word"}, 2236),
            ({"traffic_policy": "{}"}, 2206), ({"traffic_policy": POLICY.replace("deny", "log")}, 2234),
            ({"traffic_policy": OPEN}, 2235), ({"traffic_policy": POLICY.replace("deny", "saml")}, 2201),
            ({"description": "x" * 256}, 18012), ({"metadata": "x" * 4097}, 18013),
            ({"bindings": ["odd"]}, 15005), ({"bindings": ["public"] * 2}, 15006),
            ({"bindings": ["kubernetes"]}, 15010), ({"bindings": ["internal"]}, 9029),
        ):  # fmt: skip
            with refused(code):
                await it.make(**wish)  # pyright: ignore[reportArgumentType] -- the table's values fit
        made = await it.make()
        for wish, code in (
            ({}, 18004), ({"url": f"http://{APP}"}, 18005), ({"url": f"tls://{APP}"}, 18005),
            ({"traffic_policy": ""}, 18011), ({"traffic_policy": "-"}, 2236),
            ({"description": "x" * 256}, 18012), ({"metadata": "x" * 4097}, 18013),
            ({"bindings": ["internal"]}, 9029), ({"url": "https://else.example"}, 18006),
        ):  # fmt: skip
            with refused(code):
                await it.change(made, **wish)
        assert [each for each in await noted(it.context) if each[1] == made.id] == [
            (changes.CLOUD_ENDPOINT, made.id)
        ]


async def test_a_public_url_needs_a_name_or_an_address_of_the_account(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        addr = await reserved_addrs.create(it.context, it.ann)
        wild = await reserved_domains.create(
            it.context, it.ann, "*.wild.example.com", reserved_domains.Wish()
        )
        for url, domain, address in (
            (f"http://{APP}", it.domain, None),
            (f"tls://a.b.{APP}", it.domain, None),
            ("https://x.y.wild.example.com", wild.id, None),
            ("https://*.wild.example.com", wild.id, None),
            (f"tcp://{addr.addr}", None, addr.id),
        ):
            made = await it.make(url)
            assert (made.domain_id, made.tcp_addr_id) == (domain, address), url
        for url in (
            "https://else.example.com",
            "https://wild.example.com",
            f"https://*.{APP}",
            f"https://{DOMAIN}",
            f"https://x.{DOMAIN}",
            f"tcp://{addr.host}:{addr.port + 1}",
            f"tcp://{APP}:{addr.port}",
        ):
            with refused(18006):
                await it.make(url)
        for url in (f"https://b.{APP}", f"tcp://{addr.addr}"):
            with refused(18006):
                await it.make(url, it.ben)
        with refused(446):
            await reserved_domains.delete(it.context, it.ann, it.domain)
        with refused(251):
            await reserved_addrs.delete(it.context, it.ann, addr.id)


@pytest.mark.row("C14")
async def test_internal_names_need_no_reservation_and_are_each_accounts_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        ours = await it.make("https://api.internal")
        theirs = await it.make("https://api.internal", it.ben, bindings=["internal"])
        assert (ours.binding, theirs.binding) == ("internal", "internal")
        assert (ours.domain_id, ours.tcp_addr_id) == (None, None)
        with refused(18009):
            await it.make("https://api.internal")
        moved = await it.change(ours, url="https://api.internal:8443")
        assert moved.url == "https://api.internal:8443"


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [(False, False, 18009), (True, False, 18017), (False, True, 18016), (True, True, 0)],
)
@pytest.mark.row("C14")
async def test_two_cloud_endpoints_share_a_url_if_both_allow_it(
    tmp_path: Path, first: bool, second: bool, code: int
) -> None:
    async with stage(tmp_path) as it:
        await it.make(pooling_enabled=first)
        if code:
            with refused(code):
                await it.make(pooling_enabled=second)
        else:
            assert (await it.make(pooling_enabled=second)).url == WRITTEN


@pytest.mark.parametrize(
    ("agent", "cloud", "code"),
    [(False, False, 18017), (True, False, 18017), (False, True, 18016), (True, True, 0)],
)
@pytest.mark.row("C14")
async def test_an_agent_that_was_first_shares_a_url_if_both_allow_it(
    tmp_path: Path, agent: bool, cloud: bool, code: int
) -> None:
    async with stage(tmp_path) as it:
        tell(it.context, live_endpoint(it.ann, 1, url=WRITTEN, pooling_enabled=agent))
        if code:
            with refused(code):
                await it.make(pooling_enabled=cloud)
        else:
            assert (await it.make(pooling_enabled=cloud)).url == WRITTEN


async def test_a_name_is_https_or_tls_and_never_both(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        await it.make(pooling_enabled=True)
        with refused(18016):
            await it.make(f"tls://{APP}", pooling_enabled=True)
        await it.make(f"http://{APP}")
        tell(it.context, live_endpoint(it.ann, 1, url=f"tls://b.{APP}:7443", pooling_enabled=True))
        with refused(18017):
            await it.make(f"https://b.{APP}")


@pytest.mark.row("C14")
async def test_conflicts_are_looked_for_again_when_an_endpoint_moves(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        await it.make()
        other = await it.make(f"https://b.{APP}")
        with refused(18009):
            await it.change(other, url=URL)
        with refused(18016):
            await it.change(other, url=URL, pooling_enabled=True)
        assert (await it.change(other, pooling_enabled=True)).pooling_enabled
        assert (await it.change(other, url=f"https://b.{APP}")).url == other.url


async def test_the_endpoint_of_an_agent_is_its_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as it:
        live = live_endpoint(it.ann, 1)
        tell(it.context, live)
        with refused(248):
            await cloud_endpoints.update(it.context, it.ann, live.id, Wish(metadata="x"))
        with refused(248):
            await cloud_endpoints.delete(it.context, it.ann, live.id)
        with pytest.raises(NotFound):
            await cloud_endpoints.delete(it.context, it.ben, live.id)


async def test_plans_bound_cloud_endpoints_and_their_pools(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        plans = {"free": Plan(cloud_endpoints=3, pool_size=2)}
        made.context = replace(made.context, settings=replace(made.context.settings, plans=plans))
        for _ in range(2):
            await made.make("https://a.internal", pooling_enabled=True)
        with refused(18020):
            await made.make("https://a.internal", pooling_enabled=True)
        third = await made.make("https://b.internal", pooling_enabled=True)
        with refused(18020):
            await made.change(third, url="https://a.internal")
        with refused(18010):
            await made.make("https://c.internal")
