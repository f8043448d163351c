"""The rejects file: the rows that did not go in, as they were, with line, field and rule."""

import csv
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self, TextIO

import orjson

from nuncio_cli.imports.mapping import REJECT_COLUMNS
from nuncio_cli.imports.rows import BadRow


class Form(Protocol):
    """How one rejected row is written."""

    def add(self, bad: BadRow) -> None:
        """Write one row."""


class CsvForm:
    """The columns of the file, then nuncio_line, nuncio_field and nuncio_rule."""

    def __init__(self, out: TextIO, columns: Sequence[str]) -> None:
        # A rejects file that is imported again has our columns already.
        self._columns = [column for column in columns if column not in REJECT_COLUMNS]
        self._writer = csv.writer(out)
        self._writer.writerow([*self._columns, *REJECT_COLUMNS])

    def add(self, bad: BadRow) -> None:
        cells = [bad.source.get(column, "") for column in self._columns]
        self._writer.writerow([*cells, bad.line, bad.field, bad.rule])


class NdjsonForm:
    """The record with three more keys."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def add(self, bad: BadRow) -> None:
        why = dict(zip(REJECT_COLUMNS, (bad.line, bad.field, bad.rule), strict=True))
        self._out.write(orjson.dumps({**bad.source, **why}).decode() + "\n")


class Rejects:
    """Counts rejected rows and writes them in the order in which they are found.

    The file is made for the first one, so that a clean import leaves none behind. Only its owner
    may read it: rows hold tokens. CSV when the source has columns, else NDJSON.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.count = 0
        self._columns = columns
        self._form: Form | None = None
        self._files = ExitStack()

    def add(self, bad: BadRow) -> None:
        """Count and write one row."""
        if self._form is None:
            self._form = self._create()
        self._form.add(bad)
        self.count += 1

    def _create(self) -> Form:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
        out = self._files.enter_context(file)
        return CsvForm(out, self._columns) if self._columns else NdjsonForm(out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._files.close()
