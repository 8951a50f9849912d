"""Modules of an edge, read from what is kept of them."""

import json
from typing import Any

import pytest

from portway.model.modules import read


def test_a_module_that_is_switched_off_is_not_there() -> None:
    modules = {
        "backend": {"enabled": False, "backend_id": "bkdtg_1"},
        "compression": {"enabled": True},
        "oauth": {"enabled": False},
    }
    found = read(json.dumps(modules), "https")
    assert (found.backend_id, set(found.ruled)) == ("", {"compression"})
    assert read({}, "tcp").text == ""
    assert read(modules, "https").size == len(found.text) > 0


@pytest.mark.parametrize(
    ("form", "modules", "ends", "version", "authorities"),
    [
        ("tls", {}, False, "1.2", ()),
        ("tls", {"tls_termination": {"terminate_at": "upstream"}}, False, "1.2", ()),
        ("tls", {"tls_termination": {"terminate_at": "edge", "min_version": "1.3"}}, True, "1.3", ()),
        ("https", {}, False, "1.2", ()),
        ("https", {"mutual_tls": {"certificate_authority_ids": ["ca_1"]}}, True, "1.2", ("ca_1",)),
        ("https", {"tls_termination": {"min_version": "1.3"}}, True, "1.3", ()),
    ],
)
def test_how_tls_ends(
    form: str, modules: dict[str, Any], ends: bool, version: str, authorities: tuple[str, ...]
) -> None:
    found = read(modules, form)
    assert (found.ends_tls, found.min_version, found.authority_ids) == (ends, version, authorities)
