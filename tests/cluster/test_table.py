"""The claim table, case by case, with the clock in the test's hand."""

import pytest

from portway.cluster.table import Refusal, Table, key_of
from portway.model.url import Url

DOMAIN = "portway.localhost"
HTTPS = Url("https", f"a.{DOMAIN}", 443)
TLS = Url("tls", f"a.{DOMAIN}", 443)
HTTP = Url("http", f"a.{DOMAIN}", 80)
TCP = Url("tcp", "localhost", 20_001)


def table() -> Table:
    return Table(DOMAIN, 180.0)


def claim(
    names: Table, url: Url, account: str, holder: str, *, pooled: bool = False, returning: bool = False
) -> Refusal | None:
    return names.claim(url, account, holder, pooled=pooled, returning=returning)


def test_https_and_tls_are_one_name_and_http_another() -> None:
    assert key_of(HTTPS) == key_of(TLS) != key_of(HTTP)
    assert key_of(TCP) == ("tcp", 20_001)


def test_first_come() -> None:
    names = table()
    assert claim(names, HTTPS, "a", "s1") is None
    assert claim(names, HTTPS, "a", "s2") is Refusal.ONLINE
    assert claim(names, TLS, "a", "s1") is Refusal.ONLINE
    assert claim(names, HTTP, "a", "s2") is None
    assert len(names) == 2


def test_another_account_never_gets_a_name_online_or_kept() -> None:
    names = table()
    for url in (HTTPS, TCP):
        claim(names, url, "a", "s1")
        assert claim(names, url, "b", "s2", pooled=True) is Refusal.OTHER_ACCOUNT
        names.hold(url, "s1", 0.0)
        assert claim(names, url, "b", "s2") is Refusal.OTHER_ACCOUNT
    assert names.expire(179.9) == []
    assert claim(names, TCP, "b", "s2") is Refusal.OTHER_ACCOUNT
    assert set(names.expire(180.0)) == {HTTPS, TCP}
    assert claim(names, HTTPS, "b", "s2") is None
    assert claim(names, TCP, "b", "s2") is None


def test_who_takes_the_name_above_does_not_lock_the_one_below_out() -> None:
    names = table()
    below = Url("https", f"x.a.{DOMAIN}", 443)
    assert claim(names, below, "a", "s1") is None
    assert claim(names, HTTPS, "b", "s2") is None
    names.hold(below, "s1", 0.0)
    assert claim(names, below, "b", "s2") is Refusal.OTHER_ACCOUNT
    assert claim(names, below, "a", "s1", returning=True) is None
    further = Url("https", f"y.x.a.{DOMAIN}", 443)
    assert claim(names, further, "b", "s2") is Refusal.OTHER_ACCOUNT
    assert claim(names, further, "a", "s1") is None


def test_a_host_owns_its_other_protocols_and_what_is_below_it() -> None:
    names = table()
    claim(names, HTTP, "a", "s1")
    assert claim(names, HTTPS, "b", "s2") is Refusal.OTHER_ACCOUNT
    below = Url("https", f"x.y.a.{DOMAIN}", 443)
    assert claim(names, below, "b", "s2") is Refusal.OTHER_ACCOUNT
    assert claim(names, below, "a", "s1") is None
    # Not upwards: who has y.z does not own z.
    claim(names, Url("https", f"y.z.{DOMAIN}", 443), "b", "s2")
    assert claim(names, Url("https", f"z.{DOMAIN}", 443), "a", "s1") is None


def test_names_elsewhere_own_only_themselves() -> None:
    names = table()
    claim(names, Url("https", "example.com", 443), "a", "s1")
    assert claim(names, Url("https", "www.example.com", 443), "b", "s2") is None


def test_a_returning_holder_gets_its_name_back() -> None:
    names = table()
    claim(names, HTTPS, "a", "s1")
    assert names.hold(HTTPS, "s1", 10.0) is not None
    assert names.deadline() == 190.0
    assert claim(names, HTTPS, "a", "s1", returning=True) is None
    assert names.expire(190.0) == []
    assert names.deadline() is None


def test_same_account_takes_a_kept_name_over_and_the_old_session_has_lost_it() -> None:
    names = table()
    claim(names, HTTPS, "a", "s1")
    names.hold(HTTPS, "s1", 0.0)
    assert claim(names, HTTPS, "a", "s2") is None
    assert claim(names, HTTPS, "a", "s1", returning=True) is Refusal.ONLINE
    names.hold(HTTPS, "s2", 1.0)
    assert claim(names, HTTPS, "a", "s1", returning=True) is Refusal.LOST
    assert claim(names, HTTPS, "a", "s2", returning=True) is None


def test_a_pool_needs_every_member_and_outlives_each() -> None:
    names = table()
    assert claim(names, HTTPS, "a", "s1", pooled=True) is None
    assert claim(names, HTTPS, "a", "s2") is Refusal.ONLINE
    assert claim(names, HTTPS, "a", "s2", pooled=True) is None
    assert claim(names, TLS, "a", "s3", pooled=True) is Refusal.ONLINE
    assert names.hold(HTTPS, "s1", 0.0) is None
    assert names.release(HTTPS, "s2") is not None
    assert names.find(HTTPS) is None


def test_a_pool_comes_back_in_any_order() -> None:
    names = table()
    for holder in ("s1", "s2"):
        claim(names, HTTPS, "a", holder, pooled=True)
    names.hold(HTTPS, "s1", 0.0)
    names.hold(HTTPS, "s2", 0.0)
    assert claim(names, HTTPS, "a", "s1", pooled=True, returning=True) is None
    assert claim(names, HTTPS, "a", "s2", pooled=True, returning=True) is None


def test_sharing_can_be_turned_on_and_off() -> None:
    names = table()
    claim(names, HTTPS, "a", "s1")
    names.share(HTTPS, "s1", pooled=True)
    names.share(HTTPS, "nobody", pooled=False)
    assert claim(names, HTTPS, "a", "s2", pooled=True) is None


def test_release_frees_at_once_and_strangers_free_nothing() -> None:
    names = table()
    claim(names, TCP, "a", "s1")
    assert names.release(TCP, "s2") is None
    assert names.hold(TCP, "s2", 0.0) is None
    assert names.release(TCP, "s1") is not None
    assert names.release(TCP, "s1") is None
    assert claim(names, TCP, "b", "s2") is None


def test_its_holder_may_release_a_kept_name() -> None:
    names = table()
    claim(names, TCP, "a", "s1")
    names.hold(TCP, "s1", 0.0)
    assert names.release(TCP, "s1") is not None


def test_a_restart_counts_the_grace_anew() -> None:
    names = table()
    names.restore(HTTPS, "a", "s1", 1000.0)
    assert names.deadline() == 1180.0
    assert claim(names, HTTPS, "b", "x") is Refusal.OTHER_ACCOUNT
    assert claim(names, HTTPS, "a", "s1", returning=True) is None


def test_repr_counts() -> None:
    names = table()
    claim(names, HTTPS, "a", "s1")
    claim(names, TCP, "a", "s1")
    names.hold(TCP, "s1", 0.0)
    assert repr(names) == "<Table online=1 kept=1>"


@pytest.mark.parametrize("grace", [0.0])
def test_no_grace_keeps_nothing(grace: float) -> None:
    names = Table(DOMAIN, grace)
    claim(names, HTTPS, "a", "s1")
    names.hold(HTTPS, "s1", 5.0)
    assert names.expire(5.0) == [HTTPS]
