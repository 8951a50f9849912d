"""The edge's view of the store: fed in any order, asked by address, name and identifier."""

import asyncio

import pytest

from portway.edge.view import View
from portway.model.domain import ServiceNames
from portway.model.url import Url
from portway.model.view import (
    AddressItem,
    AuthorityItem,
    CertificateItem,
    CredentialItem,
    DomainItem,
    ViewItem,
)

NAMES = ServiceNames("portway.localhost", "localhost")

ADDRESS = AddressItem("ra_1", "ac_1", "localhost", 20_001)
DOMAIN = DomainItem("rd_1", "ac_1", "example.com")
WILD = DomainItem("rd_2", "ac_1", "*.wild.test", "cert_1")
OWN = DomainItem("rd_3", "ac_2", "shop.portway.localhost")
CERTIFICATE = CertificateItem("cert_1", "ac_1", "PEM")
CREDENTIAL = CredentialItem("cr_1", "ac_1", ("bind:a.test",))
ALL: list[ViewItem] = [ADDRESS, DOMAIN, WILD, OWN, CERTIFICATE, CREDENTIAL]


def viewed(*items: ViewItem) -> View:
    """Return a view that knows these rows."""
    view = View(NAMES)
    view.begin()
    view.apply(items)
    view.finish()
    return view


class Told:
    """What a listener heard."""

    def __init__(self, view: View) -> None:
        self.all: list[tuple[ViewItem, ViewItem | None]] = []
        view.on_change(lambda item, before: self.all.append((item, before)))


def test_addresses_are_found_by_host_and_port() -> None:
    view = viewed(*ALL)
    assert view.address("localhost", 20_001) == ADDRESS
    assert view.address("elsewhere", 20_001) is None
    assert view.is_reserved(20_001)
    assert not view.is_reserved(20_002)
    view.apply([AddressItem("ra_1", "ac_1", gone=True)])
    assert view.address("localhost", 20_001) is None
    assert not view.is_reserved(20_001)
    assert view.find("ra_1") is None


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("example.com", DOMAIN),
        ("a.example.com", DOMAIN),
        ("a.b.example.com", DOMAIN),
        ("*.example.com", DOMAIN),
        ("notexample.com", None),
        ("wild.test", None),
        ("*.wild.test", WILD),
        ("a.b.wild.test", WILD),
        ("shop.portway.localhost", OWN),
        ("deep.shop.portway.localhost", OWN),
        ("other.portway.localhost", None),
        ("com", None),
    ],
)
def test_a_host_belongs_to_the_nearest_reserved_domain(host: str, owner: DomainItem | None) -> None:
    assert viewed(*ALL).owner(host) == owner
    assert View(NAMES).owner(host) is None


def test_exact_names_are_exact() -> None:
    view = viewed(*ALL)
    assert view.domain("*.wild.test") == WILD
    assert view.domain("a.wild.test") is None


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("a.wild.test", CERTIFICATE),
        ("a.b.wild.test", CERTIFICATE),
        ("wild.test", None),
        ("example.com", None),
    ],
)
def test_certificates_are_those_of_the_matching_domain(host: str, found: CertificateItem | None) -> None:
    assert viewed(*ALL).certificate(host) == found
    assert View(NAMES).certificate(host) is None


def test_a_domains_own_certificate_comes_before_that_of_a_wildcard_above() -> None:
    exact = DomainItem("rd_4", "ac_1", "one.wild.test", "cert_2")
    own = CertificateItem("cert_2", "ac_1", "OTHER")
    view = viewed(*ALL, exact, own)
    assert view.certificate("one.wild.test") == own
    view.apply([CertificateItem("cert_2", "ac_1", gone=True)])
    assert view.certificate("one.wild.test") is None


def test_rules_are_read_once_and_anew_when_they_change() -> None:
    view = viewed(*ALL)
    acl = view.acl("cr_1")
    assert acl is not None
    assert acl is view.acl("cr_1")
    assert acl.allows_url(Url("https", "a.test", 443))
    assert not acl.allows_url(Url("https", "b.test", 443))
    view.apply([CredentialItem("cr_1", "ac_1", ())])
    after = view.acl("cr_1")
    assert after is not None
    assert after.everything
    assert view.acl("cr_2") is None
    assert view.acl("ra_1") is None


def test_rules_that_cannot_be_read_allow_nothing() -> None:
    view = viewed(CredentialItem("cr_1", "ac_1", ("nonsense",)))
    acl = view.acl("cr_1")
    assert acl is not None
    assert not acl.allows_url(Url("https", "a.test", 443))
    assert not acl.allows_random("tcp", "")


def test_only_what_changes_is_told() -> None:
    view = viewed(DOMAIN, ADDRESS)
    told = Told(view)
    changed = DomainItem("rd_1", "ac_1", "example.com", "cert_1")
    gone = AddressItem("ra_1", "ac_1", gone=True)
    view.apply([DOMAIN, changed, gone, gone, CERTIFICATE])
    assert told.all == [(changed, DOMAIN), (gone, ADDRESS), (gone, None), (CERTIFICATE, None)]


def test_what_was_learned_elsewhere_counts_until_the_feed_knows_better() -> None:
    view = viewed()
    view.learn(CREDENTIAL)
    view.learn(CredentialItem("cr_1", "ac_1", ()))
    assert view.find("cr_1") == CREDENTIAL
    told = Told(view)
    view.begin()
    view.learn(DOMAIN)  # made after the page of domains was read
    view.finish()
    assert view.all() == [DOMAIN]
    assert [(item.id, item.gone) for item, _ in told.all] == [("rd_1", False), ("cr_1", True)]


def test_what_a_snapshot_does_not_name_is_gone() -> None:
    view = viewed(*ALL)
    told = Told(view)
    view.begin()
    view.apply([DOMAIN, CERTIFICATE])
    assert told.all == []
    assert view.find("ra_1") == ADDRESS  # it serves on meanwhile
    view.apply([OWN])  # a change between two pages
    fresh = AuthorityItem("ca_1", "ac_1", "PEM")
    view.apply([fresh, WILD])
    view.finish()
    assert {item.id for item in view.all()} == {"rd_1", "cert_1", "rd_3", "ca_1", "rd_2"}
    assert {item.id for item, _ in told.all if item.gone} == {"ra_1", "cr_1"}
    assert (fresh, None) in told.all
    assert not view.is_reserved(20_001)


def test_a_snapshot_that_was_broken_off_takes_nothing_away() -> None:
    view = viewed(*ALL)
    view.begin()
    view.apply([DOMAIN])
    view.begin()
    view.apply(ALL)
    view.finish()
    assert len(view.all()) == len(ALL)


def test_a_name_may_pass_from_one_row_to_another_in_one_batch() -> None:
    view = viewed(DOMAIN)
    heir = DomainItem("rd_9", "ac_9", "example.com")
    view.apply([heir, DomainItem("rd_1", "ac_1", gone=True)])
    assert view.domain("example.com") == heir


async def test_it_is_known_after_the_first_snapshot() -> None:
    view = View(NAMES)
    waiting = asyncio.ensure_future(view.known())
    view.begin()
    view.apply(ALL)
    assert not view.is_known
    view.finish()
    await waiting
    assert view.is_known
    assert repr(view) == "<View known rows=6>"
