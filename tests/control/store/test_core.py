"""SQLAlchemy's connections without its ORM."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("before", "loaded"), [("", "False"), ("import sqlalchemy.ext.asyncio", "True")], ids=["alone", "whole"]
)
def test_the_orm_is_loaded_only_by_who_has_asked_for_it(before: str, loaded: str) -> None:
    code = f"""
import sys
{before}
from portway.control.store.core import AsyncConnection
import sqlalchemy.ext.asyncio
assert sqlalchemy.ext.asyncio.engine.AsyncConnection is AsyncConnection
print("sqlalchemy.orm" in sys.modules)
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == loaded
