"""/ssh_credentials: the public keys with which OpenSSH may connect instead of an agent."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import shown, ssh_credentials
from portway.control.service.context import Context
from portway.control.service.keys import Texts, check_owner
from portway.model.entities import SshCredential

router = APIRouter(prefix="/ssh_credentials", tags=["ssh_credentials"])

FIELDS: Final = frozenset({"owner_id", "acl"})

Id = Annotated[str, Depends(path_id("sshcr"))]

Rules = Annotated[
    list[str] | None,
    Field(description='What sessions may bind, such as "bind:*.example.com"; an empty list: anything.'),
]


class SshCredentialAnswer(Answer):
    """A registered public key."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    public_key: str
    acl: list[str]
    owner_id: str | None


class SshCredentialList(Answer):
    """A page of public keys."""

    ssh_credentials: list[SshCredentialAnswer]
    uri: str
    next_page_uri: str | None


class SshCredentialCreate(Given):
    """A public key to register."""

    description: Description = None
    metadata: Metadata = None
    acl: Rules = None
    public_key: str | None = Field(None, description="One line of an authorized_keys file.")
    owner_id: str | None = Field(None, description="The user that it shall belong to.")


class SshCredentialUpdate(Given):
    """What to change of a registered key."""

    description: Description = None
    metadata: Metadata = None
    acl: Rules = None


@router.post("", name="create", status_code=201, response_model=SshCredentialAnswer)
async def create(who: Who, context: Ctx, given: SshCredentialCreate) -> SshCredentialAnswer:
    """Register a public key."""
    owner_id = check_owner(given.owner_id or "", who.owner_id)
    made = await ssh_credentials.create(
        context, who.account_id, given.public_key or "", _texts(given), owner_id
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=SshCredentialAnswer)
async def update(
    who: Who,
    context: Ctx,
    id: Id,  # noqa: A002
    given: SshCredentialUpdate,
) -> SshCredentialAnswer:
    """Change a registered key; new rules hold for its live sessions too."""
    return _shown(context, await ssh_credentials.update(context, who.account_id, id, _texts(given)))


def _texts(given: SshCredentialCreate | SshCredentialUpdate) -> Texts:
    acl = None if given.acl is None else tuple(given.acl)
    return Texts(given.description, given.metadata, acl)


def _shown(context: Context, each: SshCredential) -> SshCredentialAnswer:
    return SshCredentialAnswer.model_validate(shown.ssh_credential(context.settings, each))


_common = Common(router, "sshcr", SshCredentialAnswer, _shown)
_common.list(
    SshCredentialList,
    "ssh_credentials",
    FIELDS,
    ssh_credentials.page,
    "List the registered keys of the account.",
)
_common.get(ssh_credentials.get, "Return one registered key.")
_common.delete(ssh_credentials.delete, "Forget a registered key, which ends its sessions.")
