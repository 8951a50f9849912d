"""``--traffic-policy-url`` of an SSH client: the service fetches what an agent would.

The URL is the client's choice and the connection is the service's, so it is made by the guarded client in its
strict form: nothing of this machine or of a private network is asked, unless the operator allows it by
``--outgoing-allow``. What comes back is judged as any policy of a bind is, and is told to nobody else.
"""

from typing import TYPE_CHECKING, Final, Protocol

from portway.edge.ssh_request import Forward, bind_of
from portway.errors import Error
from portway.net.web_client import WebAnswer, WebFailure, WebRequest

if TYPE_CHECKING:
    from portway.edge.ports import EdgeConfig
    from portway.edge.ssh_command import Asked
    from portway.wire.messages import Bind

POLICY_LIMIT: Final = 262_144
"""Bytes of a policy that is fetched."""
TIMEOUT: Final = 10.0
"""Seconds that it may take to come."""
REDIRECTS: Final = 3
"""How often the URL may lead elsewhere."""


class Web(Protocol):
    """Who makes requests (``net/web_client.py``)."""

    async def request(self, request: WebRequest) -> WebAnswer:
        """Return the answer. Raises WebFailure."""
        ...


async def request_of(asked: "Asked", forward: Forward, config: "EdgeConfig", web: Web | None) -> "Bind":
    """Make the bind that a client asks for, its policy fetched. Raises Error; 9026: it cannot be had."""
    bind = bind_of(asked, forward, config)  # what does not fit is refused before anything is fetched
    if not asked.policy_url:
        return bind
    asked.modules["TrafficPolicy"] = await _fetched(asked.policy_url, web)
    return bind_of(asked, forward, config)


async def _fetched(url: str, web: Web | None) -> str:
    if web is None:
        raise _failed(url, "this service fetches nothing")
    request = WebRequest("GET", url, timeout=TIMEOUT, body_limit=POLICY_LIMIT, redirects=REDIRECTS)
    try:
        answer = await web.request(request)
        text = answer.body.decode("utf-8-sig")
    except WebFailure as error:
        raise _failed(url, error.message) from error
    except UnicodeDecodeError as error:
        raise _failed(url, "it is no UTF-8 text") from error
    if answer.status != 200:
        raise _failed(url, f"the answer is {answer.status}")
    return text


def _failed(url: str, why: str) -> Error:
    return Error(f"The traffic policy {url} cannot be fetched: {why}.", 9026)
