"""Identifiers and tokens."""

import itertools
import re
import secrets

import pytest

from portway.model.ids import (
    EPOCH,
    PREFIXES,
    Series,
    made_at,
    new_id,
    new_token,
    sibling_id,
    token_row,
    well_formed_token,
)

NOW = 1_800_000_000.75


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_id_is_the_prefix_and_27_digits(prefix: str) -> None:
    assert re.fullmatch(prefix + "_[0-9A-Za-z]{27}", new_id(prefix, secrets.token_bytes, NOW))


def test_an_unknown_prefix_is_refused() -> None:
    with pytest.raises(KeyError):
        new_id("zz", secrets.token_bytes, NOW)


def test_ids_sort_by_the_second_they_were_made_in() -> None:
    ids = [new_id("ep", secrets.token_bytes, EPOCH + second) for second in range(0, 10**9, 10**7)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_the_lowest_and_the_highest_id_keep_their_length() -> None:
    assert new_id("ep", bytes, EPOCH) == "ep_" + "0" * 27
    highest = new_id("ep", lambda n: b"\xff" * n, EPOCH + 2**32 - 1)
    assert len(highest) == len("ep_") + 27
    assert made_at(highest) == EPOCH + 2**32 - 1


def test_made_at_reads_the_second_back() -> None:
    assert made_at(new_id("ts", secrets.token_bytes, NOW)) == int(NOW)


@pytest.mark.parametrize("text", ["", "ep_", "ep_abc", "ep_" + "!" * 27])
def test_made_at_refuses_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError):
        made_at(text)


def test_siblings_share_their_digits() -> None:
    endpoint = new_id("ep", secrets.token_bytes, NOW)
    assert sibling_id("tn", endpoint) == "tn_" + endpoint[3:]


def test_a_token_names_its_row_and_is_well_formed() -> None:
    credential = new_id("cr", secrets.token_bytes, NOW)
    token = new_token(credential, secrets.token_bytes)
    assert re.fullmatch(r"[0-9A-Za-z]{27}_[0-9A-Za-z]{21}", token)
    assert token_row(token) == credential[3:]
    assert well_formed_token(token)


def test_token_digits_are_drawn_without_bias() -> None:
    # Bytes 248–255 would make the first digits of the alphabet likelier: they must be skipped.
    source = itertools.cycle([255, 248, 61])
    token = new_token("cr_" + "0" * 27, lambda n: bytes(itertools.islice(source, n)))
    assert token.endswith("_" + "z" * 21)


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "é", "a" * 513, "a.b", "Bearer x", "a/b"])
def test_malformed_tokens(token: str) -> None:
    assert not well_formed_token(token)


@pytest.mark.parametrize("token", ["a", "a" * 512, "AZ_az-09"])
def test_well_formed_tokens(token: str) -> None:
    assert well_formed_token(token)


@pytest.mark.parametrize("token", ["", "short_secret", "x" * 27, "x" * 27 + "_", "x" * 28 + "_y"])
def test_a_foreign_token_names_no_row(token: str) -> None:
    assert token_row(token) == ""


def test_a_series_never_repeats_and_tells_its_second() -> None:
    series = Series("ev", secrets.token_bytes)
    made = [series.next(NOW) for _ in range(10_000)]
    assert len(set(made)) == 10_000
    assert made[:3844] == sorted(made[:3844])
    assert {made_at(each) for each in made} == {int(NOW)}
    assert made_at(series.next(NOW + 1)) == int(NOW) + 1
    with pytest.raises(KeyError):
        Series("zz", secrets.token_bytes).next(NOW)
