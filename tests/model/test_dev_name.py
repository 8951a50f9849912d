"""Names for dev domains."""

import re
import secrets

from portway.model.dev_name import ADJECTIVES, NOUNS, dev_label
from portway.model.url import normal_host


def test_every_label_is_a_good_name() -> None:
    for _ in range(200):
        label = dev_label(secrets.token_bytes)
        assert re.fullmatch("[a-z]+-[a-z]+-[0-9]{4}", label)
        assert normal_host(label) == label


def test_words_are_drawn_evenly_and_none_stands_twice() -> None:
    for words in (ADJECTIVES, NOUNS):
        assert len(words) == len(set(words)) == 64


def test_the_label_is_that_of_the_random_bytes() -> None:
    assert dev_label(lambda count: bytes(count)) == f"{ADJECTIVES[0]}-{NOUNS[0]}-0000"
    assert dev_label(lambda count: b"\xff" * count) == f"{ADJECTIVES[63]}-{NOUNS[63]}-{(2**64 - 1) % 10_000}"
