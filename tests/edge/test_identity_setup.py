"""Joining what signs visitors in."""

from functools import partial
from typing import Any, cast

from tests.kit.identity import Clock, FakeProvider, FakeStore

from portway.edge import identity_setup
from portway.edge.ports import EdgeConfig
from portway.edge.registry import Registry
from portway.edge.view import View
from portway.model.identity import ProviderApp
from portway.model.view import AppSessionItem
from portway.net.tasks import Tasks
from portway.policy.compiler import World


class FakeEdge:
    """What of an edge is needed."""

    config = EdgeConfig(domain="portway.example", auth_host="auth.portway.example", https_port=8443)

    def now(self) -> float:
        """Return seconds."""
        return 0.0

    wall = now


async def test_the_callback_host_is_published_and_sessions_end_with_their_rows() -> None:
    clock = Clock()
    edge, registry, view = cast("Any", FakeEdge()), Registry(), View()
    async with Tasks() as tasks:
        made = identity_setup.identities_of(
            edge, FakeStore(clock), FakeProvider(clock), b"s" * 32, tasks, None
        )
        assert made.provider.callback == "https://auth.portway.example:8443/oauth2/callback"
        identity_setup.publish(made, edge, registry)
        for scheme in ("http", "https"):
            found = registry.find(scheme, "auth.portway.example")
            assert found is not None
            assert found.own
            assert found.policy is not None
        forgotten: list[str] = []
        made.sessions.forget = forgotten.append  # type: ignore[method-assign]
        identity_setup.follow(made, view)
        view.apply([AppSessionItem("appsess_1", "ac_1", gone=True)])
        assert forgotten == ["appsess_1"]
        assert list(identity_setup.kinds(made)) == ["identity"]


def test_policies_know_the_operator_s_applications() -> None:
    apps = {"google": ProviderApp("id", "secret")}
    world = identity_setup.knowing(lambda _: World(extra={"more": 1}), apps, "portway.example")
    assert partial(world, "ac_1")().extra == {
        "more": 1, "oauth_providers": apps, "shared_domains": ("portway.example",),
    }  # fmt: skip
