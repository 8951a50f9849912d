"""/vault_secrets: what traffic policies read by ``secrets.get``, and nobody else."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Ref, Timestamp
from portway.control.service import shown, vault_secrets
from portway.control.service.context import Context
from portway.model.vault import Secret

router = APIRouter(prefix="/vault_secrets", tags=["vault_secrets"])

FIELDS: Final = frozenset({"name", "updated_at", "vault", "vault.id", "vault_name"})

Id = Annotated[str, Depends(path_id("secret"))]


class SecretAnswer(Answer):
    """A secret, without its value."""

    id: str
    uri: str
    created_at: Timestamp
    updated_at: Timestamp
    name: str
    description: str
    metadata: str
    created_by: Ref
    last_updated_by: Ref
    vault: Ref
    vault_name: str


class SecretList(Answer):
    """A page of secrets."""

    secrets: list[SecretAnswer]
    uri: str
    next_page_uri: str | None


class SecretCreate(Given):
    """A new secret."""

    name: str | None = Field(None, description="Unique in its vault; letters, digits and _ / . - only.")
    value: str | None = Field(None, description="The secret itself. Nobody can read it back.")
    vault_id: str | None = Field(None, description="The vault that it goes into.")
    vault_name: str | None = Field(None, description="The same, by name.")
    description: Description = None
    metadata: Metadata = None


class SecretUpdate(Given):
    """What to change of a secret."""

    name: str | None = Field(None, description="Unique in its vault; letters, digits and _ / . - only.")
    value: str | None = Field(None, description="The secret itself. Nobody can read it back.")
    description: Description = None
    metadata: Metadata = None


@router.post("", name="create", status_code=201, response_model=SecretAnswer)
async def create(who: Who, context: Ctx, given: SecretCreate) -> SecretAnswer:
    """Put a secret into a vault."""
    made = await vault_secrets.create(
        context,
        who.account_id,
        given.name or "",
        given.value or "",
        vault_id=given.vault_id or "",
        vault_name=given.vault_name or "",
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return show(context, made)


@router.patch("/{id}", name="update", response_model=SecretAnswer)
async def update(who: Who, context: Ctx, id: Id, given: SecretUpdate) -> SecretAnswer:  # noqa: A002
    """Change a secret. Every policy uses the new value with its next request."""
    changed = await vault_secrets.update(
        context,
        who.account_id,
        id,
        name=given.name,
        value=given.value,
        description=given.description,
        metadata=given.metadata,
    )
    return show(context, changed)


def filtered(context: Context, each: Secret, filter: str) -> dict[str, Any]:  # noqa: A002
    """Return what a filter sees: the vault is compared as an identifier, or has one."""
    facts = shown.secret(context.settings, each)
    return facts if "vault.id" in filter else facts | {"vault": each.vault_id}


def show(context: Context, each: Secret) -> SecretAnswer:
    """Return a secret as it is answered."""
    return SecretAnswer.model_validate(shown.secret(context.settings, each))


_common = Common(router, "secret", SecretAnswer, show)
_common.list(
    SecretList,
    "secrets",
    FIELDS,
    vault_secrets.listed,
    "List the secrets of all vaults of the account.",
    facts=filtered,
)
_common.get(vault_secrets.get, "Return what is told of one secret.")
_common.delete(vault_secrets.delete, "Delete a secret.")
