"""What accounts keep about events."""

from portway.model.events import EventSource, EventSubscription


def test_a_source_wants_everything_unless_it_says_so() -> None:
    source = EventSource("domain_created.v0")
    assert (source.filter, source.fields, source.sample) == ("", None, None)
    assert EventSubscription("esb_1", "ac_1", "", "", 0.0).destination_ids == ()
