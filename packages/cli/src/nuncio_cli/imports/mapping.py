"""How the columns of a file become nuncio's fields: the mapping of docs/import.md."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from nuncio_cli.errors import MappingInvalid
from nuncio_cli.imports.rows import Value

AttributeType = Literal["text", "number", "flag", "time", "version"]

FIELDS: Final = frozenset({
    "installation_id", "platform", "provider", "environment", "token", "endpoint", "p256dh",
    "auth", "vapid_key_id", "user_id", "permission", "language", "country", "time_zone",
    "app_version", "os_version", "device_model", "sdk_version", "topics", "tags", "last_seen",
    "observed_at",
})  # fmt: skip
FAMILIES: Final = ("attributes.", "consents.")
# Added to rejects; a corrected rejects file can be imported as it is.
REJECT_COLUMNS: Final = ("nuncio_line", "nuncio_field", "nuncio_rule", "nuncio_raw")


def is_field(name: str) -> bool:
    """Whether nuncio has a field of that name, such as "token" or "attributes.plan"."""
    return name in FIELDS or any(name.startswith(f) and name != f for f in FAMILIES)


class FieldMapping(BaseModel):
    """The mapping file. A column that carries the name of a field needs no entry."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    columns: dict[str, str] = {}
    """Field to the column it is read from; an empty column: the field is left out."""
    constants: dict[str, str] = {}
    """Field to a value for every row that has none."""
    values: dict[str, dict[str, str]] = {}
    """Field to (value in the file to value of nuncio); what is not listed stays as it is."""
    attribute_types: dict[str, AttributeType] = {}
    """Type of an attribute; default: text in CSV, the JSON type in NDJSON."""
    topic_separator: str = "|"
    """Between the topics, or the tags, of one CSV cell."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises MappingInvalid when the file is no TOML or names fields that do not exist."""
        try:
            mapping = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise MappingInvalid(detail=f"{path}: {error}") from error
        except ValidationError as error:
            raise MappingInvalid(detail=f"{path}: {_problems(error)}") from error
        named = [*mapping.columns, *mapping.constants, *mapping.values]
        unknown = sorted({name for name in named if not is_field(name)})
        if unknown:
            raise MappingInvalid(detail=f"{path}: no such field: {', '.join(unknown)}")
        return mapping

    def fields_of(self, column: str) -> list[str]:
        """The fields that a column of the file feeds."""
        taken = [field for field, source in self.columns.items() if source == column]
        by_name = [column] if is_field(column) and column not in self.columns else []
        return taken + by_name

    def column_of(self, field: str) -> str:
        """The column that feeds a field; the field itself where the mapping names none."""
        return self.columns.get(field) or field

    def ignored(self, columns: Iterable[str]) -> set[str]:
        """Those columns that feed no field."""
        return {c for c in columns if c not in REJECT_COLUMNS and not self.fields_of(c)}

    def apply(self, fields: Mapping[str, Value]) -> dict[str, Value]:
        """Translate values, and give constants to fields that have none."""
        given: dict[str, Value] = {}
        for field, value in fields.items():
            translation = self.values.get(field, {})
            given[field] = translation.get(value, value) if isinstance(value, str) else value
        return self.constants | {f: value for f, value in given.items() if value not in ("", [])}


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    )
