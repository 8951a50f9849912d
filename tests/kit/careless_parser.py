"""A parser with a mistake near its one seed: even changes at random must find it.

Any bytes give the last byte of a record, or ValueError.
"""

SEEDS = [b"PW\x03abc"]


def check(data: bytes) -> None:
    """Read a tag of two bytes, a length and that many bytes. The mistake: too few may follow."""
    if data[:2] == b"PW":
        _ = data[2], data[2 + data[2]]
