"""A QR code of half blocks: right modules, and the same margins around."""

import segno

from portway.cli.qr import code

URL = "https://1eb2-127-0-0-1.portway.localhost:7443"


def test_the_modules_are_those_of_the_code() -> None:
    lines = code(URL)
    light = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
    seen: list[list[bool]] = []
    for line in lines:
        seen.append([not light[each][0] for each in line])
        seen.append([not light[each][1] for each in line])
    matrix = [list(map(bool, row)) for row in segno.make_qr(URL, error="l").matrix]
    assert [row[1 : 1 + len(matrix)] for row in seen[1 : 1 + len(matrix)]] == matrix
    assert not any(seen[0])
    assert not any(row[0] or row[-1] for row in seen)


def test_it_fits_a_small_terminal() -> None:
    lines = code(URL)
    assert max(map(len, lines)) <= 36
    assert len({len(line) for line in lines}) == 1
