"""Reserved domains through their whole life."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.kit.names import DOMAIN, configured, noted, refused, two_accounts
from tests.kit.store import Clock, opened
from tests.kit.x509 import make

from portway.control.service import reservations, reserved_domains, tls_certificates
from portway.control.service.context import Context
from portway.control.service.reserved_domains import Wish, create, qualified
from portway.control.service.settings import Settings
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.control.store.tables import cloud_endpoints
from portway.errors import NotFound
from portway.model.certificate_policy import CertificatePolicy
from portway.model.domain import ReservedDomain
from portway.model.plan import Plan

OWN = f"app.{DOMAIN}"
ACME = CertificatePolicy("letsencrypt", "rsa")
NOTHING = Wish()


async def certificate(context: Context, account_id: str) -> str:
    made = make(names=["www.example.com"])
    return (await tls_certificates.create(context, account_id, made.pem, made.key_pem)).id


async def test_an_own_name(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        domain = await create(context, account.id, f"App.{DOMAIN}.", Wish(description="d", metadata="m"))
        assert domain == ReservedDomain(domain.id, account.id, "d", "m", clock.now, OWN)
        assert await reserved_domains.get(context, account.id, domain.id) == domain
        assert await noted(context) == [(changes.RESERVED_DOMAIN, domain.id)]


async def test_a_foreign_name_begins_with_automatic_certificates(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        domain = await create(context, account.id, "www.example.com", NOTHING)
        assert (domain.authority, domain.key_type, domain.certificate_id) == ("internal", "ecdsa", None)
        wild = await create(context, account.id, "*.example.com", Wish(policy=ACME, resolves_to=["local"]))
        assert (wild.authority, wild.key_type, wild.resolves_to) == ("letsencrypt", "rsa", ("local",))


def test_the_older_field_may_be_a_bare_label() -> None:
    settings = Settings(domain=DOMAIN)
    assert qualified("a.example.com", "", settings) == "a.example.com"
    assert qualified("", "a.example.com", settings) == "a.example.com"
    assert qualified("", "app", settings) == OWN
    assert qualified("", "", settings) == ""
    with refused(449):
        qualified("a.example.com", "app", settings)


@pytest.mark.row("C15")
async def test_what_may_not_be_said(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        mine, theirs = await certificate(context, account.id), await certificate(context, other.id)
        before = await noted(context)
        for name, wish, code in (
            ("foo", NOTHING, 448),
            (DOMAIN, NOTHING, 404),
            (OWN, Wish(description="x" * 256), 420),
            (OWN, Wish(metadata="x" * 4097), 421),
            (OWN, Wish(region="eu"), 400),
            (OWN, Wish(resolves_to=["local", "eu"]), 400),
            (OWN, Wish(resolves_to=["local", "local"]), 456),
            (OWN, Wish(policy=CertificatePolicy()), 439),
            (OWN, Wish(certificate_id=mine), 440),
            ("www.example.com", Wish(certificate_id=mine, policy=ACME), 434),
            ("www.example.com", Wish(certificate_id=theirs), 1965),
            ("www.example.com", Wish(certificate_id="cert_x"), 1965),
        ):
            with refused(code):
                await create(context, account.id, name, wish)
        assert await noted(context) == before, "nothing was done"


async def test_names_of_others_and_what_is_above_and_below_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        for name in (OWN, "b.example.com", "*.wild.example.net", "x.y.example.org"):
            await create(context, other.id, name, NOTHING)
        for name, code in {
            OWN: 414, f"a.b.{OWN}": 414, f"*.{OWN}": 417,
            "b.example.com": 414, "a.b.example.com": 414, "example.com": 414, "*.example.com": 417,
            "*.b.example.com": 417,
            "a.wild.example.net": 417, "*.wild.example.net": 414, "wild.example.net": 417, "example.net": 417,
            "*.a.wild.example.net": 417, "*.example.net": 417,
            "example.org": 414, "y.example.org": 414, "*.y.example.org": 417,
        }.items():  # fmt: skip
            with refused(code):
                await create(context, account.id, name, NOTHING)
        for name in (
            "c.example.com",
            f"app2.{DOMAIN}",
            f"myapp.{DOMAIN}",
            "xb.example.com",
            "z.y.example.org",
        ):
            await create(context, account.id, name, NOTHING)
        with refused(413):
            await create(context, other.id, OWN, NOTHING)
        for name in (f"a.b.{OWN}", f"*.{OWN}", "wild.example.net"):
            await create(context, other.id, name, NOTHING)


async def test_a_name_at_which_somebody_else_is_online(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        for url in (f"https://a.{OWN}:7443", "http://www.example.com", "tls://x.example.net"):
            await reservations.reserve(context, url, other.id, "s")
        await reservations.reserve(context, f"https://mine.{DOMAIN}", account.id, "s")
        for name in (OWN, f"a.{OWN}", f"*.{OWN}", "www.example.com", "example.com", "x.example.net"):
            with refused(430):
                await create(context, account.id, name, NOTHING)
        for name in (f"mine.{DOMAIN}", "*.www.example.com", "*.x.example.net", "w.example.com"):
            await create(context, account.id, name, NOTHING)
        await reservations.hold(context, "http://www.example.com", clock.now + 10)
        with refused(430):
            await create(context, account.id, "www.example.com", NOTHING)
        clock.now += 11
        await create(context, account.id, "www.example.com", NOTHING)


@pytest.mark.row("C15")
async def test_a_domain_is_changed(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        mine = await certificate(context, account.id)
        wish = Wish(description="d", metadata="m", resolves_to=["local"])
        domain = await create(context, account.id, "www.example.com", wish)

        async def update(wish: Wish) -> ReservedDomain:
            changed = await reserved_domains.update(context, account.id, domain.id, wish)
            assert await reserved_domains.get(context, account.id, domain.id) == changed
            return changed

        changed = await update(Wish(description="", resolves_to=[]))
        assert (changed.description, changed.metadata) == ("", "m")
        assert changed.resolves_to == ("local",), "an empty list leaves it unchanged"
        assert (await update(Wish(resolves_to=["global"]))).resolves_to == ()
        changed = await update(Wish(certificate_id=mine))
        assert (changed.certificate_id, changed.authority, changed.key_type) == (mine, None, None)
        changed = await update(Wish(metadata="n"))
        assert (changed.certificate_id, changed.metadata) == (mine, "n")
        changed = await update(Wish(policy=ACME))
        assert (changed.certificate_id, changed.authority, changed.key_type) == (None, "letsencrypt", "rsa")
        for code, wrong in {
            422: NOTHING, 434: Wish(certificate_id=mine, policy=ACME), 420: Wish(description="x" * 256),
            421: Wish(metadata="x" * 4097), 400: Wish(resolves_to=["eu"]),
            1965: Wish(certificate_id="cert_x"),
        }.items():  # fmt: skip
            with refused(code):
                await update(wrong)
        assert await reserved_domains.get(context, account.id, domain.id) == changed


@pytest.mark.row("C15")
async def test_certificate_and_policy_are_taken_away(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        mine = await certificate(context, account.id)
        domain = await create(context, account.id, "www.example.com", NOTHING)
        with refused(436):
            await reserved_domains.detach_certificate(context, account.id, domain.id)
        bare = await reserved_domains.end_policy(context, account.id, domain.id)
        assert (bare.certificate_id, bare.authority, bare.key_type) == (None, None, None)
        for nothing_there in (reserved_domains.end_policy, reserved_domains.detach_certificate):
            with pytest.raises(NotFound):
                await nothing_there(context, account.id, domain.id)
        await reserved_domains.update(context, account.id, domain.id, Wish(certificate_id=mine))
        with pytest.raises(NotFound):
            await reserved_domains.end_policy(context, account.id, domain.id)
        detached = await reserved_domains.detach_certificate(context, account.id, domain.id)
        assert detached == bare
        assert await reserved_domains.get(context, account.id, domain.id) == bare


@pytest.mark.row("C15")
async def test_a_domain_is_given_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        domain = await create(context, account.id, OWN, NOTHING)
        async with context.database.write() as connection:
            await connection.execute(
                insert(cloud_endpoints).values(
                    id="ep_1", account_id=account.id, description="", metadata="", created_at=1.0,
                    url=f"https://{OWN}", binding="public", pooling_enabled=False, traffic_policy="",
                    updated_at=1.0, domain_id=domain.id,
                )
            )  # fmt: skip
        with refused(446):
            await reserved_domains.delete(context, account.id, domain.id)
        async with context.database.write() as connection:
            await connection.execute(cloud_endpoints.delete())
        await reserved_domains.delete(context, account.id, domain.id)
        assert (await noted(context))[-1] == (changes.RESERVED_DOMAIN, domain.id)
        with pytest.raises(NotFound):
            await reserved_domains.get(context, account.id, domain.id)
        assert (await create(context, other.id, OWN, NOTHING)).account_id == other.id


async def test_a_domain_of_somebody_else_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        domain = await create(context, account.id, "www.example.com", NOTHING)
        told = set[str]()
        for owner, domain_id in ((other.id, domain.id), (account.id, "rd_x"), ("ac_x", domain.id)):
            for attempt in (
                reserved_domains.get(context, owner, domain_id),
                reserved_domains.update(context, owner, domain_id, Wish(description="mine")),
                reserved_domains.delete(context, owner, domain_id),
                reserved_domains.detach_certificate(context, owner, domain_id),
                reserved_domains.end_policy(context, owner, domain_id),
            ):
                with pytest.raises(NotFound) as caught:
                    await attempt
                told.add(str(caught.value))
        assert len(told) == 1
        assert domain not in await reserved_domains.listed(context, other.id, Page())


@pytest.mark.row("C15")
async def test_every_account_has_one_dev_domain(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        (dev,) = await reserved_domains.listed(context, account.id, Page())
        assert dev.is_dev
        assert dev.domain.endswith(f".{DOMAIN}")
        assert await noted(context) == [(changes.RESERVED_DOMAIN, dev.id)]
        assert await reserved_domains.listed(context, account.id, Page()) == [dev]
        with refused(458):
            await reserved_domains.delete(context, account.id, dev.id)
        with refused(414):
            await create(context, other.id, f"below.{dev.domain}", NOTHING)
        await create(context, account.id, f"below.{dev.domain}", NOTHING)
        changed = await reserved_domains.update(context, account.id, dev.id, Wish(description="mine"))
        assert changed.is_dev
        assert (await reserved_domains.listed(context, other.id, Page()))[0].domain != dev.domain


async def test_a_dev_domain_is_made_once_whoever_asks_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        pages = await asyncio.gather(
            *(reserved_domains.listed(context, account.id, Page()) for _ in range(5))
        )
        assert len({domain.id for page in pages for domain in page}) == 1


async def test_a_service_that_moved_gives_a_dev_domain_at_its_new_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        before = configured(context, tmp_path)
        after = configured(context, tmp_path, domain="moved.example")
        account, _ = await two_accounts(context)
        (old,) = await reserved_domains.listed(before, account.id, Page())
        new = next(each for each in await reserved_domains.listed(after, account.id, Page()) if each != old)
        assert new.is_dev
        assert new.domain.endswith(".moved.example")
        await reserved_domains.delete(after, account.id, old.id)
        assert await reserved_domains.listed(after, account.id, Page()) == [new]


async def test_a_later_page_makes_no_dev_domain(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        assert await reserved_domains.listed(context, account.id, Page(before_id="rd_0")) == []
        assert await noted(context) == []


@pytest.mark.parametrize(("plan", "name", "code"), [
    (Plan(domains=0), OWN, 401), (Plan(domains=1), OWN, 415),
    (Plan(custom_domains=False), "a.example.com", 412),
    (Plan(wildcard_domains=0), f"*.{OWN}", 419), (Plan(wildcard_domains=1), f"*.{OWN}", 418),
])  # fmt: skip
async def test_plans_bound_domains(tmp_path: Path, plan: Plan, name: str, code: int) -> None:
    async with opened(tmp_path) as context:
        account, _ = await two_accounts(context)
        free = configured(context, tmp_path)
        await reserved_domains.listed(free, account.id, Page())  # the dev domain does not count
        await create(free, account.id, f"*.first.{DOMAIN}", NOTHING)
        with refused(code):
            await create(configured(context, tmp_path, plans={"free": plan}), account.id, name, NOTHING)
        higher = {"free": plan, "big": Plan()}
        if code in {415, 418}:
            with refused({415: 431, 418: 433}[code]):
                await create(configured(context, tmp_path, plans=higher), account.id, name, NOTHING)


async def test_a_plan_without_automatic_certificates(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path, plans={"free": Plan(managed_certificates=False)})
        account, _ = await two_accounts(context)
        assert (await create(context, account.id, "a.example.com", NOTHING)).authority is None
        with refused(1905):
            await create(context, account.id, "b.example.com", Wish(policy=ACME))
