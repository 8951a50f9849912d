"""What User-Agent fields say."""

import pytest

from portway.policy.user_agent import UserAgent, read_user_agent

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/130.0.0.0 Safari/537.36"
EDGE = CHROME + " Edg/130.0.1"
SAFARI = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/18.0 Safari/605.1.15"
IPHONE = (
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {WEBKIT} Version/18.1 Mobile/15E148 Safari/604.1"
)
PIXEL = f"Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A) {WEBKIT} Chrome/130.0.0.0 Mobile Safari/537.36"
TABLET = f"Mozilla/5.0 (Linux; Android 13; SM-X200) {WEBKIT} Chrome/129.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.row("P-21")
@pytest.mark.parametrize(
    ("text", "name", "version", "os", "kind"),
    [
        (CHROME, "Chrome", "130.0.0.0", "Windows", "desktop"),
        (EDGE, "Edge", "130.0.1", "Windows", "desktop"),
        (SAFARI, "Safari", "18.0", "macOS", "desktop"),
        (IPHONE, "Safari", "18.1", "iOS", "mobile"),
        (PIXEL, "Chrome", "130.0.0.0", "Android", "mobile"),
        (TABLET, "Chrome", "129.0.0.0", "Android", "tablet"),
        (FIREFOX, "Firefox", "131.0", "Linux", "desktop"),
        (GOOGLE, "Googlebot", "2.1", "", "bot"),
        ("curl/8.5.0", "curl", "8.5.0", "", ""),
        ("python-requests/2.32", "python-requests", "2.32", "", ""),
        ("", "", "", "", ""),
        ("(((", "", "", "", ""),
    ],
)
def test_programs_and_kinds(text: str, name: str, version: str, os: str, kind: str) -> None:
    found = read_user_agent(text)
    assert (found.name, found.version, found.os) == (name, version, os)
    kinds = {
        "mobile": found.is_mobile,
        "tablet": found.is_tablet,
        "desktop": found.is_desktop,
        "bot": found.is_bot,
    }
    assert [each for each, holds in kinds.items() if holds] == ([kind] if kind else [])


def test_details() -> None:
    assert read_user_agent(GOOGLE).url == "http://www.google.com/bot.html"
    assert read_user_agent(CHROME).os_version == "10"
    assert read_user_agent(IPHONE).os_version == "18.1"
    assert read_user_agent(PIXEL).device == "Pixel 8"
    assert read_user_agent(IPHONE).device == "iPhone"


def test_a_hostile_field_takes_no_time() -> None:
    for text in ("a" * 100_000, "bot" * 30_000, "Android 1; " * 10_000, "/" * 100_000, "Mozilla " * 9000):
        assert isinstance(read_user_agent(text), UserAgent)
