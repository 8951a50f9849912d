"""What schemas have in common: an answer shows every field always, a request may name only what there is.

Clients fail on a missing key, so what is unset is shown as null, "" or []. What clients send as a
placeholder for "not given" ("", 0, []) means that in a create; in an update only what is absent or
null is left as it is.
"""

from typing import Annotated

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from portway.control.service.shown import timestamp

__all__ = ["Answer", "Description", "Given", "Metadata", "Ref", "Timestamp", "done", "timestamp"]


class Answer(BaseModel):
    """Base of what is answered. In the document every field is required: it is always there."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Given(BaseModel):
    """Base of what a client sends: unknown fields and other types than those named are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Ref(Answer):
    """A reference to another resource; ``uri`` is "" for what has none."""

    id: str
    uri: str


Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC."""


Description = Annotated[str | None, Field(description="For people; at most 255 bytes.")]
Metadata = Annotated[str | None, Field(description="For programs; at most 4096 bytes.")]
"""What a client may say of every resource; the noun's use case has the code of what is too long."""


def done(request: Request) -> Response:
    """Answer an action that has nothing to show: 204, or 200 to ngrok's Python client, which fails on 204."""
    if request.headers.get("user-agent", "").startswith("ngrok-api-python/"):
        return Response("{}", 200, media_type="application/json")
    return Response(status_code=204)
