"""Who calls: from the Authorization header to an account.

A client's mistakes are told apart as far as the key itself tells them: no header, a header that
cannot be read, an authtoken or an identifier in place of a key. Which keys exist is never told.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, cast

import msgspec
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from msgspec.structs import replace

from portway.control.api.errors import STATUS, Refusal
from portway.control.api.failures import WAITING_LIMIT, Failures
from portway.control.service import api_keys
from portway.control.service.context import Context
from portway.control.service.principal import Principal
from portway.errors import Error

STATE: Final = "portway.caller"
"""Where the gate leaves the caller in the request's scope."""


class Caller(msgspec.Struct, frozen=True):
    """Whose key opened the API. ``owner_id`` is the user that the key belongs to, "" for none."""

    account_id: str
    key_id: str
    owner_id: str = ""


class Doorkeeper:
    """Lets callers in, and loses patience with an address that keeps trying wrong keys."""

    def __init__(
        self, context: Context, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """Take the use cases' context; ``sleep`` lets tests see the waiting."""
        self._context = context
        self._failures = Failures(context.settings.wrong_keys)
        self._sleep = sleep

    async def admit(self, authorization: str | None, source: str) -> Caller:
        """Return who calls from an address.

        Raises Error 200–203 or 206–208, 226 when too many wait after wrong keys.
        """
        if self._failures.too_many(source, self._context.now()):
            await self._wait()
        try:
            key = await api_keys.authenticate(self._context, presented_key(authorization))
        except Error as error:
            if STATUS.get(error.code) == 401:
                self._failures.add(source, self._context.now())
            raise
        return Caller(key.account_id, key.id, key.owner_id)

    async def _wait(self) -> None:
        failures = self._failures
        delay = self._context.settings.wrong_key_delay
        if failures.waiting >= WAITING_LIMIT:
            raise Refusal(
                429,
                "Too many requests with wrong keys came from this address.",
                226,
                {"retry-after": f"{max(delay, 1):.0f}"},
            )
        failures.waiting += 1
        try:
            await self._sleep(delay)
        finally:
            failures.waiting -= 1


def presented_key(authorization: str | None) -> str:
    """Return the key in an Authorization header. Raises Error 200 without one, 201 when it is unreadable.

    Of Basic credentials the password is the key, or the name when the password is empty.
    """
    if authorization is None:
        raise Error("The request has no Authorization header; send 'Authorization: Bearer <API key>'.", 200)
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return value
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            pass
        else:
            return password or name
    raise Error("The Authorization header cannot be read; its scheme must be Bearer (or Basic).", 201)


_bearer = HTTPBearer(auto_error=False, scheme_name="API key", description="An API key of the account.")


async def caller(
    request: Request, _shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """Return who the gate let in; the second parameter puts the rule into the OpenAPI document.

    Async as every dependency is here: others are run in a thread each.
    """
    return cast("Caller", request.scope[STATE])


Who = Annotated[Caller, Depends(caller)]
"""What a route takes to know its caller."""


async def context(request: Request) -> Context:
    """Return the context of the use cases, in which the caller is who makes changes."""
    caller = cast("Caller", request.scope[STATE])
    principal = Principal("API", caller.owner_id, credential_id=caller.key_id)
    return replace(cast("Context", request.app.state.context), principal=principal)


Ctx = Annotated[Context, Depends(context)]
"""What a route takes to call use cases."""
