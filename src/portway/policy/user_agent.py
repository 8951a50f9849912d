"""What a User-Agent field says of itself: program, system, kind of device, whether it is a robot.

A small table of what is common today, tried in order: enough to route and to filter, no census. A field may
claim anything; policies must not take it for an identity.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

LONGEST: Final = 2048
"""Characters that are looked at."""

_BOT: Final = re.compile(
    r"bot\b|bot[/;_-]|crawl|spider|slurp|archiver|facebookexternalhit|mediapartners|lighthouse|headlesschrome"
    r"|scrapy|preview|monitor|uptime|pingdom|phantomjs|whatsapp|feedfetcher|chatgpt-user",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"\+?(https?://[^\s;,)]+)")
_VERSION: Final = r"/([0-9][0-9A-Za-z._-]{0,40})"
_PROGRAMS: Final = tuple(
    (name, re.compile(pattern + _VERSION, re.IGNORECASE))
    for name, pattern in (
        ("Edge", r"\bEdg(?:e|A|iOS)?"), ("Opera", r"\b(?:OPR|Opera)"),
        ("Samsung Browser", r"\bSamsungBrowser"),
        ("Vivaldi", r"\bVivaldi"), ("Yandex Browser", r"\bYaBrowser"), ("Firefox", r"\b(?:Firefox|FxiOS)"),
        ("Headless Chrome", r"\bHeadlessChrome"), ("Chrome", r"\b(?:Chrome|CriOS)"),
        ("Chromium", r"\bChromium"),
    )
)  # fmt: skip
_SAFARI: Final = re.compile(r"\bVersion/([0-9][0-9.]*).*\bSafari/", re.IGNORECASE)
_EXPLORER: Final = re.compile(r"\bMSIE ([0-9.]+)|\bTrident/.*rv:([0-9.]+)")
_ROBOT: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9_ -]{0,40}?(?:bot|spider|crawler|externalhit)[A-Za-z-]{0,20})"
    r"(?:/([0-9][0-9A-Za-z._-]{0,40}))?",
    re.IGNORECASE,
)
_FIRST: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9 ._-]{0,60}?)/([0-9][0-9A-Za-z._-]{0,40})")
_SYSTEMS: Final = (
    ("Windows Phone", re.compile(r"Windows Phone(?: OS)? ([0-9.]+)")),
    ("Windows", re.compile(r"Windows NT ([0-9.]+)")),
    ("iOS", re.compile(r"(?:iPhone|iPad|iPod).*? OS ([0-9_]+)")),
    ("macOS", re.compile(r"Mac OS X ?([0-9_.]*)")),
    ("Android", re.compile(r"Android ?([0-9.]*)")),
    ("ChromeOS", re.compile(r"CrOS \S+ ([0-9.]+)")),
    ("Linux", re.compile(r"Linux()")),
)
_WINDOWS: Final = {"10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7", "6.0": "Vista", "5.1": "XP"}
_ANDROID_DEVICE: Final = re.compile(r"Android [0-9.]+; ([^;)]{1,60}?)(?: Build/[^;)]*)?\)")


class UserAgent(NamedTuple):
    """What is known; what is not is empty."""

    name: str = ""
    version: str = ""
    os: str = ""
    os_version: str = ""
    device: str = ""
    url: str = ""
    """An address that robots give for questions."""
    is_mobile: bool = False
    is_tablet: bool = False
    is_desktop: bool = False
    is_bot: bool = False


@lru_cache(maxsize=256)
def read_user_agent(raw: str) -> UserAgent:
    """Read a field's value."""
    text = raw[:LONGEST]
    if not text.strip():
        return UserAgent()
    bot = _BOT.search(text) is not None
    name, version = _program(text, bot=bot)
    system, system_version = _system(text)
    tablet = "iPad" in text or "Tablet" in text or (system == "Android" and "Mobile" not in text)
    mobile = not tablet and ("Mobile" in text or system in {"iOS", "Windows Phone", "Android"})
    link = _URL.search(text)
    return UserAgent(
        name,
        version,
        system,
        system_version,
        _device(text, system),
        link[1] if link else "",
        is_mobile=mobile and not bot,
        is_tablet=tablet and not bot,
        is_desktop=bool(system) and not (mobile or tablet or bot),
        is_bot=bot,
    )


def _program(text: str, *, bot: bool) -> tuple[str, str]:
    if bot and (robot := _ROBOT.search(text)):
        return robot[1].strip(), robot[2] or ""
    for name, pattern in _PROGRAMS:
        if found := pattern.search(text):
            return name, found[1]
    if found := _SAFARI.search(text):
        return "Safari", found[1]
    if found := _EXPLORER.search(text):
        return "Internet Explorer", found[1] or found[2]
    found = _FIRST.match(text)
    return (found[1].strip(), found[2]) if found else ("", "")


def _system(text: str) -> tuple[str, str]:
    for name, pattern in _SYSTEMS:
        if found := pattern.search(text):
            version = found[1].replace("_", ".")
            return name, _WINDOWS.get(version, version) if name == "Windows" else version
    return "", ""


def _device(text: str, system: str) -> str:
    for name in ("iPhone", "iPad", "iPod", "Macintosh"):
        if name in text:
            return "Mac" if name == "Macintosh" else name
    if system == "Android" and (found := _ANDROID_DEVICE.search(text)):
        return found[1].strip()
    return ""
