"""Tests of Amazon's certificates: fetched from Amazon alone, and kept."""

from typing import cast

import pytest
from tests.kit.web import Web, answered

from portway.edge import sns_certificates
from portway.edge.policy_fetch import Asked, FetchFailed
from portway.edge.sns_certificates import SnsCertificates
from portway.net.web_client import WebClient, WebFailure

URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-%d.pem"


class Set:
    """Certificates with a clock that is set."""

    def __init__(self) -> None:
        self.clock = 1000.0
        self.web = Web(answered(b"PEM"))
        self.kept = SnsCertificates(cast("WebClient", self.web), lambda: self.clock)

    async def get(self, url: str) -> object:
        return await self.kept.fetch(cast("Asked", None), {"url": url})


async def test_a_certificate_is_fetched_once_and_not_redirected() -> None:
    made = Set()
    assert await made.get(URL % 1) == await made.get(URL % 1) == b"PEM"
    assert len(made.web.asked) == 1
    assert made.web.asked[0].redirects == 0
    made.clock += sns_certificates.FRESH
    await made.get(URL % 1)
    assert len(made.web.asked) == 2


async def test_nobody_but_amazon_is_asked() -> None:
    made = Set()
    with pytest.raises(FetchFailed):
        await made.get("https://evil.example/SimpleNotificationService-1.pem")
    assert made.web.asked == []


async def test_names_that_are_invented_push_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sns_certificates, "KEPT", 2)
    made = Set()
    await made.get(URL % 1)
    made.web.answer = WebFailure("connect", "gone")
    for number in range(5, 10):
        with pytest.raises(FetchFailed):
            await made.get(URL % number)
    with pytest.raises(FetchFailed):
        await made.get(URL % 9)
    assert len(made.web.asked) == 6
    assert await made.get(URL % 1) == b"PEM"
    made.web.answer = answered(b"", 404)
    made.clock += sns_certificates.FAILED
    with pytest.raises(FetchFailed):
        await made.get(URL % 9)
    assert len(made.web.asked) == 7
