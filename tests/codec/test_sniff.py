"""Media types of texts."""

import pytest

from portway.codec.sniff import BINARY, HTML, JSON, PLAIN, XML, content_type


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", PLAIN),
        ("hello", PLAIN),
        ("a < b", PLAIN),
        ("<notatag>", PLAIN),
        ("  <!DOCTYPE html><p>", HTML),
        ("<h1>Hi</h1>", HTML),
        ("<!-- x -->", HTML),
        ('<?xml version="1.0"?>', XML),
        ('{"a": 1}', JSON),
        ("[1, 2]", JSON),
        ("[not json", PLAIN),
        ("[" * 100_000, PLAIN),
        ("\x00\x01", BINARY),
    ],
)
def test_a_text_is_known_by_its_beginning(text: str, expected: str) -> None:
    assert content_type(text) == expected
