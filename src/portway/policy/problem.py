"""What is wrong with a policy document: every problem at once, each with its place and code."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from portway.errors import Error

SHOWN: Final = 20
"""Problems that an error's text lists. All of them are in ``problems``."""


class Problem(NamedTuple):
    """One mistake: its code, a sentence, and where it stands (line and column from 1)."""

    code: int
    message: str
    path: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return ``line:column: path: message``."""
        path = f"{self.path}: " if self.path else ""
        return f"{self.line}:{self.column}: {path}{self.message}"


class PolicyError(Error):
    """A document that is no valid policy. The code is that of its first problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take the problems, at least one; they are told in the order of the document."""
        self.problems = tuple(sorted(problems, key=lambda each: (each.line, each.column)))
        lines = [_line(each) for each in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"… and {len(self.problems) - SHOWN} more")
        super().__init__("The traffic policy is invalid.\n" + "\n".join(lines), self.problems[0].code)


def _line(problem: Problem) -> str:
    """Write a problem for an error's text, with the code in a form that is not taken for the error's own."""
    return f"{problem} (code {problem.code})"


def meant(written: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" when one of the known words is like what was written, else nothing."""
    folded = {each.replace("_", "-"): each for each in known}
    close = difflib.get_close_matches(written.lower().replace("_", "-"), list(folded), 1, cutoff=0.7)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""
