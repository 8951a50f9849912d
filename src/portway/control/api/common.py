"""The routes that nearly every noun has in the same form: list, get and delete.

A noun's file declares them behind its own routes, each with its use case and its sentence in the document::

    _common = Common(router, "vault", VaultAnswer, _shown)
    _common.list(VaultList, "vaults", FIELDS, vaults.listed, "List the vaults of the account.")
    _common.get(vaults.get, "Return one vault.")
    _common.delete(vaults.delete, "Delete a vault that has no secrets.")

A route that does anything else, a create or an update among them, is written out.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends

from portway.control.api.auth import Ctx, Who
from portway.control.api.paging import Known, Listing, listing, path_id
from portway.control.api.schema import Answer
from portway.control.service.context import Context
from portway.control.store.rows import Page

T = TypeVar("T", bound=Known)


class Common(Generic[T]):
    """Adds such routes to a noun's router."""

    def __init__(
        self, router: APIRouter, prefix: str, answer: type[Answer], show: Callable[[Context, T], Answer]
    ) -> None:
        """Take the prefix of the noun's identifiers, what is answered, and what makes that of a value."""
        self._router = router
        self._prefix = prefix
        self._answer = answer
        self._show = show

    def list(
        self,
        page: type[Answer],
        key: str,
        fields: frozenset[str] | None,
        fetch: Callable[[Context, str, Page], Awaitable[Sequence[T]]],
        said: str,
        *,
        facts: Callable[[Context, T, str], Mapping[str, Any]] | None = None,
    ) -> None:
        """Answer a page: ``key`` is that of its items, ``fields`` are those of filters, see ``listing``.

        ``facts`` returns what a filter, its text given, sees of a value, if that is not what is shown.
        """
        wants = Depends(listing(key, self._prefix, fields))

        async def listed(who: Who, context: Ctx, wanted: Annotated[Listing, wants]) -> dict[str, Any]:
            sees = facts
            return await wanted.page(
                lambda page: fetch(context, who.account_id, page),
                lambda each: self._show(context, each),
                facts=(lambda each: sees(context, each, wanted.filter)) if sees else None,
            )

        self._router.add_api_route(
            "", listed, methods=["GET"], name="list", response_model=page, description=said
        )

    def get(self, fetch: Callable[[Context, str, str], Awaitable[T]], said: str) -> None:
        """Answer one of the account's."""
        known = Depends(path_id(self._prefix))

        async def get(who: Who, context: Ctx, id: Annotated[str, known]) -> Answer:  # noqa: A002 - in the path
            return self._show(context, await fetch(context, who.account_id, id))

        self._router.add_api_route(
            "/{id}", get, methods=["GET"], name="get", response_model=self._answer, description=said
        )

    def delete(self, remove: Callable[[Context, str, str], Awaitable[object]], said: str) -> None:
        """Answer 204 when it is done."""
        known = Depends(path_id(self._prefix))

        async def delete(who: Who, context: Ctx, id: Annotated[str, known]) -> None:  # noqa: A002
            await remove(context, who.account_id, id)

        self._router.add_api_route(
            "/{id}", delete, methods=["DELETE"], name="delete", status_code=204, description=said
        )
