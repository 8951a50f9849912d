"""What the control plane asks of the data plane, when there is none."""

import pytest

from portway.control.ports import NoAgents
from portway.errors import Error


async def test_without_a_data_plane_no_agent_can_be_reached() -> None:
    with pytest.raises(Error) as caught:
        await NoAgents().command("ts_1", "stop")
    assert caught.value.code == "ERR_NGROK_810"
