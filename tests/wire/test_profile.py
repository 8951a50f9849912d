"""Profiles: what each peer bears, and who is who."""

import pytest

from portway.wire.frames import INITIAL_WINDOW, MAX_CREDIT
from portway.wire.profile import (
    OFFICIAL_GO,
    OFFICIAL_RUST,
    OFFICIAL_SERVICE,
    PEER_STREAM_LIMIT,
    PORTWAY,
    STRICT,
    Profile,
    profile_for,
)


@pytest.mark.parametrize(
    ("user_agent", "profile"),
    [
        ("ngrok-go/2.1.1", OFFICIAL_GO),
        ("my#app-x/1.2.3 (comment one) ngrok-python/1.4.0 ngrok-rust/0.14.0-pre.14", OFFICIAL_RUST),
        ("ngrok-javascript/1.7.0 ngrok-rust/0.18.0", OFFICIAL_RUST),
        ("portway/0.1.0", PORTWAY),
        ("my-app/1 (x; y) portway/0.1.0 (linux)", PORTWAY),
        ("portway/9 ngrok-go/2.1.1", OFFICIAL_GO),
        ("portway/9 ngrok-rust/0.18.0", OFFICIAL_RUST),
        ("evil (portway/1)", STRICT),
        ("portway-clone/1", STRICT),
        ("ngrok/3.20.0", STRICT),
        ("", STRICT),
        (") ( ((", STRICT),
    ],
)
def test_the_user_agent_chooses(user_agent: str, profile: Profile) -> None:
    assert profile_for(user_agent) is profile


@pytest.mark.row("S5", "S10", "S11")
@pytest.mark.parametrize("profile", [STRICT, OFFICIAL_RUST, OFFICIAL_GO])
def test_official_agents_are_spared(profile: Profile) -> None:
    assert profile.frame_limit <= 65_536
    assert profile.send_credit_cap == INITIAL_WINDOW
    assert profile.stream_limit == 480
    assert profile.urgent_limit < 512
    assert profile.fin_before_reset
    assert profile.reset_on_abort


def test_windows_are_raised_only_toward_peers_that_gain() -> None:
    profiles = (STRICT, OFFICIAL_RUST, OFFICIAL_GO, OFFICIAL_SERVICE, PORTWAY)
    raised = [profile for profile in profiles if profile.receive_window > INITIAL_WINDOW]
    assert raised == [OFFICIAL_GO, PORTWAY]


@pytest.mark.parametrize("profile", [STRICT, OFFICIAL_RUST, OFFICIAL_GO, OFFICIAL_SERVICE, PORTWAY])
def test_no_step_of_credit_leaves_much_of_a_window_idle(profile: Profile) -> None:
    assert profile.grant_step <= profile.receive_window // 8
    assert profile.grant_step <= INITIAL_WINDOW // 2  # for peers that cut credit to that, whatever they say


def test_our_own_ends_fit_each_other() -> None:
    assert PORTWAY.urgent_limit == PEER_STREAM_LIMIT
    assert PORTWAY.send_credit_cap == MAX_CREDIT
    assert PORTWAY.frame_limit <= INITIAL_WINDOW
    assert not PORTWAY.fin_before_reset


@pytest.mark.row("A8")
def test_an_agent_believes_a_foreign_service_all_credit() -> None:
    assert OFFICIAL_SERVICE.send_credit_cap == MAX_CREDIT
