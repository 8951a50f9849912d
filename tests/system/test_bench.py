"""The benchmark measures what it says: a tiny run from end to end, and noise that tells a wrong byte."""

import subprocess
import sys
from pathlib import Path

import pytest
from bench.noise import CHUNK, PERIOD, CorruptError, noise, verify

ROOT = Path(__file__).parent.parent.parent
LIMIT = 500
"""Seconds; on a quiet machine it takes a twentieth of that."""

BEGIN = "<!-- bench: begin (written by `make bench ARGS=--write`; do not edit) -->"
END = "<!-- bench: end -->"


@pytest.mark.timeout(LIMIT + 10)
def test_a_tiny_run_writes_every_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nstale figures\n{END}\nafter\n")
    options = ["--scale", "0.004", "--rounds", "1", "--only", "portway", "--only", "minimal"]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", *options, "--write", str(page)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "stale" not in text
    assert "failed" not in text, [line for line in ended.stderr.splitlines() if "FAILED" in line]
    rows = [line for line in text.splitlines() if line.startswith("| portway |")]
    assert len(rows) == 4, text
    assert "–" not in "".join(rows)
    assert text.count("| minimal relay |") == 4, ended.stderr[-2000:]
    assert "start again" in text
    assert [line.split("|")[1].strip() for line in text.splitlines() if " ×) |" in line] == [
        "0",
        "1",
        "20",
        "100",
    ]


def test_noise_tells_a_wrong_byte_and_a_missing_block() -> None:
    piece = bytes(noise(PERIOD - 10, CHUNK))
    verify(piece, PERIOD - 10)
    verify(piece, 3 * PERIOD - 10)
    with pytest.raises(CorruptError):
        verify(piece, PERIOD - 10 + CHUNK)
    with pytest.raises(CorruptError):
        verify(piece[:-1] + bytes([piece[-1] ^ 1]), PERIOD - 10)
