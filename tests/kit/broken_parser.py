"""A parser with a mistake on purpose: fuzzing must find it. Any bytes give a list of records, or ValueError.

A record is a tag of two bytes, a length and that many bytes, of which the last is the sum of the others.
"""

SEEDS = [b"PW\x03abc", b""]


def parse(data: bytes) -> list[bytes]:
    """Return the records. The mistake: an empty record has no last byte."""
    records: list[bytes] = []
    while data:
        if data[0] != ord("P"):
            raise ValueError("no record")
        if len(data) < 3:
            raise ValueError("too short")
        if data[1] == ord("W"):
            end = 3 + data[2]
        elif data[1] == ord("X"):
            end = 3
        else:
            raise ValueError("no such tag")
        record = data[3:end]
        if data[1] == ord("X") and data[2] == 0x7E and record[-1] != sum(record[:-1]) & 0xFF:
            raise ValueError("the sum is wrong")
        records.append(record)
        data = data[end:]
    return records


def check(data: bytes) -> None:
    """Read it."""
    try:
        parse(data)
    except ValueError:
        return
