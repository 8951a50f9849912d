"""The package's own name and version, as agents tell them and as `portway.__version__` shows it."""

from functools import cache

PRODUCT = "portway"


@cache
def own_version() -> str:
    """Return the version of the installed package.

    It is looked up when it is first needed: the machinery behind it takes longer to import than an agent.
    """
    from importlib.metadata import version

    return version(PRODUCT)
