"""The package's own version."""

from importlib.metadata import version

import pytest

import portway
from portway.agent.version import own_version


@pytest.mark.row("G-024")
def test_it_is_that_of_the_installed_package() -> None:
    assert own_version() == portway.__version__ == version("portway")
