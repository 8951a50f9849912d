"""Who may bind what: reservations of one's own, of another, of nobody; and the rules of a credential."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs
from tests.kit.agent import code as refusal
from tests.kit.service import running_worker, settings

from portway.edge.permits import FREE, Owner, Permit, Permits
from portway.edge.ports import EdgeConfig
from portway.edge.view import View
from portway.errors import Error
from portway.model.domain import ServiceNames
from portway.model.plan import Plan
from portway.model.url import Url, parse_endpoint_url
from portway.model.view import AddressItem, CredentialItem, DomainItem, ViewItem

CONFIG = EdgeConfig()
DOMAIN = CONFIG.domain
ME = Owner("ac_me", "client", "ts_1", "cr_me")
ROWS: list[ViewItem] = [
    CredentialItem("cr_me", "ac_me"),
    AddressItem("ra_1", "ac_me", "localhost", 20_001),
    AddressItem("ra_2", "ac_other", "localhost", 20_002),
    DomainItem("rd_1", "ac_me", "mine.test"),
    DomainItem("rd_2", "ac_me", "*.wild.test"),
    DomainItem("rd_3", "ac_other", "theirs.test"),
    DomainItem("rd_4", "ac_other", f"shop.{DOMAIN}"),
    DomainItem("rd_5", "ac_me", f"web.{DOMAIN}"),
    DomainItem("rd_6", "ac_other", "*.others.test"),
]


def permits(*more: ViewItem, config: EdgeConfig = CONFIG) -> Permits:
    view = View(ServiceNames(config.domain, config.tcp_host))
    view.begin()
    view.apply([*ROWS, *more])
    view.finish()
    return Permits(view, config)


def code(judge: Callable[[], object]) -> str:
    with pytest.raises(Error) as refused:
        judge()
    return refused.value.code.removeprefix("ERR_NGROK_")


def url(text: str) -> Url:
    return parse_endpoint_url(text)


@pytest.mark.parametrize(
    ("asked", "permit"),
    [
        ("tcp://localhost:20001", Permit(tcp_addr_id="ra_1")),
        ("https://mine.test", Permit("rd_1")),
        ("http://a.b.mine.test", Permit("rd_1")),
        ("tls://mine.test", Permit("rd_1")),
        ("https://a.wild.test", Permit("rd_2")),
        ("https://a.b.wild.test", Permit("rd_2")),
        ("https://*.wild.test", Permit("rd_2")),
        (f"https://web.{DOMAIN}", Permit("rd_5")),
        (f"https://free.{DOMAIN}", FREE),
    ],
)
def test_what_is_allowed_and_on_which_reservation_it_stands(asked: str, permit: Permit) -> None:
    assert permits().named(url(asked), ME) == permit


@pytest.mark.row("T-030", "T-076")
@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ("tcp://localhost:20003", "307"),
        ("tcp://elsewhere.test:20001", "307"),
        ("tcp://localhost:20002", "309"),
        ("https://nobodys.test", "319"),
        ("https://wild.test", "319"),  # a wildcard is not its apex
        ("https://theirs.test", "320"),
        ("https://a.b.theirs.test", "320"),
        ("https://a.others.test", "320"),
        ("https://*.theirs.test", "320"),
        ("https://*.others.test", "320"),
        (f"https://shop.{DOMAIN}", "320"),
        (f"https://deep.shop.{DOMAIN}", "320"),
        ("https://*.nobodys.test", "318"),
        (f"https://*.free.{DOMAIN}", "318"),
        ("https://*.mine.test", "321"),
        ("https://*.a.wild.test", "321"),
    ],
)
def test_what_is_refused(asked: str, refused: str) -> None:
    assert code(lambda: permits().named(url(asked), ME)) == refused


def test_the_line_for_names_that_nobody_has_reserved_can_be_moved() -> None:
    own, foreign = url(f"https://free.{DOMAIN}"), url("https://nobodys.test")
    everything = permits(config=structs.replace(CONFIG, unreserved_domains="any"))
    assert everything.named(own, ME) == everything.named(foreign, ME) == FREE
    assert code(lambda: everything.named(url("https://*.nobodys.test"), ME)) == "318"
    nothing = permits(config=structs.replace(CONFIG, unreserved_domains="none"))
    assert code(lambda: nothing.named(own, ME)) == "319"
    assert nothing.named(own, ME, drawn=True) == FREE
    assert nothing.named(url(f"https://web.{DOMAIN}"), ME) == Permit("rd_5")


def test_what_was_drawn_stays_good_until_somebody_reserves_it() -> None:
    assert permits().named(url("tcp://localhost:20003"), ME, drawn=True) == FREE
    assert permits().named(url("tcp://before.test:20003"), ME, drawn=True) == FREE
    assert code(lambda: permits().named(url("tcp://localhost:20002"), ME, drawn=True)) == "309"
    assert code(lambda: permits().named(url("tcp://before.test:20002"), ME, drawn=True)) == "307"
    taken = f"https://shop.{DOMAIN}"
    assert code(lambda: permits().named(url(taken), ME, drawn=True)) == "320"


RULES = [
    # rule, what it allows, what it refuses with which code
    ("*", f"https://any.{DOMAIN}", "", ""),
    ("bind:*", "tcp://localhost:20001", "", ""),
    (f"bind:foo.{DOMAIN}", f"http://FOO.{DOMAIN}", f"https://bar.{DOMAIN}", "316"),
    (f"bind:foo.{DOMAIN}", f"tls://foo.{DOMAIN}", f"https://a.foo.{DOMAIN}", "316"),
    ("bind:*.mine.test", "https://a.b.mine.test", "https://mine.test", "316"),
    ("bind:*.wild.test", "https://*.wild.test", "https://mine.test", "316"),
    ("bind:localhost:20001", "tcp://localhost:20001", "tcp://localhost:20002", "308"),
    ("bind:localhost:20001", "tcp://localhost:20001", "https://mine.test", "316"),
    ("bind:mine.test", "https://mine.test", "tcp://localhost:20001", "308"),
    ("bind:app=*", "", "tcp://localhost:20001", "308"),
]


@pytest.mark.row("T-030", "K-23")
@pytest.mark.parametrize(("rule", "allowed", "refused", "refusal"), RULES)
def test_each_form_of_rule_allows_and_refuses(rule: str, allowed: str, refused: str, refusal: str) -> None:
    judged = permits(CredentialItem("cr_me", "ac_me", (rule,)))
    if allowed:
        judged.named(url(allowed), ME)
    if refused:
        assert code(lambda: judged.named(url(refused), ME)) == refusal


@pytest.mark.row("K-23")
@pytest.mark.parametrize(
    ("rules", "scheme", "refusal"),
    [
        ((), "tcp", ""),
        ((), "https", ""),
        (("bind:*",), "tcp", ""),
        ((f"bind:*.{DOMAIN}",), "https", ""),
        ((f"bind:*.{DOMAIN}",), "tcp", "356"),
        (("bind:localhost:20001",), "tcp", "356"),
        (("bind:mine.test",), "http", "316"),
        (("bind:*.sub.test",), "tls", "316"),
    ],
)
def test_random_addresses_need_a_rule_that_allows_any_of_them(
    rules: tuple[str, ...], scheme: str, refusal: str
) -> None:
    judged = permits(CredentialItem("cr_me", "ac_me", rules))
    if refusal:
        assert code(lambda: judged.random(scheme, ME)) == refusal
    else:
        judged.random(scheme, ME)


def test_rules_are_those_of_now_and_before_they_are_known_those_of_the_grant() -> None:
    stranger = Owner("ac_me", "client", "ts_2", "cr_unknown", ("bind:mine.test",))
    assert permits().named(url("https://mine.test"), stranger)
    assert code(lambda: permits().named(url("https://a.wild.test"), stranger)) == "316"
    since = permits(CredentialItem("cr_unknown", "ac_me", ("bind:*.wild.test",)))
    assert since.named(url("https://a.wild.test"), stranger)
    assert code(lambda: since.named(url("https://mine.test"), stranger)) == "316"


@pytest.mark.row("T-011", "T-096")
def test_a_plan_may_have_no_tcp_and_no_tls_endpoints() -> None:
    config = structs.replace(CONFIG, plans={"free": Plan(tcp_endpoints=False, tls_endpoints=False)})
    judge, free, paid = permits(config=config), replace(ME, plan="free"), replace(ME, plan="team")
    assert code(lambda: judge.random("tcp", free)) == "8013"
    assert code(lambda: judge.named(url("tcp://localhost:20001"), free)) == "310"
    assert code(lambda: judge.random("tls", free)) == "312"
    assert code(lambda: judge.named(url("tls://mine.test"), free)) == "312"
    for scheme in ("http", "https"):
        judge.random(scheme, free)
    for scheme in ("http", "https", "tcp", "tls"):
        judge.random(scheme, paid)
    judge.named(url("tcp://localhost:20001"), paid)


@pytest.mark.row("T-011")
async def test_an_agent_of_such_a_plan_is_refused_its_tcp_endpoint() -> None:
    config = settings(plans={"free": Plan(tcp_endpoints=False)})
    async with running_worker(config=config) as service, service.connected() as agent:
        assert refusal(await agent.bind("tcp")) == "8013"
        assert (await agent.bind("https"))["Error"] == ""
