"""Descriptions and metadata."""

from tests.kit.names import refused

from portway.control.service import texts


def test_texts_are_measured_in_bytes() -> None:
    texts.check("é" * 127, "é" * 2048, (504, 505))
    texts.check(None, None, (504, 505))
    with refused(504):
        texts.check("é" * 128, "", (504, 505))
    with refused(505):
        texts.check("", "x" * 4097, (504, 505))


def test_what_is_not_given_is_left_out() -> None:
    assert texts.given(description=None, metadata="") == {"metadata": ""}
