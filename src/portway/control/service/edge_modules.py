"""Modules of edges and routes: checked whole, before anything is stored.

What can be said of a module by itself is checked in ``model/module_checks.py``; what it names is looked for
in the account; and the rules that all modules together make are compiled, so that an edge never holds a
policy that its data plane would refuse.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from portway.control.service import backends, policies
from portway.control.service.context import Context
from portway.control.store import nouns
from portway.control.store.core import AsyncConnection
from portway.control.store.ip_tables import ip_policies
from portway.control.store.tables import certificate_authorities
from portway.errors import Error
from portway.model.module_checks import check_logins, check_module, check_together
from portway.model.modules import read
from portway.model.url import Url

if TYPE_CHECKING:
    from portway.codec.document import Node

Modules = Mapping[str, Mapping[str, Any]]

_PLACES: Final = {"tcp": Url("tcp", "edge.example", 1), "tls": Url("tls", "edge.example", 443)}
_ROUTE: Final = Url("https", "edge.example", 443)


async def check(context: Context, account_id: str, form: str, modules: Modules) -> None:
    """Check modules of an edge or, as "route", of a route. Raises Error 2090, 2201–2248 or 7007–7164."""
    for name, module in modules.items():
        check_module(name, module, form)
    check_logins(modules)
    others = {name: module for name, module in modules.items() if name != "ip_restriction"}
    source = read(others, "https" if form == "route" else form)
    if not source.ruled:
        return
    text = str(modules.get("traffic_policy", {}).get("value") or "")
    url = _PLACES.get(form, _ROUTE)

    def document() -> "str | Node":
        from portway.policy.modules import document_of

        return document_of(source, url.scheme)

    connects = await policies.check_document(context, account_id, url, text, document)
    if connects and form == "route":
        raise Error("The policy of an https edge has no phase on_tcp_connect.", 2248)


async def check_names(connection: AsyncConnection, account_id: str, form: str, modules: Modules) -> None:
    """Make sure that modules go together, and that the account has what they name. Raises Error."""
    check_together(form, modules)
    backend = modules.get("backend")
    if backend is not None:
        await backends.check_used(
            connection, account_id, str(backend["backend_id"]), http=form not in {"tcp", "tls"}
        )
    for each in modules.get("ip_restriction", {}).get("ip_policy_ids") or ():
        if await nouns.find(connection, ip_policies, account_id, each) is None:
            raise Error(f"There is no IP policy {each!r}.", 7007)
    for each in modules.get("mutual_tls", {}).get("certificate_authority_ids") or ():
        if await nouns.find(connection, certificate_authorities, account_id, each) is None:
            raise Error(f"There is no certificate authority {each!r}.", 7072)
