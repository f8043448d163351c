"""Records of a CSV file, with the lines that they are made of.

A record that cannot be read ends with its first line, and the next one begins in the line after
it: a stray quote costs one record, and not all that follow up to the next quote.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple, Self

from nuncio_cli.imports.source import MAX_LINE, TOO_LONG

MAX_LINES: Final = 100


class Record(NamedTuple):
    """A record as it was read."""

    line: int
    """Where it begins, from 1."""
    cells: list[str]
    text: str
    fault: str
    """Why it cannot be read; empty when it can."""


class Records:
    """Reads one record after the other (RFC 4180). Blank lines are passed over."""

    def __init__(self, lines: Iterator[str]) -> None:
        """The delimiter is told from the first line that is not blank."""
        self._lines = _Lines(lines)
        self._line = 1
        self._width = 0
        while (first := next(self._lines, "\n")).isspace() and self._lines.taken:
            self._forget()
        self._lines.take_back(0)
        delimiter = max(",;\t", key=first.count)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)

    def header(self) -> Record | None:
        """The first record; all others have to have as many cells. None: there is none."""
        record = next(self, None)
        self._width = len(record.cells) if record else 0
        return record

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Record:
        while True:
            record = self._read()
            if record.cells or record.fault:
                return record

    def _read(self) -> Record:
        line, cells, fault = self._line, list[str](), ""
        try:
            cells = next(self._reader)
        except csv.Error as error:
            fault = f"is not CSV: {error}"
        except _RunsOnError:
            fault = f"has a quote that is not closed within {MAX_LINES} lines"
        if cells and self._width and len(cells) != self._width:
            fault = f"has {len(cells)} cells where the header has {self._width}"
        if len(self._lines.taken[0]) >= MAX_LINE:
            fault = TOO_LONG
        if fault:
            self._lines.take_back(1)
        return Record(line, cells, self._forget().rstrip("\r\n"), fault)

    def _forget(self) -> str:
        """Be done with the lines that were taken; returns them."""
        text = "".join(self._lines.taken)
        self._line += len(self._lines.taken)
        self._lines.taken.clear()
        return text


class _RunsOnError(Exception):
    """A record takes more lines than a record has."""


class _Lines:
    """Lines that can be taken back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.taken: list[str] = []
        self._lines = lines
        self._again: deque[str] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= MAX_LINES:
            raise _RunsOnError
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        return line

    def take_back(self, start: int) -> None:
        """Give the lines from the start-th on once more."""
        self._again.extendleft(reversed(self.taken[start:]))
        del self.taken[start:]
