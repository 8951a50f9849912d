"""One thing of every kind that an account may have in the API: for tests that are driven by its document."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from portway.control.service import identities
from portway.model.identity import Browser, Person, SessionOpening, Tokens
from tests.kit.api import Api
from tests.kit.live import an_id, live_endpoint, live_session, tell, tunnel_of
from tests.kit.x509 import make

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFHOWSJ4rRQrZg5jqbbmzvVOGSQBX6gPzX2CqGiL6oJp"
POLICY = "on_http_request: [{actions: [{type: deny}]}]"


def _pem() -> dict[str, str]:
    made = make(names=["www.example.com"])
    return {"certificate_pem": made.pem, "private_key_pem": made.key_pem}


CREATE: Mapping[str, Callable[[], dict[str, Any]]] = {
    "credentials": dict,
    "api_keys": dict,
    "ssh_credentials": lambda: {"public_key": PUBLIC_KEY},
    "reserved_addrs": dict,
    "reserved_domains": lambda: {"domain": "www.example.com"},
    "tls_certificates": _pem,
    "certificate_authorities": lambda: {"ca_pem": make(ca=True).pem},
    "ip_policies": dict,
    "vaults": lambda: {"name": "prod"},
    "event_destinations": lambda: {"target": {"debug": {"log": True}}},
    "event_subscriptions": lambda: {"sources": [{"type": "domain_created.v0"}]},
    "edges/tcp": dict,
    "edges/tls": dict,
    "edges/https": dict,
    "backends/tunnel_group": lambda: {"labels": {"a": "b"}},
    "backends/failover": dict,
    "backends/weighted": dict,
    "backends/http_response": dict,
    "backends/static": lambda: {"address": "db.example.org:5432"},
    "endpoints": lambda: {"type": "cloud", "url": "https://x.internal", "traffic_policy": POLICY},
}
"""What is posted to make a thing."""


async def _session(api: Api) -> str:
    tell(api.context, live_session(api.account_id))
    return an_id("ts", 1)


async def _tunnel(api: Api) -> str:
    endpoint = live_endpoint(api.account_id)
    tell(api.context, live_session(api.account_id), endpoint)
    return tunnel_of(endpoint)


async def _rule(api: Api) -> str:
    given = {"cidr": "10.0.0.0/8", "action": "allow", "ip_policy_id": await a_thing(api, "ip_policies")}
    return str((await api.post("/ip_policy_rules", given))["id"])


async def _restriction(api: Api) -> str:
    given = {"type": "endpoints", "ip_policy_ids": [await a_thing(api, "ip_policies")]}
    return str((await api.post("/ip_restrictions", given))["id"])


async def _secret(api: Api) -> str:
    vault = await a_thing(api, "vaults")
    return str((await api.post("/vault_secrets", {"name": "key", "value": "v", "vault_id": vault}))["id"])


async def _app_session(api: Api) -> str:
    """Have somebody sign in."""
    person = Person("google", "https://accounts.google.com", "ada")
    opening = SessionOpening(api.account_id, "ep_1", "u", "r", "c", "s", "h", person, Tokens(), Browser())
    return (await identities.open_session(api.context, opening)).id


async def _app_user(api: Api) -> str:
    return (await identities.session(api.context, api.account_id, await _app_session(api))).user_id


ONLINE: Mapping[str, Callable[[Api], Awaitable[str]]] = {
    "tunnel_sessions": _session,
    "tunnels": _tunnel,
    "app/users": _app_user,
    "app/sessions": _app_session,
    "ip_policy_rules": _rule,
    "vault_secrets": _secret,
    "ip_restrictions": _restriction,
}
"""What is not made by one request: how it comes to be; returns its identifier."""


async def a_thing(api: Api, noun: str) -> str:
    """Make a thing of the caller's account; return its identifier. Raises KeyError for an unknown noun."""
    if noun in ONLINE:
        return await ONLINE[noun](api)
    made = await api.post(f"/{noun}", CREATE[noun]())
    assert made.status == 201, (noun, made.json)
    return str(made["id"])
