"""Names for dev domains."""

import re
import secrets

from portway.model.dev_name import ADJECTIVES, NOUNS, dev_id, dev_label
from portway.model.ids import made_at, new_id
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


def test_the_identifier_follows_from_account_and_base_domain() -> None:
    accounts = [new_id("ac", secrets.token_bytes, now) for now in (1.8e9, 1.8e9, 1.9e9)]
    made = {dev_id(account, base) for account in accounts for base in ("a.example", "b.example")}
    assert len(made) == 6
    for account in accounts:
        identifier = dev_id(account, "a.example")
        assert identifier == dev_id(account, "a.example")
        assert re.fullmatch("rd_[0-9A-Za-z]{27}", identifier)
        assert made_at(identifier) == made_at(account)
