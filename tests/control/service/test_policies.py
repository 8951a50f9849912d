"""Policies as the API takes them: what they may name, and how large they may be."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kit import mutual
from tests.kit.names import configured, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import certificate_authorities, policies
from portway.control.service.settings import Settings
from portway.errors import Error
from portway.model.url import parse_endpoint_url
from portway.policy.limits import DEFAULT_LIMITS

TLS = parse_endpoint_url("https://app.example", "https")
POLICY = """
on_tcp_connect:
  - actions: [{type: terminate-tls, config: {mutual_tls_certificate_authorities: [%s]}}]
on_http_request: [{actions: [{type: deny}]}]
"""


async def test_authorities_are_the_accounts_own(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        own = await certificate_authorities.create(context, ann.id, mutual.authority().pem.decode())
        await policies.check(context, ann.id, TLS, POLICY % own.id)
        for account, named in ((ben.id, own.id), (ann.id, "ca_nobody")):
            with refused(1672):
                await policies.check(context, account, TLS, POLICY % named)


async def test_all_problems_are_told_with_their_places(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        lines = ("on_http_request:", "  - actions:", "      - type: nothing", "      - type: deny")
        text = "\n".join((*lines, "        config: {status_code: 1}"))
        with pytest.raises(Error, match=r"(?s)3:15: .*5:31: ") as caught:
            await policies.check(context, "ac_1", TLS, text)
        assert caught.value.code == "ERR_NGROK_2201"
        with refused(18002):
            await policies.check(context, "ac_1", TLS, "#" * (DEFAULT_LIMITS.document + 1))


@pytest.mark.row("G-014")
async def test_a_provider_needs_an_application_of_the_operator(tmp_path: Path) -> None:
    text = (
        "on_http_request: [{actions: [{type: oauth, config: {provider: google}}, {type: custom-response}]}]"
    )
    url = parse_endpoint_url("https://a.example", "https")
    async with opened(tmp_path) as bare:
        context = replace(bare, settings=Settings(oauth_providers=("google",)))
        await policies.check(context, "ac_1", url, text)
        with pytest.raises(Error, match=r"oauth\.providers\.google") as raised:
            await policies.check(bare, "ac_1", url, text)
        assert raised.value.code == "ERR_NGROK_2232"
