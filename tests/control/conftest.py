"""The use cases and the queries behave the same on either store."""

from collections.abc import Generator
from typing import cast

import pytest
from tests.kit import store

BOTH = {"store", "service"}
"""Folders whose tests run on both back ends, where they use `opened`."""


@pytest.fixture(autouse=True)
def back_end(request: pytest.FixtureRequest) -> Generator[str]:
    """Choose the store that `opened` opens."""
    name: str = getattr(request, "param", store.SQLITE)
    with store.back_end(name):
        yield name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses `opened` once on each."""
    module = cast("object", metafunc.module)  # pyright: ignore[reportUnknownMemberType]
    if metafunc.definition.path.parent.name in BOTH and hasattr(module, "opened"):
        metafunc.parametrize("back_end", store.BACK_ENDS, indirect=True)
