"""Traffic policies as the API takes them: judged by the same compiler that the data plane uses."""

import asyncio
import re
from typing import TYPE_CHECKING, Final

from portway.control.store import nouns
from portway.control.store.tables import certificate_authorities
from portway.errors import Error

if TYPE_CHECKING:
    from portway.control.service.context import Context
    from portway.model.url import Url
    from portway.policy.geo import Geo

LIMIT: Final = 256 << 10
"""Bytes of a traffic policy."""

_AUTHORITY: Final = re.compile(r"\bca_[A-Za-z0-9]+", re.ASCII).findall


async def check(context: "Context", account_id: str, url: "Url", text: str) -> None:
    """Refuse what could not be carried out on a cloud endpoint at this URL; compiled in a thread.

    Raises Error: 18002 when it is too long, else the codes of the policy's problems, all of which are told.
    """
    if len(text.encode()) > LIMIT:
        raise Error(f"The traffic policy is longer than {LIMIT} bytes.", 18002)
    authorities: dict[str, bytes] = {}
    if named := set(_AUTHORITY(text)):
        async with context.database.read() as connection:
            for each in sorted(named):
                row = await nouns.find(connection, certificate_authorities, account_id, each)
                if row is not None:
                    authorities[each] = str(row.ca_pem).encode()
    await asyncio.to_thread(_compile, text, url, authorities, geo=context.settings.geoip)


def _compile(text: str, url: "Url", authorities: dict[str, bytes], *, geo: bool) -> None:
    from portway.policy.compiler import Target, World, compile_policy

    world = World(authority=authorities.get, geo=_nowhere if geo else None)
    compile_policy(text, Target(url.scheme, internal=url.is_internal, cloud=True), world=world)


def _nowhere(_address: str) -> "Geo":
    from portway.policy.geo import Geo

    return Geo()
