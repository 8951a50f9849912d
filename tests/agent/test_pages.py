"""The page for an upstream that cannot be reached."""

import pytest

from portway.agent.pages import unreachable
from portway.codec.http1 import Framing, Kind, find_head, parse_response


@pytest.mark.row("G-126", "A14")
def test_it_is_a_whole_response() -> None:
    page = unreachable("http://localhost:1", "connection refused")
    end = find_head(page)
    head = parse_response(page[:end], b"GET")
    assert head.status == 502
    assert head.framing == Framing(Kind.LENGTH, len(page) - end)
    assert not head.keep_alive
    assert b"ERR_NGROK_8012" in page[end:]


def test_everything_in_it_is_escaped() -> None:
    page = unreachable("http://<script>", "<b>")
    assert b"<script>" not in page
    assert b"<b>" not in page
