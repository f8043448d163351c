"""What the readers of all formats give: rows with nuncio's field names, and rows to reject."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

Value = str | float | bool | list[str]


class Row(NamedTuple):
    """A record of the file."""

    line: int
    """Where it begins, from 1."""

    values: Mapping[str, Value]
    """By nuncio's field, such as "token", "topics" or "attributes.plan"; absent when empty."""

    source: Mapping[str, object]
    """The record as it was read, for the rejects file."""


class BadRow(NamedTuple):
    """A record that does not go in. Neither field nor rule names a value."""

    line: int
    field: str
    """Nuncio's field, or empty when the record as a whole cannot be read."""
    rule: str
    source: Mapping[str, object]
    """The record as it was read; empty when it cannot be read."""
    raw: str = ""
    """The text of a record that cannot be read."""


class BadValueError(ValueError):
    """A value breaks a rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class Reader(Protocol):
    """Reads one format. Holds one record in memory at a time."""

    columns: list[str]
    """Columns of the file in its own order; empty where records name their fields."""

    ignored: set[str]
    """Columns seen so far that mean nothing to nuncio."""

    def column_of(self, field: str) -> str:
        """The column that feeds a field; the field itself where the file has none for it."""

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Raises FileUnusable when the file breaks off, or is of another format."""
