"""Certificates by name: what is kept, what is asked for, and who shares the answer."""

import asyncio

import pytest
from tests.kit.service import DOMAIN, FakeControl
from tests.kit.uploads import upload

from portway.edge.certificates import FRESH, Certificates
from portway.edge.ports import CertificatePem
from portway.errors import Error


class TestCertificates:
    """What is kept, alone."""

    def made(self, control: FakeControl, limit: int = 2) -> Certificates:
        return Certificates(CertificatePem(b"", b""), DOMAIN, control, limit)

    def test_the_own_certificate_covers_the_domain_and_one_label(self) -> None:
        kept = self.made(FakeControl())
        assert kept.at_hand(DOMAIN, 0.0) is kept.default
        assert kept.at_hand(f"a.{DOMAIN}", 0.0) is kept.default
        assert kept.at_hand(f"a.b.{DOMAIN}", 0.0) is None
        assert kept.at_hand(f"a{DOMAIN}", 0.0) is None

    async def test_who_asks_at_once_shares_one(self) -> None:
        control = FakeControl()
        kept = self.made(control)
        first, second = await asyncio.gather(kept.issue("a.test", 0.0), kept.issue("a.test", 0.0))
        assert first is second is kept.at_hand("a.test", 1.0)
        assert control.issued == ["a.test"]
        assert kept.at_hand("a.test", FRESH) is None

    async def test_who_shares_a_refusal_hears_it_and_the_next_one_asks_again(self) -> None:
        control = FakeControl()
        issue, tries = control.certificate, iter(range(1))

        async def once_busy(name: str) -> CertificatePem:
            await asyncio.sleep(0)
            for _ in tries:
                raise Error("Try again in a moment.", 128)
            return await issue(name)

        control.certificate = once_busy  # type: ignore[method-assign]
        kept = self.made(control)
        results = await asyncio.gather(
            kept.issue("a.test", 0.0), kept.issue("a.test", 0.0), return_exceptions=True
        )
        assert [type(result) for result in results] == [Error, Error]
        assert await kept.issue("a.test", 0.0) is kept.at_hand("a.test", 0.0)

    async def test_who_leaves_while_asking_takes_nobody_along(self) -> None:
        control = FakeControl()
        issue, begun = control.certificate, asyncio.Event()

        async def first_never(name: str) -> CertificatePem:
            if not begun.is_set():
                begun.set()
                await asyncio.Event().wait()
            return await issue(name)

        control.certificate = first_never  # type: ignore[method-assign]
        kept = self.made(control)
        leaves, stays = (asyncio.ensure_future(kept.issue("a.test", 0.0)) for _ in range(2))
        await begun.wait()
        leaves.cancel()
        assert await asyncio.wait_for(stays, 10) is kept.at_hand("a.test", 0.0)
        with pytest.raises(asyncio.CancelledError):
            await leaves

    async def test_the_least_used_is_forgotten(self) -> None:
        kept = self.made(FakeControl())
        for name in ("a.test", "b.test"):
            await kept.issue(name, 0.0)
        kept.at_hand("a.test", 1.0)
        await kept.issue("c.test", 1.0)
        assert kept.at_hand("b.test", 1.0) is None
        assert kept.at_hand("a.test", 1.0) is not None
        assert repr(kept) == "<Certificates issued=2 uploaded=0 asked=0>"

    async def test_uploaded_ones_are_kept_until_they_are_gone(self) -> None:
        control = FakeControl()
        kept = self.made(control, limit=1)
        items = [upload(control, f"cert_{n}", f"{n}.test") for n in (1, 2)]
        first = await kept.issue("1.test", 0.0)
        assert kept.at_hand("1.test", FRESH * 9) is first
        await kept.issue("2.test", 0.0)
        assert kept.at_hand("1.test", 0.0) is None  # there was room for one
        control.delete(items[1])
        assert repr(kept) == "<Certificates issued=0 uploaded=0 asked=0>"
        control.keys.clear()
        with pytest.raises(Error, match="gone"):
            await kept.issue("1.test", 0.0)

    async def test_one_that_is_deleted_while_it_is_fetched_is_not_kept(self) -> None:
        control = FakeControl()
        kept = self.made(control)
        item = upload(control, "cert_1", "1.test")
        fetch = control.certificate_key

        async def slow(certificate_id: str) -> CertificatePem:
            control.delete(item)
            return await fetch(certificate_id)

        control.certificate_key = slow  # type: ignore[method-assign]
        await kept.issue("1.test", 0.0)
        assert repr(kept) == "<Certificates issued=0 uploaded=0 asked=0>"
