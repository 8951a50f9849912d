"""Problems as an error."""

from portway.errors import Error
from portway.policy.problem import PolicyError, Problem


def test_the_error_is_that_of_the_first_problem_in_the_document() -> None:
    error = PolicyError([Problem(2203, "late", "b", 9, 1), Problem(2200, "early", "a", 2, 5)])
    assert error.code == "ERR_NGROK_2200"
    assert "2:5: a: early" in error.message
    assert error.message.index("early") < error.message.index("late")
    assert Error.parse(str(error)).code == "ERR_NGROK_2200"


def test_a_long_list_is_cut_in_the_text_only() -> None:
    error = PolicyError([Problem(2203, "x", "", line, 1) for line in range(1, 51)])
    assert len(error.problems) == 50
    assert "… and 30 more" in error.message
