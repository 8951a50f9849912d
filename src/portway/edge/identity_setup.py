"""Joining what signs visitors in: providers, sessions, the callback host, and what policies may ask."""

from dataclasses import replace
from typing import TYPE_CHECKING

from portway.edge.binding import public_url
from portway.edge.identity import Identities
from portway.edge.identity_callback import CALLBACK, CallbackHost
from portway.edge.identity_provider import ProviderClient
from portway.edge.identity_sessions import Sessions
from portway.edge.identity_state import StateSeal
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint
from portway.model.view import AppSessionItem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portway.edge.identity_provider import Web
    from portway.edge.identity_sessions import IdentityStore
    from portway.edge.listener import Edge
    from portway.edge.policy_fetch import Fetcher
    from portway.edge.registry import Registry
    from portway.edge.view import View
    from portway.model.identity import ProviderApp
    from portway.model.view import ViewItem
    from portway.net.tasks import Tasks
    from portway.policy.compiler import World
    from portway.policy.geo import GeoLookup


def identities_of(
    edge: "Edge", store: "IdentityStore", web: "Web", secret: bytes, tasks: "Tasks", geo: "GeoLookup | None"
) -> Identities:
    """Make what signs the visitors of an edge in."""
    callback = f"{public_url('https', edge.config.auth_host, edge.config)}{CALLBACK}"
    provider = ProviderClient(web, callback, edge.now, edge.wall)
    sessions = Sessions(store, tasks, edge.now, edge.wall)
    return Identities(provider, sessions, StateSeal(secret), tasks, edge.wall, geo)


def publish(identities: Identities, edge: "Edge", registry: "Registry") -> None:
    """Put the callback host online. It is the service's own: of no account, told to nobody."""
    host = CallbackHost(identities.seal, edge.wall)
    for scheme in ("http", "https"):
        url = public_url(scheme, edge.config.auth_host, edge.config)
        registry.add(Endpoint("", url, scheme, "", Pool(lambda _: 0), own=True, policy=host))


def follow(identities: Identities, view: "View") -> None:
    """End sessions here that were ended in the store."""

    def changed(item: "ViewItem", _before: "ViewItem | None") -> None:
        if isinstance(item, AppSessionItem) and item.gone:
            identities.sessions.forget(item.id)

    view.on_change(changed)


def kinds(identities: Identities) -> "Mapping[str, Fetcher]":
    """Return what actions may ask for."""
    from portway.policy.actions.identity import WHAT

    return {WHAT: identities.fetch}


def knowing(
    world: "Callable[[str], World]", apps: "Mapping[str, ProviderApp]", domain: str
) -> "Callable[[str], World]":
    """Have policies know the operator's applications, and which domain all accounts share."""

    def known(account_id: str) -> "World":
        from portway.policy.actions.identity import APPS, SHARED

        made = world(account_id)
        return replace(made, extra={**made.extra, APPS: apps, SHARED: (domain,)})

    return known
