"""The kept values."""

from portway.model.entities import Credential, Issued


def test_the_repr_of_something_issued_hides_its_token() -> None:
    issued = Issued(Credential("cr_1", "ac_1", "", 1.0), token="x_secret")
    assert "secret" not in repr(issued)
    assert "cr_1" in repr(issued)
