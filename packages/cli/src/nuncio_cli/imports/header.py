"""Whether the columns of a CSV file can make a registration at all."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from nuncio_cli.errors import FileUnusable
from nuncio_cli.imports.mapping import FIELDS, FieldMapping

# Of each at least one, from a column or a constant.
NEEDED: Final = (("platform",), ("token", "endpoint"))
# As difflib rates it: "platfrom" and "tokens" are close to a field, "device" is to none.
CLOSE: Final = 0.75


def alike(column: str) -> str:
    """The field that a column looks like a misspelling of; empty when there is none."""
    plain = column.lower().replace("-", "_").replace(" ", "_")
    found = get_close_matches(plain, sorted(FIELDS), n=1, cutoff=CLOSE)
    return found[0] if found else ""


def _ending_in(column: str, fields: Sequence[str]) -> str:
    """The field of these that ends the column's name, as in "device_token"; empty: none does."""
    return next((field for field in fields if column.lower().endswith(field)), "")


def check_header(columns: Sequence[str], mapping: FieldMapping) -> None:
    """Raise FileUnusable, with the columns that are expected, when no row could go in."""
    fed = {*mapping.constants}.union(*map(mapping.fields_of, columns))
    missing = [" or ".join(fields) for fields in NEEDED if fed.isdisjoint(fields)]
    if not missing:
        return
    ignored = sorted(mapping.ignored(filter(None, columns)))
    lacked = [field for fields in NEEDED if fed.isdisjoint(fields) for field in fields]
    hints = [
        f"is {column} meant to be {field}?"
        for column in ignored
        if (field := _ending_in(column, lacked) or alike(column))
    ]
    said = [
        f"the header has no column {', and none '.join(missing)}",
        f"it has {', '.join(filter(None, columns)) or 'no names'}",
        *hints,
        "docs/import.md has all columns, and --mapping names others",
    ]
    raise FileUnusable(detail="; ".join(said))
