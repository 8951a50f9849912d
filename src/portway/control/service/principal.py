"""Who makes a change: the caller of the API, the operator's command, or the service itself."""

from typing import Any, Final

import msgspec


class Principal(msgspec.Struct, frozen=True):
    """As audit events tell it.

    ``source`` is API, CLI (``portway admin``), Agent or System; ``id`` and ``subject`` are of the user, if
    there is one; ``credential_id`` is the API key that opened the API.
    """

    source: str
    id: str = ""
    subject: str = ""
    credential_id: str = ""

    def shown(self, api_url: str) -> dict[str, Any]:
        """Return the value of ``principal`` in an event."""
        key = self.credential_id
        credential = {"id": key, "uri": f"{api_url}/api_keys/{key}"} if key else None
        return {"id": self.id, "subject": self.subject, "source": self.source, "credential": credential}


SYSTEM: Final = Principal("System")
"""The service itself."""
OPERATOR: Final = Principal("CLI")
"""``portway admin``."""
