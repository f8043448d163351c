"""Showing where an audience expression is wrong."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nuncio_cli import output
from nuncio_runtime.errors import ServiceError

LONGEST_LINE = 100


@contextmanager
def pointing_at(expression: str, *, quiet: bool) -> Iterator[None]:
    """When the expression is refused, show it on stderr with a caret at the place."""
    try:
        yield
    except ServiceError as error:
        if error.reason == "AUDIENCE_INVALID" and not quiet:
            for line in pointed(expression, error.metadata):
                output.notice(line, style="")
        raise


def pointed(expression: str, problem: Mapping[str, str]) -> list[str]:
    """The line that is wrong, a caret below the place, and what was expected there.

    problem: metadata of AUDIENCE_INVALID. Nothing when the fault lies in a segment, whose
    expression the caller does not see.
    """
    lines = expression.splitlines() or [""]
    number, column = int(problem.get("line", "1")), int(problem.get("column", "1"))
    if problem.get("segment") or not 1 <= number <= len(lines):
        return []
    # Long lines are cut around the place.
    start = max(0, column - 1 - LONGEST_LINE // 2)
    line = lines[number - 1][start : start + LONGEST_LINE]
    shown = ["  " + line.replace("\t", " "), "  " + " " * (column - 1 - start) + "^"]
    expected = problem.get("expected", "")
    return [*shown, f"  expected: {expected}"] if expected else shown
