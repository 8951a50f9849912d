"""Every method of ngrok's official Python client, called on a real service.

What came of it is told by docs/reference/api-client.md (tools/client_methods.py). The client is asked for
its methods, so none can be forgotten; those of the resources in NOUNS are acted out here, and the others
must get a proper refusal.
"""

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.kit.api_client import ApiClient, ClientError
from tests.kit.client_edges import edges
from tests.kit.client_events import events
from tests.kit.client_people import people
from tests.kit.eventually import eventually
from tests.kit.product import AgentProcess, Service, running_agent
from tests.kit.sdk import Sdk
from tests.kit.x509 import make

NOUNS = (
    "api_keys",
    "application_sessions",
    "application_users",
    "backends",
    "certificate_authorities",
    "credentials",
    "edge_modules",
    "edges",
    "endpoints",
    "event_destinations",
    "event_sources",
    "event_subscriptions",
    "ip_policies",
    "ip_policy_rules",
    "ip_restrictions",
    "reserved_addrs",
    "reserved_domains",
    "secrets",
    "ssh_credentials",
    "tls_certificates",
    "tunnel_sessions",
    "tunnels",
    "vaults",
)
"""Parts of the client that the service provides for."""

HEAD = """\
# ngrok's Python client of the API

Written by `tools/client_methods.py` from a run of ngrok's official client (`ngrok-api` 0.19.0, unmodified, in
an environment of its own) against a real service with real agents; `tests/system/test_api.py` does the same
run and compares. The client itself is asked for its methods, so none can be missing.

*Passed* means that the call succeeded, that every property of the answer could be read, that what was made
was then found by get, list and filter, changed by update, and gone after delete.
"""

OTHERS = """
The client's other {count} methods belong to resources that this version of the service does not have. Each
was called too and got a proper refusal, status 404 in the usual envelope{unsent}:
"""

UNSENT = "the client fails before it sends anything"

GONE = {"ip_policies": 1402, "ip_policy_rules": 1404}
"""Codes with which those are not found that have one."""

POLICY = "on_http_request: [{actions: [{type: custom-response, config: {status_code: 200}}]}]"
TEXTS = {"description": "a text", "metadata": "m"}
Made = dict[str, Any]


