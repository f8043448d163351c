"""The rejects file: the rows that did not go in, as they were, with line, field and rule."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, Self, TextIO

import orjson

from nuncio_cli.errors import FileUnusable
from nuncio_cli.files import fresh_private
from nuncio_cli.imports.mapping import REJECT_COLUMNS
from nuncio_cli.imports.rows import BadRow

PARTIAL: Final = ".partial"

OnBreak = Callable[[int, Path], None]
"""How many rows were rejected before the import broke off, and where they are."""


class Form(Protocol):
    """How one rejected row is written."""

    def add(self, bad: BadRow) -> None:
        """Write one row."""


class CsvForm:
    """The columns of the file, then nuncio_line, nuncio_field, nuncio_rule and nuncio_raw."""

    def __init__(self, out: TextIO, columns: Sequence[str]) -> None:
        # A rejects file that is imported again has our columns already.
        self._columns = [column for column in columns if column not in REJECT_COLUMNS]
        self._writer = csv.writer(out)
        self._writer.writerow([*self._columns, *REJECT_COLUMNS])

    def add(self, bad: BadRow) -> None:
        cells = [bad.source.get(column, "") for column in self._columns]
        self._writer.writerow([*cells, bad.line, bad.field, bad.rule, _raw(bad)])


class NdjsonForm:
    """The record with four more keys; nuncio_raw only when there is one."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def add(self, bad: BadRow) -> None:
        why = {"nuncio_line": bad.line, "nuncio_field": bad.field, "nuncio_rule": bad.rule}
        raw = {"nuncio_raw": _raw(bad)} if _raw(bad) else {}
        self._out.write(orjson.dumps({**bad.source, **why, **raw}).decode() + "\n")


def _raw(bad: BadRow) -> str:
    """The record's text; that of an earlier import when its rejects were not mended."""
    return bad.raw or str(bad.source.get("nuncio_raw", ""))


class Rejects:
    """Counts rejected rows and writes them in the order in which they are found.

    They are written beside the file, which is replaced when the import has come to its end; an
    import without rejects leaves no file behind. One that breaks off leaves the file as it was,
    and its own rejects, if any, in the draft. Only the owner may read them: rows hold tokens.
    CSV when the source has columns, else NDJSON.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        column_of: Callable[[str], str],
        *,
        on_break: OnBreak,
    ) -> None:
        """column_of: what the file calls a field. on_break: told when the import breaks off."""
        self.path = path
        self._on_break = on_break
        self._column_of = column_of
        self.count = 0
        # A device or a pipe, such as /dev/null, is written to as it is.
        self._in_place = path.exists() and not path.is_file()
        self._draft = path if self._in_place else draft_of(path)
        self._columns = columns
        self._out: TextIO | None = None
        self._form: Form | None = None

    def add(self, bad: BadRow) -> None:
        """Count and write one row."""
        if self._form is None:
            assert self._out is not None
            self._form = (
                CsvForm(self._out, self._columns) if self._columns else NdjsonForm(self._out)
            )
        self._form.add(bad._replace(field=self._column_of(bad.field)))
        self.count += 1

    def __enter__(self) -> Self:
        """Raises FileUnusable when the file cannot be written."""
        try:
            self._out = self._open()
        except OSError as error:
            raise FileUnusable(detail=f"{self.path}: {error.strerror}") from error
        return self

    def _open(self) -> TextIO:
        if self._in_place:
            return self.path.open("w", encoding="utf-8", newline="")
        return fresh_private(self._draft)

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        assert self._out is not None
        self._out.close()
        if not self._in_place:
            self._put_in_place(whole=kind is None)
        if kind is not None:
            self._on_break(self.count, self._draft)

    def _put_in_place(self, *, whole: bool) -> None:
        if not self.count:
            self._draft.unlink()
            if whole:
                self.path.unlink(missing_ok=True)  # Of an earlier import.
        elif whole:
            self._draft.replace(self.path)


def draft_of(path: Path) -> Path:
    """Where rejects are until the import has come to its end."""
    return path.with_name(path.name + PARTIAL)
