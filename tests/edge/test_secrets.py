"""Tests of secrets at the edge: found by name, changed at once, shown nowhere."""

from base64 import b64encode

import pytest
from tests.kit.policies import ruled

from portway.edge.secrets import Secrets
from portway.edge.view import View
from portway.errors import ConfigError
from portway.model.view import SecretItem, VaultItem


def item(value: str, row: str = "secret_1", vault: str = "vault_1", name: str = "key") -> SecretItem:
    return SecretItem(row, "ac_1", vault, name, b64encode(f"{row}:{value}".encode()).decode())


def opened(sealed: bytes, belongs_to: str) -> bytes:
    owner, _, value = sealed.partition(b":")
    if owner.decode() != belongs_to:
        raise ConfigError("altered")
    return value


def kept() -> tuple[View, Secrets]:
    view = View()
    view.apply([VaultItem("vault_1", "ac_1", "prod")])
    secrets = Secrets(view, opened)
    view.apply([item("one")])
    return view, secrets


def test_a_secret_is_found_by_name_within_its_account() -> None:
    view, secrets = kept()
    assert secrets.get("ac_1", "prod", "key") == secrets.get("ac_1", "prod", "key") == "one"
    assert secrets.get("ac_2", "prod", "key") is None
    assert secrets.get("ac_1", "test", "key") is None
    assert secrets.get("ac_1", "prod", "other") is None
    assert Secrets(view, opened).get("ac_1", "prod", "key") == "one"
    assert Secrets(view, None).get("ac_1", "prod", "key") is None
    assert "one" not in repr(secrets)


def test_changes_count_at_once() -> None:
    view, secrets = kept()
    assert secrets.get("ac_1", "prod", "key") == "one"
    view.apply([item("two")])
    assert secrets.get("ac_1", "prod", "key") == "two"
    view.apply([VaultItem("vault_1", "ac_1", "live")])
    assert secrets.get("ac_1", "prod", "key") is None
    assert secrets.get("ac_1", "live", "key") == "two"
    view.apply([item("two", name="token")])
    assert secrets.get("ac_1", "live", "key") is None
    assert secrets.get("ac_1", "live", "token") == "two"
    view.apply([SecretItem("secret_1", "ac_1", gone=True)])
    assert secrets.get("ac_1", "live", "token") is None


def test_names_that_change_hands_are_not_lost() -> None:
    view, secrets = kept()
    view.apply([item("new", "secret_2"), SecretItem("secret_1", "ac_1", gone=True)])
    assert secrets.get("ac_1", "prod", "key") == "new"
    view.apply([VaultItem("vault_2", "ac_1", "prod"), VaultItem("vault_1", "ac_1", gone=True)])
    assert secrets.get("ac_1", "prod", "key") is None


def test_what_cannot_be_opened_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    view, secrets = kept()
    view.apply([SecretItem("secret_1", "ac_1", "vault_1", "key", b64encode(b"secret_9:x").decode())])
    assert secrets.get("ac_1", "prod", "key") is None
    assert "secret_1" in caplog.text


POLICY = """
on_http_request:
  - expressions: ["req.headers['x-key'][0] != secrets.get('prod', 'key')"]
    actions: [{type: deny}]
  - actions:
      - type: add-headers
        config: {headers: {x-upstream-key: "${secrets.get('prod', 'key')}"}}
"""


@pytest.mark.row("P-34")
async def test_policies_read_secrets_and_see_changes_at_once() -> None:
    view, secrets = kept()
    async with ruled() as on:
        on.policies.secrets = secrets
        await on.rule(POLICY)
        client = await on.stand.visit()
        client.get("/", "X-Key: one")
        stream = await on.stand.agent.stream()
        assert b"x-upstream-key: one" in await stream.heads()
        stream.ok()
        assert (await client.answer())[0] == 200
        view.apply([item("two")])
        client.get("/", "X-Key: one")
        assert (await client.answer())[0] == 403
        view.apply([SecretItem("secret_1", "ac_1", gone=True)])
        client.get("/", "X-Key: one")
        status, fields, body = await client.answer()
        assert (status, fields["ngrok-error-code"]) == (500, "ERR_NGROK_2254")
        assert b"two" not in body
        told = await on.stand.request_told(3)
        assert "two" not in repr(told)
