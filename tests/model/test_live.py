"""The values that say what is online, on their way."""

import msgspec

from portway.model.live import LiveEndpoint, LiveNote, LiveSession


def test_a_note_survives_its_journey() -> None:
    session = LiveSession(id="ts_1", account_id="ac_1", credential_id="cr_1", os="linux", started_at=2.5)
    endpoint = LiveEndpoint(
        id="ep_1",
        account_id="ac_1",
        session_id="ts_1",
        url="tcp://localhost:20001",
        metadata='{"ü": 1}',
        pooling_enabled=True,
        created_at=3.0,
        updated_at=4.0,
    )
    note = LiveNote(reset=True, complete=False, sessions=(session,), endpoints=(endpoint,), gone=("ep_2",))
    assert msgspec.json.decode(msgspec.json.encode(note), type=LiveNote) == note


def test_an_empty_note_says_that_all_has_been_told() -> None:
    assert msgspec.json.decode(b"{}", type=LiveNote) == LiveNote()
    assert LiveNote().complete
