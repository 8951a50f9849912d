"""tools/conformance.py: which claims it finds, and that the page says what they are."""

from pathlib import Path

import pytest
from tools.conformance import Area, Proof, proofs_of, read_areas, render

CLAIMS = """
import pytest

pytestmark = [pytest.mark.row("S1")]

@pytest.mark.row("S2", "G-010")
async def test_one(): ...

@pytest.mark.row(*("S3", "S4"))
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.row("A1"))])
def test_two(x): ...
"""


def _claims(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> list[Proof]:
    monkeypatch.setattr("tools.conformance.TESTS", folder)
    file = folder / "test_claims.py"
    file.write_text(text)
    return list(proofs_of(file))


def test_claims_are_found_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _claims(tmp_path, CLAIMS, monkeypatch)
    assert {proof.row for proof in found} == {"S1", "S2", "G-010", "S3", "S4", "A1"}
    assert next(proof.test for proof in found if proof.row == "G-010") == "test_claims.py::test_one"


def test_a_claim_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="written out"):
        _claims(tmp_path, "import pytest\nROW = 'S1'\npytestmark = pytest.mark.row(ROW)\n", monkeypatch)


def test_the_page_counts_and_orders_rows() -> None:
    areas = [Area("One", {"S10": "ten", "S2": "two"})]
    page = render(areas, [Proof("S2", "a::b"), Proof("S2", "a::b"), Proof("S2", "c::d")])
    assert "1 of 2 rows are proved." in page
    assert page.index("| S2 | two | `a::b`<br>`c::d` |") < page.index("| S10 | ten | open |")
    page = render([Area("One", {"ED-10": "ten", "ED-02": "two"})], [])
    assert page.index("ED-02") < page.index("ED-10")


def test_a_row_stands_once() -> None:
    with pytest.raises(ValueError, match="S1"):
        read_areas('[a]\ntitle = "A"\nrows.S1 = "x"\n[b]\ntitle = "B"\nrows.S1 = "y"\n')
