"""Signing in through the whole product: a real provider of OpenID Connect, a real browser, our agent.

The sample of the ngrok-go documentation runs as it stands, its provider mapped to the one of the tests by the
service's configuration file.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.kit.eventually import eventually_async
from tests.kit.openid import CLIENT, Walker, browser_page, go, providing, sign_in
from tests.kit.ports import free
from tests.kit.product import Service, running_service
from tests.kit.rest import Rest
from tests.kit.sdk import SDKS, Sdk
from tests.kit.traffic import server
from tests.system.test_policies import agent_of, ask, shown

import portway

pytestmark = pytest.mark.xdist_group("identity")

SAMPLE = """
on_http_request:
  - name: rate limit by client ip
    actions:
      - type: rate-limit
        config:
          name: client-ip-rate-limit
          algorithm: sliding_window
          capacity: 30
          rate: 60s
          bucket_key:
            - conn.client_ip
  - name: sign in
    actions:
      - type: oauth
        config:
          provider: google
  - name: only of the domain
    expressions:
      - "!actions.ngrok.oauth.identity.email.endsWith('@example.com')"
    actions:
      - type: custom-response
        config:
          status_code: 403
          content: "Hey, no auth for you ${actions.ngrok.oauth.identity.name}!"
"""


@dataclass
class Place:
    """A service with an application at the provider."""

    service: Service
    issuer: str

    @property
    def ca(self) -> Path:
        """Who vouches for the service."""
        return Path(self.service.bootstrap.ca_cert)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Place]:
    """A service and a provider that know each other."""
    folder = tmp_path_factory.mktemp("identity")
    (port,) = free(1)
    config = folder / "portway.yml"
    config.write_text(
        "oauth:\n  providers:\n    google:\n"
        f"      issuer: http://127.0.0.1:{port}\n"
        f"      client_id: {CLIENT['client_id']}\n      client_secret: {CLIENT['client_secret']}\n"
    )
    flags = ("--config", str(config), "--outgoing-allow", "127.0.0.0/8")
    with running_service(folder / "service", *flags) as service:
        callback = f"https://auth.{service.bootstrap.domain}:{service.bootstrap.https_port}/oauth2/callback"
        with providing(port, folder, callback) as issuer:
            yield Place(service, issuer)


@asynccontextmanager
async def endpoint_of(place: Place, name: str, policy: str) -> AsyncGenerator[str]:
    """Put an endpoint online whose upstream shows what it gets; yield its URL."""
    async with server(shown) as upstream, agent_of(place.service) as agent:
        wanted = f"https://{name}.{place.service.bootstrap.domain}"
        made = await agent.forward(f"http://127.0.0.1:{upstream}", url=wanted, traffic_policy=policy)
        yield made.url


@pytest.mark.row("G-010", "G-011", "G-012", "G-013", "G-014", "G-015", "G-016", "G-017", "P-51", "P-54")
async def test_the_sample_of_the_documentation_with_a_browser(place: Place) -> None:
    rest = Rest(place.service)
    async with endpoint_of(place, "app", SAMPLE) as url:
        status, head, _ = await ask(place.service, url)
        assert status == 302
        assert f"location: {place.issuer}/auth?" in head
        async with browser_page(url, place.ca) as page:
            inside = await sign_in(page, f"{url}/deep?x=1", "ada")
            assert (inside.status, page.url) == (200, f"{url}/deep?x=1")
            got = (await inside.text()).lower()
            assert "get /deep?x=1 " in got
            assert "ngrok-auth-user-email: ada@example.com" in got
            assert "ngrok-auth-user-name: ada lovelace" in got
            assert "token" not in got
            cookies = {each.get("name"): each for each in await page.context.cookies(url)}
            cookie = cookies["__Host-ngrok.session"]
            assert (cookie.get("httpOnly"), cookie.get("secure"), cookie.get("sameSite")) == (
                True,
                True,
                "Lax",
            )
            (session,) = (await asyncio.to_thread(rest.done, "GET", "/app/sessions"))["application_sessions"]
            (user,) = (await asyncio.to_thread(rest.done, "GET", "/app/users"))["application_users"]
            assert (user["email"], user["provider_user_id"]) == ("ada@example.com", "ada")
            assert session["application_user"]["id"] == user["id"]
            assert session["public_url"] == url
            await asyncio.to_thread(rest.done, "DELETE", f"/app/sessions/{session['id']}")
            named = f"Cookie: __Host-ngrok.session={cookie.get('value')}"

            async def out() -> bool:
                return (await ask(place.service, url, named))[0] == 302

            await eventually_async(out, "a session that was deleted lets nobody in")
            assert page.context.browser
            page = await page.context.browser.new_page()  # nothing of Ada's is known there
            outside = await sign_in(page, url, "bob")
            assert outside.status == 403
            assert await outside.text() == "Hey, no auth for you Bob!"
            gone = await go(page, f"{url}/ngrok/logout?redirect_path=/bye")
            told = (page.url, gone.status, await gone.text())
            assert told[:2] == (f"{url}/bye", 403), told  # the provider still knows Bob


@pytest.mark.row("ED-02", "K-51")
async def test_the_login_and_webhook_modules_of_an_edge(place: Place) -> None:
    """One route signs visitors in, by an oauth module and later by an oidc module; one verifies webhooks."""
    rest, known = Rest(place.service), place.service.bootstrap
    name, secret = f"signed.{known.domain}", "a ${webhook} secret"
    await asyncio.to_thread(rest.done, "POST", "/reserved_domains", {"name": name})
    wish = {"hostports": [f"{name}:443"]}
    edge = await asyncio.to_thread(rest.done, "POST", "/edges/https?whole=true", wish)
    (root,), places = edge["routes"], f"/edges/https/{edge['id']}/routes"
    google = {**CLIENT, "email_domains": ["example.com"]}
    oauth, oidc = {"provider": {"google": google}}, {"issuer": place.issuer, **CLIENT}
    hooks = {"match_type": "path_prefix", "match": "/hooks"}
    modules = {"webhook_verification": {"provider": "gitlab", "secret": secret}}
    backend = {"backend_id": root["backend"]["backend"]["id"]}
    await asyncio.to_thread(rest.done, "POST", places, hooks | modules | {"backend": backend})
    await asyncio.to_thread(rest.done, "PUT", f"{places}/{root['id']}/oauth", oauth)
    url = f"https://{name}:{known.https_port}"

    async def asks(path: str = "/", *fields: str) -> int:
        return (await ask(place.service, f"{url}{path}", *fields))[0]

    session = ""

    async def told_to_sign_in() -> bool:
        return await asks("/", f"Cookie: __Host-ngrok.session={session}") == 302

    async with server(shown) as upstream, agent_of(place.service) as agent:
        await agent.forward(f"http://127.0.0.1:{upstream}", labels={"edge": edge["id"]})
        await eventually_async(told_to_sign_in, "the edge wants a login", timeout=20)
        assert await asks("/hooks/1") == 403
        assert await asks("/hooks/1", f"X-Gitlab-Token: {secret}") == 200
        assert await asks("/", f"X-Gitlab-Token: {secret}") == 302
        ada = Walker(place.ca)
        at, status, got = await asyncio.to_thread(ada.sign_in, f"{url}/deep", "ada")
        assert (at, status) == (f"{url}/deep", 200)
        assert "ngrok-auth-user-email: ada@example.com" in got.lower()
        bob = await asyncio.to_thread(Walker(place.ca).sign_in, f"{url}/deep", "bob")
        assert bob[:2] == (f"{url}/deep", 403), "not of the domain that the module names"
        session = next(iter(ada.cookies[urlsplit(url).netloc].values()))
        assert not await told_to_sign_in()
        await asyncio.to_thread(rest.done, "DELETE", f"{places}/{root['id']}/oauth")
        nobody = oidc | {"issuer": f"{place.issuer}/nobody"}
        said = await asyncio.to_thread(rest.call, "PUT", f"{places}/{root['id']}/oidc", nobody)
        assert (said.status, said.code) == (400, "2227")
        await asyncio.to_thread(rest.done, "PUT", f"{places}/{root['id']}/oidc", oidc)
        await eventually_async(told_to_sign_in, "the former login counts no more", timeout=20)
        assert (await asyncio.to_thread(ada.sign_in, url, "ada"))[1] == 200
        shown_again = await asyncio.to_thread(rest.done, "GET", f"{places}/{root['id']}")
    people = (await asyncio.to_thread(rest.done, "GET", "/app/users"))["application_users"]
    assert {each["identity_provider"]["name"] for each in people} == {"google", place.issuer}
    for each in people:
        await asyncio.to_thread(rest.done, "DELETE", f"/app/users/{each['id']}")
    assert shown_again["oidc"]["client_secret"] == CLIENT["client_secret"]
    assert shown_again["oauth"] is None
    kept = b"".join(each.read_bytes() for each in place.service.data.rglob("*") if each.is_file())
    assert secret.encode() not in kept
    assert CLIENT["client_secret"].encode() not in kept


@pytest.mark.row("G-014", "P-51", "P-52", "P-60")
async def test_logins_by_older_options_of_the_sdks(place: Place) -> None:
    """The operator's application, and one of the SDK's own; who is in no list is refused."""
    own = [place.issuer, CLIENT["client_id"], CLIENT["client_secret"]]
    options: dict[str, list[list[object]]] = {
        "oauth": [["oauth", "google", ["Ada@example.com"], ["other.example"]]],
        "oidc": [["oidc", *own, [], ["example.com"]]],
    }
    people = {"ada": Walker(place.ca), "bob": Walker(place.ca)}
    async with server(shown) as upstream:
        for kind in SDKS:
            with Sdk(kind, place.service) as sdk:
                await asyncio.to_thread(sdk.connect)
                for name, option in options.items():
                    to = f"http://127.0.0.1:{upstream}"
                    url = await asyncio.to_thread(sdk.forward, "https", to, options=option)
                    assert (await ask(place.service, url))[0] == 302
                    for who, status in (("ada", 200), ("bob", 403)):
                        found = await asyncio.to_thread(people[who].sign_in, f"{url}/x", who)
                        assert found[:2] == (f"{url}/x", status), (kind, name, who)


@pytest.mark.row("G-014", "P-52", "P-53")
async def test_sessions_and_logins_outlive_the_service(place: Place) -> None:
    policy = f"""
        on_http_request:
          - actions:
              - type: openid-connect
                config:
                  issuer_url: {place.issuer}
                  client_id: {CLIENT["client_id"]}
                  client_secret: {CLIENT["client_secret"]}
        """
    async with endpoint_of(place, "oidc", policy) as url:
        ada, bob = Walker(place.ca), Walker(place.ca)
        _, status, got = await asyncio.to_thread(ada.sign_in, url, "ada")
        assert status == 200
        assert "ngrok-auth-oauth-access-token: " in got.lower()
        named = f"Cookie: __Host-ngrok.session={ada.cookies[urlsplit(url).netloc]['__Host-ngrok.session']}"
        assert (await ask(place.service, url, named))[0] == 200
        at_the_provider = await asyncio.to_thread(bob.ask, f"{url}/deep")
        assert "/interaction/" in at_the_provider[0]
        await asyncio.to_thread(place.service.restart, kill=True)

        async def back() -> bool:
            return (await ask(place.service, url, named))[0] == 200

        await eventually_async(back, "the session outlives the service", timeout=60)
        assert (await ask(place.service, url))[0] == 302
        at, status, _ = await asyncio.to_thread(bob.say_who, *at_the_provider, "bob")
        assert (at, status) == (f"{url}/deep", 200)


async def test_the_callback_host_is_the_service_s_own(place: Place) -> None:
    known = place.service.bootstrap
    url = f"https://auth.{known.domain}:{known.https_port}"
    status, head, _ = await ask(place.service, f"{url}/oauth2/callback")
    assert (status, "ngrok-error-code: err_ngrok_3107" in head) == (400, True)
    assert (await ask(place.service, f"{url}/"))[0] == 404
    tls = ssl.create_default_context(cafile=known.ca_cert)
    assert tls.verify_mode is ssl.CERT_REQUIRED  # `ask` trusts the local authority alone
    async with agent_of(place.service) as agent:
        with pytest.raises(portway.Error) as refused:
            await agent.listen(url=f"https://auth.{known.domain}")
        assert refused.value.code == "ERR_NGROK_320"
        with pytest.raises(portway.Error, match=r"oauth\.providers\.github") as refused:
            await agent.listen(
                url="https://",
                traffic_policy="on_http_request: [{actions: [{type: oauth, config: {provider: github}}]}]",
            )
        assert refused.value.code == "ERR_NGROK_2232"
        wrong = {"issuer_url": f"{place.issuer}/nobody", **CLIENT}
        rule = {"actions": [{"type": "openid-connect", "config": wrong}]}
        with pytest.raises(portway.Error, match=r"/nobody has no valid discovery document") as refused:
            await agent.listen(url="https://", traffic_policy=json.dumps({"on_http_request": [rule]}))
        assert refused.value.code == "ERR_NGROK_2227"
