"""Statuses, envelopes, and codes of what does not fit a schema."""

import json

import pytest

from portway.control.api.errors import Refusal, envelope, from_validation, status_of
from portway.errors import Error, NotFound, StoreUnavailable


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Error("no", 600), 400),
        (Error("no"), 400),
        (Error("no", 203), 401),
        (Error("no", 221), 403),
        (Error("no", 635), 403),
        (Error("no", 226), 429),
        (Error("away", 128), 503),
        (NotFound(), 404),
        (NotFound("no such policy", 1402), 404),
        (StoreUnavailable(), 503),
        (Refusal(418, "tea"), 418),
    ],
)
def test_statuses(error: Error, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.row("C7", "C22")
def test_envelope() -> None:
    assert json.loads(envelope(400, "no", "ERR_NGROK_600", "op_1")) == {
        "error_code": "ERR_NGROK_600",
        "status_code": 400,
        "msg": "no",
        "details": {"operation_id": "op_1"},
    }
    assert "error_code" not in json.loads(envelope(404, "Resource not found", "", "op_1"))


@pytest.mark.parametrize(
    ("place", "kind", "code"),
    [
        (("body", "extra"), "extra_forbidden", 214),
        (("body", "acl", 0), "string_type", 215),
        (("body", "url"), "missing", 215),
        (("query", "limit"), "int_parsing", 244),
        (("query", "limit"), "greater_than_equal", 233),
        (("query", "limit"), "less_than_equal", 233),
        (("query", "before_id"), "string_pattern_mismatch", 227),
        (("path", "id"), "string_pattern_mismatch", 227),
        (("query", "other"), "bool_parsing", 230),
    ],
)
def test_faults_of_fields(place: tuple[object, ...], kind: str, code: int) -> None:
    error = from_validation([{"loc": place, "type": kind, "msg": "Input should be better"}])
    assert error.code == f"ERR_NGROK_{code}"
    assert str(place[1]) in error.message or place[1] == "limit"


def test_a_long_name_of_a_field_is_cut() -> None:
    error = from_validation([{"loc": ("body", "x" * 9999), "type": "extra_forbidden", "msg": ""}])
    assert len(error.message) < 200
