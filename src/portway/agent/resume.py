"""Coming back as the same agent in another process: what a restart hands on.

The service knows an agent by its client id and cookie, and gives an endpoint back, under the same
identifier and URL, to who shows its token. All three are secrets of the agent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from portway.wire.messages import Bind, BindExtra, BindLabels, decode, encode


@dataclass(slots=True)
class Resumption:
    """A session that ended, and the binds that stood in it, oldest first."""

    client_id: str
    cookie: str = field(repr=False)
    binds: Sequence[Bind] = field(repr=False)

    def take(self, request: Bind | BindLabels) -> Bind | None:
        """Take out the bind that a new one of the same protocol continues; None if there is none."""
        if isinstance(request, BindLabels):
            return None  # no token would prove anything
        for bind in self.binds:
            if bind.proto == request.proto:
                self.binds = [each for each in self.binds if each is not bind]
                return msgspec.structs.replace(
                    request, id=bind.id, opts=bind.opts, extra=_with_token(request, bind)
                )
        return None

    def dump(self) -> bytes:
        """Write it down. It holds secrets."""
        binds = [msgspec.Raw(encode(bind)) for bind in self.binds]
        return msgspec.json.encode(_Written(self.client_id, self.cookie, binds))

    @classmethod
    def load(cls, data: bytes) -> "Resumption":
        """Read what was written down. Raises ValueError."""
        written = msgspec.json.decode(data, type=_Written)
        return cls(written.client_id, written.cookie, [decode(Bind, bytes(raw)) for raw in written.binds])


class _Written(msgspec.Struct):
    client_id: str
    cookie: str
    binds: list[msgspec.Raw]


def _with_token(request: Bind, bind: Bind) -> BindExtra:
    return msgspec.structs.replace(request.extra, token=bind.extra.token)
