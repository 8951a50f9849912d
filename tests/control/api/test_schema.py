"""What schemas have in common."""

import pytest
from fastapi import Request
from pydantic import ValidationError

from portway.control.api.schema import Answer, Given, Ref, done, timestamp


class Both(Given):
    """A request."""

    text: str | None = None
    number: int | None = None


@pytest.mark.parametrize(
    "wrong", [{"text": 1}, {"number": "1"}, {"number": True}, {"number": 1.5}, {"more": 1}]
)
def test_requests_are_strict(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Both.model_validate(wrong)


def test_null_is_unset() -> None:
    assert Both.model_validate({"text": None}) == Both()


def test_every_field_of_an_answer_is_there() -> None:
    class Shown(Answer):
        name: str = ""
        ref: Ref | None = None

    assert Shown().model_dump() == {"name": "", "ref": None}
    assert Shown.model_json_schema(mode="serialization")["required"] == ["name", "ref"]


def test_timestamps() -> None:
    assert timestamp(1_800_000_000.9) == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize(
    ("agent", "status"),
    [("ngrok-api-python/0.0.0/3.11.7", 200), ("ngrok-api-go/8", 204), ("curl/8", 204), ("", 204)],
)
@pytest.mark.row("C12")
def test_an_action_is_answered_so_that_the_client_bears_it(agent: str, status: int) -> None:
    request = Request({"type": "http", "headers": [(b"user-agent", agent.encode())]})
    answer = done(request)
    assert answer.status_code == status
    assert answer.body == (b"{}" if status == 200 else b"")
