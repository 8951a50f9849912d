"""Sessions as a whole: how they begin, carry streams and end."""

from tests.kit.certs import Certs
from tests.kit.clock import on_fake_clock
from tests.kit.sessions import Pair


@on_fake_clock
async def test_tls_then_ready(certs: Certs) -> None:
    pair = Pair(certs)
    await pair.secure()
    assert pair.agent_owner.heard == pair.service_owner.heard == ["ready"]
    assert pair.agent.tls_version == "TLSv1.3"
    await pair.close()
    assert pair.agent_owner.closed == [None]
