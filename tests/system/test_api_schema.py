"""The API against its own OpenAPI document: requests that schemathesis makes up, good and bad ones.

Whatever comes, the answer has a documented status, type and shape, and nothing is a fault of ours.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.kit.api import serving_api
from tests.kit.things import CREATE

from portway.control.api.app import document

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
"""Not `positive_data_acceptance`: many rules cannot be said in a schema with the right code. Nor
`negative_data_rejection`: what it takes for wrong in a query, a list that is one text, is right there."""

_ALIKE = re.compile(
    r"/edges/(tcp|https)/.*\{id\}/\w+|/edges/https.*|/backends/(static|weighted|failover|http_response).*"
).fullmatch
"""Edges and their modules are made by the same few functions, and so are backends: one of each stands for all
in the short form."""

SHORT, LONG = 2, 200
"""Requests for each operation and kind, in `make test` and in `make soak`."""


@pytest.mark.row("C24", "C7")
@pytest.mark.timeout(400)  # in the middle of an example it is told as a test that contradicts itself
def test_every_answer_is_as_documented(tmp_path: Path) -> None:
    _explore(tmp_path, SHORT)


@pytest.mark.long
def test_every_answer_is_as_documented_at_length(tmp_path: Path) -> None:
    _explore(tmp_path, LONG)


def _explore(folder: Path, examples: int) -> None:
    # Imported here: every process of tests collects this file, and one runs it.
    schemathesis: Any = import_module("schemathesis")
    modes: Any = import_module("schemathesis.generation").GenerationMode
    registry: Any = import_module("schemathesis.checks")
    schema = schemathesis.openapi.from_dict(document())
    checks: list[Any] = registry.CHECKS.get_by_names(CHECKS)
    with serving_api(folder, wrong_key_delay=0.0) as (url, api):
        headers = {"Authorization": f"Bearer {api.key}"}
        ids = {noun: _made(f"{url}/{noun}", headers, create()) for noun, create in CREATE.items()}
        for found in schema.get_all_operations():
            if examples == SHORT and _ALIKE(found.ok().path):
                continue
            for mode in (modes.POSITIVE, modes.NEGATIVE):
                good = ids if mode is modes.POSITIVE else {}
                _try(found.ok(), mode, examples, url, headers, good, checks)


def _made(place: str, headers: dict[str, str], what: dict[str, Any]) -> str:
    """Make something to ask for; return its identifier."""
    requests: Any = import_module("requests")
    made = requests.post(place, json=what, headers=headers | {"Ngrok-Version": "2"}, timeout=10)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def _try(
    operation: Any,
    mode: Any,
    examples: int,
    url: str,
    headers: dict[str, str],
    ids: dict[str, str],
    checks: list[Any],
) -> None:
    """Send requests for one operation; those with an identifier, but to delete, ask for what there is."""
    parts = operation.path.split("/")
    real = ids.get(parts[1]) or ids.get("/".join(parts[1:3]))

    def check(case: Any) -> None:
        if real and case.path_parameters and case.method != "DELETE":
            case.path_parameters["id"] = real
        response = case.call(base_url=url, headers=headers)
        case.validate_response(response, checks=checks, headers=headers)

    limits = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples == SHORT,  # what everybody runs must not surprise anybody
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    strategy = operation.as_strategy(generation_mode=mode)
    explore: Any = limits(given(case=strategy)(check))
    explore()