@dataclass
class Run:
    """One run of all of it: what each method sends, and how each went."""

    client: ApiClient
    service: Service
    methods: Mapping[str, Mapping[str, str]]
    passed: dict[str, str] = field(default_factory=dict[str, str])
    """Methods that did as they should, and what that was."""

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method, which must succeed."""
        answer = self.client(method, **arguments)
        self.passed[method] = "passed"
        return answer

    def refused(self, method: str, code: int, **arguments: Any) -> None:
        """Call a method, which must be refused with this code: 0 is a plain 404."""
        with pytest.raises(ClientError) as raised:
            self.client(method, **arguments)
        error = raised.value
        assert error.code == code, f"{method}: {error}"
        assert code or error.kind == "NotFoundError", f"{method}: {error}"
        assert error.operation.startswith("op_"), method

    @contextlib.contextmanager
    def thing(
        self, noun: str, create: Mapping[str, Any], change: Mapping[str, Any] | None = None
    ) -> Generator[Made]:
        """Create a thing, get, list and change it; delete it at the end, twice."""
        made: Made = self.call(f"{noun}.create", **{**create, **TEXTS})
        assert made["description"], noun
        plain = made | ({"token": None} if "token" in made else {})
        assert self.call(f"{noun}.get", id=made["id"]) == plain
        assert plain in self.call(f"{noun}.list", limit="100")[_key(noun)]
        assert plain in self.client.iterate(f"{noun}.list", filter=f'obj.id == "{made["id"]}"')
        changed = self.call(f"{noun}.update", id=made["id"], **(change or {"metadata": "new"}))
        assert changed != plain, noun
        assert self.call(f"{noun}.get", id=made["id"]) == changed
        yield made
        self.call(f"{noun}.delete", id=made["id"])
        self.refused(f"{noun}.delete", GONE.get(noun, 0), id=made["id"])
        self.refused(f"{noun}.get", GONE.get(noun, 0), id=made["id"])

    def results(self) -> dict[str, str]:
        """Return how each method of NOUNS went."""
        ours = [name for name in sorted(self.methods) if name.partition(".")[0] in NOUNS]
        return {name: self.passed.get(name, "not called") for name in ours}


def act(service: Service) -> Run:
    """Act everything out on a service that runs."""
    known = service.bootstrap
    with ApiClient(known.api_key, f"http://api.{known.domain}:{known.http_port}") as client:
        run = Run(client, service, client.methods())
        scenes = (
            _keys, _names, _certificates, _addresses, _vaults, _endpoints, people, edges, events, _agents,
            _others,
        )  # fmt: skip
        for scene in scenes:
            scene(run)
        return run


def page(run: Run) -> str:
    """Return what docs/reference/api-client.md says of a run."""
    lines = [HEAD, "| method | what it sends | result |", "|---|---|---|"]
    lines += [f"| `{name}` | {_sent(run, name)} | {how} |" for name, how in run.results().items()]
    others = [name for name in sorted(run.methods) if name.partition(".")[0] not in NOUNS]
    parts = sorted({name.rpartition(".")[0] for name in others})
    unsent = [f"`{name}`" for name in others if run.passed[name] == UNSENT]
    assert {run.passed[name] for name in others} <= {"refused with 404", UNSENT}
    but = f", but for {' and '.join(unsent)}, where {UNSENT}" if unsent else ""
    lines += [OTHERS.format(count=len(others), unsent=but), *(f"- `{part}`" for part in parts), ""]
    return "\n".join(lines)


def _sent(run: Run, name: str) -> str:
    sent = run.methods[name]
    return f"`{sent['verb']} {sent['path']}`"


def _keys(run: Run) -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    rules = ["bind:*.example.com", "bind:foo=bar"]
    with run.thing("credentials", {"acl": rules}, {"acl": []}) as made:
        assert made["acl"] == rules
        assert made["token"].startswith(made["id"].removeprefix("cr_"))
    with run.thing("api_keys", {}) as made:
        known = run.service.bootstrap
        with ApiClient(made["token"], f"http://api.{known.domain}:{known.http_port}") as other:
            assert other("api_keys.get", id=made["id"])["token"] is None
    with run.thing("ssh_credentials", {"public_key": public.public_bytes(*form).decode()}):
        run.refused("ssh_credentials.create", 609, public_key=public.public_bytes(*form).decode())


def _names(run: Run) -> None:
    with run.thing("reserved_addrs", {}) as made:
        assert made["addr"].partition(":")[2].isdigit()
    with run.thing("reserved_domains", {"domain": f"client.{run.service.bootstrap.domain}"}) as made:
        assert made["certificate_management_policy"] is None


def _certificates(run: Run) -> None:
    with run.thing("certificate_authorities", {"ca_pem": make(ca=True).pem}):
        pass
    served = make(names=["www.example.com"])
    upload = {"certificate_pem": served.pem, "private_key_pem": served.key_pem}
    with (
        run.thing("tls_certificates", upload) as certificate,
        run.thing(
            "reserved_domains", {"domain": "www.example.com", "certificate_id": certificate["id"]}
        ) as domain,
    ):
        assert domain["certificate"]["id"] == certificate["id"]
        run.call("reserved_domains.delete_certificate", id=domain["id"])
        policy = {"authority": "internal", "private_key_type": "ecdsa"}
        run.call("reserved_domains.update", id=domain["id"], certificate_management_policy=policy)
        run.call("reserved_domains.delete_certificate_management_policy", id=domain["id"])
        left = run.call("reserved_domains.get", id=domain["id"])
        assert (left["certificate"], left["certificate_management_policy"]) == (None, None)


def _vaults(run: Run) -> None:
    with run.thing("vaults", {"name": "prod"}, {"name": "live"}) as vault:
        given = {"name": "key", "value": "hidden", "vault_id": vault["id"]}
        with run.thing("secrets", given, {"value": "new", "metadata": "new"}) as secret:
            assert secret["vault"]["id"] == vault["id"]
            assert "hidden" not in str(secret)
            listed = run.call("vaults.get_secrets_by_vault", id=vault["id"])
            assert [each["id"] for each in listed["secrets"]] == [secret["id"]]
            run.refused("vaults.delete", 23003, id=vault["id"])
            run.refused("secrets.create", 24005, **given)


def _addresses(run: Run) -> None:
    with run.thing("ip_policies", {}) as policy:
        rule = {"ip_policy_id": policy["id"], "cidr": "192.0.2.0/24", "action": "allow"}
        with run.thing("ip_policy_rules", rule, {"cidr": "192.0.2.0/25"}) as made:
            assert made["ip_policy"]["id"] == policy["id"]
            run.refused("ip_policy_rules.create", 1409, **rule | {"cidr": "192.0.2.1/24"})
        held = {"type": "dashboard", "ip_policy_ids": [policy["id"]]}
        with run.thing("ip_restrictions", held, {"enforced": True}) as made:
            texts = run.call("ip_restrictions.update", id=made["id"], description="new")
            assert [each["id"] for each in texts["ip_policies"]] == [policy["id"]], "an empty list keeps them"
            run.refused("ip_policies.delete", 1420, id=policy["id"])


def _endpoints(run: Run) -> None:
    create = {"url": "https://client.internal", "type": "cloud", "traffic_policy": POLICY}
    with run.thing("endpoints", create, {"traffic_policy": POLICY + "\n"}) as made:
        assert (made["type"], made["bindings"]) == ("cloud", ["internal"])


def _agents(run: Run) -> None:
    with running_agent(run.service, "http", "9") as (agent, url):
        seen = eventually(lambda: _online(run, url), "the API lists the endpoint")
        assert run.call("endpoints.get", id=seen["id"]) == seen
        tunnel: Made = next(each for each in run.call("tunnels.list")["tunnels"] if each["public_url"] == url)
        assert run.call("tunnels.get", id=tunnel["id"]) == tunnel
        session = run.call("tunnel_sessions.get", id=seen["tunnel_session"]["id"])
        assert session in run.call("tunnel_sessions.list")["tunnel_sessions"]
        run.refused("tunnel_sessions.update", 806, id=session["id"])
        run.call("tunnel_sessions.restart", id=session["id"])
        again = eventually(lambda: _other_session(run, session["id"]), "the agent comes back", timeout=30)
        run.call("tunnel_sessions.stop", id=again)
        eventually(lambda: _ended(agent), "the agent ends", timeout=20)
        eventually(lambda: not _online(run, url), "its endpoint is gone")
    with Sdk("python", run.service) as sdk:  # ngrok's own agent SDK: ours refuses to be updated from afar
        sdk.connect(commands="")
        other = eventually(lambda: _other_session(run, ""), "the SDK is online")
        run.call("tunnel_sessions.update", id=other)
        assert eventually(sdk.commands, "the SDK hears of it")[0].startswith("update")


def _others(run: Run) -> None:
    """Call what the service does not provide: it must say so properly."""
    for name, sent in run.methods.items():
        if name.partition(".")[0] in NOUNS or "error" in sent:
            continue
        run.passed[name] = _refusal(run.client, name)


def _refusal(client: ApiClient, name: str) -> str:
    with pytest.raises(ClientError) as raised:
        client.probe(name)
    error = raised.value
    if error.kind == "TypeError":
        return UNSENT
    assert error.kind in {"NotFoundError", "Error"}, f"{name}: {error}"
    assert error.operation.startswith("op_"), name
    return f"refused with {error.status}"


def _online(run: Run, url: str) -> Made:
    """Return the endpoint of a URL, an empty one if there is none."""
    empty: Made = {}
    return next((each for each in run.call("endpoints.list")["endpoints"] if each["url"] == url), empty)


def _other_session(run: Run, old: str) -> str:
    ids = [each["id"] for each in run.call("tunnel_sessions.list")["tunnel_sessions"]]
    return next((each for each in ids if each != old), "")


def _ended(agent: AgentProcess) -> bool:
    return agent.exited() is not None


def _key(noun: str) -> str:
    return "keys" if noun == "api_keys" else noun
