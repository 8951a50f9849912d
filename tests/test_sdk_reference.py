"""The SDK's reference page: written from docstrings that are all there."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import portway

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference" / "sdk.md").read_text()


@pytest.mark.row("G-019")
def test_every_public_name_and_member_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator refuses what has no docstring; whether the page is fresh is for `make check`."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    sections = "".join(import_module("sdk_reference").sections())
    headings = re.findall(r"^### `(\w+)`", sections, re.MULTILINE)
    assert sorted(headings) == sorted(set(portway.__all__) - {"__version__"})
    for member in ("agent_tls_termination", "accept", "update", "diagnose", "listen_and_forward", "recv"):
        assert f"`{member}" in sections


@pytest.mark.row("G-019")
def test_the_page_has_every_name() -> None:
    assert set(re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE)) >= {"Agent", "Upstream", "serve", "Error"}
