"""The OWASP Core Rule Set of the machine, and the engine for it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from portway.edge.waf_engine import MODULE
from tests.kit.programs import need


def need_crs() -> Path:
    """Return the folder of the rules; skip the test without them or their engine, naming what to install."""
    if find_spec(MODULE) is None:
        pytest.skip(f"{MODULE} is not installed; it has wheels for Linux x86-64, Python 3.11 to 3.13")
    return need("REQUEST-901-INITIALIZATION.conf").parent.parent


def crs_flags() -> list[str]:
    """Return the flags with which a service has the rules; none where the machine has none."""
    try:
        return ["--crs", str(need_crs())]
    except pytest.skip.Exception:
        return []
