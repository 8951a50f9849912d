"""/vaults: sets of secrets that traffic policies read by name."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import Listing, listing, path_id
from portway.control.api.routes.vault_secrets import SecretList, show
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import shown, vault_secrets, vaults
from portway.control.service.context import Context
from portway.model.vault import Vault

router = APIRouter(prefix="/vaults", tags=["vaults"])

FIELDS: Final = frozenset({"name", "updated_at", "created_by", "last_updated_by"})

Id = Annotated[str, Depends(path_id("vault"))]
WantedSecrets = Annotated[Listing, Depends(listing("secrets", "secret", None))]


class VaultAnswer(Answer):
    """A vault."""

    id: str
    uri: str
    created_at: Timestamp
    updated_at: Timestamp
    name: str
    description: str
    metadata: str
    created_by: str
    last_updated_by: str


class VaultList(Answer):
    """A page of vaults."""

    vaults: list[VaultAnswer]
    uri: str
    next_page_uri: str | None


class VaultCreate(Given):
    """A new vault."""

    name: str | None = Field(None, description="Unique in the account; letters, digits and _ / . - only.")
    description: Description = None
    metadata: Metadata = None


class VaultUpdate(Given):
    """What to change of a vault."""

    name: str | None = Field(None, description="Unique in the account; letters, digits and _ / . - only.")
    description: Description = None
    metadata: Metadata = None


@router.post("", name="create", status_code=201, response_model=VaultAnswer)
async def create(who: Who, context: Ctx, given: VaultCreate) -> VaultAnswer:
    """Make an empty vault."""
    made = await vaults.create(
        context,
        who.account_id,
        given.name or "",
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=VaultAnswer)
async def update(who: Who, context: Ctx, id: Id, given: VaultUpdate) -> VaultAnswer:  # noqa: A002
    """Change the name or the texts of a vault. Policies find its secrets under the new name at once."""
    changed = await vaults.update(
        context,
        who.account_id,
        id,
        name=given.name,
        description=given.description,
        metadata=given.metadata,
    )
    return _shown(context, changed)


@router.get("/{id}/secrets", name="get_secrets_by_vault", response_model=SecretList)
async def secrets_of(who: Who, context: Ctx, id: Id, wanted: WantedSecrets) -> dict[str, Any]:  # noqa: A002
    """List the secrets of one vault."""
    return await wanted.page(
        lambda page: vault_secrets.listed(context, who.account_id, page, id), lambda each: show(context, each)
    )


def _shown(context: Context, each: Vault) -> VaultAnswer:
    return VaultAnswer.model_validate(shown.vault(context.settings, each))


_common = Common(router, "vault", VaultAnswer, _shown)
_common.list(VaultList, "vaults", FIELDS, vaults.listed, "List the vaults of the account.")
_common.get(vaults.get, "Return one vault.")
_common.delete(vaults.delete, "Delete a vault that has no secrets.")
