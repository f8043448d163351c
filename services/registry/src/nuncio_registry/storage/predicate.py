"""Predicates as SQL: the one place that composes SQL, from the constants below and $n only.

Values never reach the text; they are arguments. A comparison with a field that has no value is
NULL, which AND, OR and WHERE take for false; `NOT` is written IS NOT TRUE, so that it holds there.
"""

from typing import Any, Final
from uuid import UUID

from nuncio_registry.domain.conjuncts import conjuncts
from nuncio_registry.domain.language import canonical_language
from nuncio_registry.domain.model import Version
from nuncio_registry.domain.predicate import (
    CHOICES,
    SETS,
    AllOf,
    AnyOf,
    Comparison,
    Field,
    NoneOf,
    Operator,
    Predicate,
    Type,
    type_of,
)
from nuncio_registry.storage.attributes import to_json

# What queries have in the place of the predicate.
PLACE: Final = "TRUE /* predicate */"
# What one has, besides, in the place of the part that an index answers.
INDEXED_PLACE: Final = "TRUE /* indexed */"

_BARE_LANGUAGE: Final = "split_part(i.language, '-', 1)"
_COLUMNS: Final = {
    Field.INSTALLATION_ID: ("i.installation_id", "uuid"),
    Field.USER_ID: ("i.user_id", "text"),
    Field.PLATFORM: ("i.platform", "smallint"),
    Field.ENVIRONMENT: ("i.environment", "smallint"),
    Field.LANGUAGE: ("i.language", "text"),
    Field.COUNTRY: ("i.country", "text"),
    Field.TIME_ZONE: ("i.time_zone", "text"),
    Field.APP_VERSION: ("i.app_version_parts", "version"),
    Field.OS_VERSION: ("i.os_version_parts", "version"),
    Field.DEVICE_MODEL: ("i.device_model", "text"),
    Field.PERMISSION: ("i.permission", "smallint"),
    Field.TOPICS: ("i.topics", "text"),
    Field.TAGS: ("i.tags", "text"),
    Field.CONSENTS: ("i.consents_granted", "text"),
    Field.LAST_SEEN: ("i.last_seen_at", "timestamptz"),
    Field.CREATED: ("i.created_at", "timestamptz"),
    Field.TOKEN_CHANGED: ("i.token_changed_at", "timestamptz"),
    Field.LAST_OPENED: ("i.last_opened_at", "timestamptz"),
    Field.PROVIDER: ("i.provider", "smallint"),
    Field.SDK_VERSION: ("i.sdk_version", "text"),
    Field.TOKEN_STATE: ("i.token_state", "smallint"),
}
_ORDERS: Final = {
    Operator.LESS: "<",
    Operator.LESS_OR_EQUAL: "<=",
    Operator.GREATER: ">",
    Operator.GREATER_OR_EQUAL: ">=",
}
# An ordered attribute of the type: the typed value, or NULL where it has another type.
_TYPED: Final = {
    Type.NUMBER: "(i.attributes -> {name} ->> 'number')::float8",
    Type.TIME: "(i.attributes -> {name} ->> 'time')::bigint",
    Type.VERSION: "version_parts(i.attributes -> {name} ->> 'version')",
}
# Longer lists are hashed once per statement. PostgreSQL does so by itself with constants only: an
# argument is compared with value by value, which for 10,000 of them takes seconds where a page of
# keys takes milliseconds. IS TRUE keeps the list from becoming a join, which would be as slow.
_MOST_COMPARED: Final = 8
_LISTED: Final = "({column} = ANY ({list}))"
_HASHED: Final = "(({column} IN (SELECT unnest({list}))) IS TRUE)"
_PARTS_OF: Final = "SELECT version_parts(v) FROM unnest({}) AS v"
_TYPES: Final = {Type.NUMBER: "float8", Type.TIME: "bigint"}


def where(query: str, predicate: Predicate | None, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The query with the predicate in its place, and then all its arguments."""
    if predicate is None:
        return (query, *arguments)
    compiler = _Compiler(list(arguments))
    condition = compiler.condition(predicate)
    return (query.replace(PLACE, condition), *compiler.arguments)


def indexed(predicate: Predicate | None) -> Predicate | None:
    """The part of the predicate that the index on topics, tags and attributes answers, if any."""
    parts = tuple(filter(_is_indexed, conjuncts(predicate)))
    return AllOf(parts) if parts else None


def where_indexed(
    query: str, predicate: Predicate | None, part: Predicate, arguments: tuple[Any, ...]
) -> tuple[Any, ...]:
    """As `where`, with the part that an index answers in a place of its own."""
    compiler = _Compiler(list(arguments))
    query = query.replace(INDEXED_PLACE, compiler.condition(part))
    return where(query, predicate, tuple(compiler.arguments))


def _is_indexed(node: Predicate) -> bool:
    match node:
        case AllOf(operands) | AnyOf(operands):
            return bool(operands) and all(map(_is_indexed, operands))
        case Comparison(field=Field.TOPICS | Field.TAGS, operator=Operator.HAS):
            return True
        case Comparison(field=Field.ATTRIBUTE, operator=Operator.IN, values=values):
            return type_of(values[0]) is not Type.VERSION
        case _:
            return False


class _Compiler:
    """Writes conditions and collects their arguments after those that the query has."""

    def __init__(self, arguments: list[Any]) -> None:
        self.arguments = arguments

    def condition(self, node: Predicate) -> str:
        match node:
            case AllOf(operands):
                return self._joined(operands, " AND ") or "TRUE"
            case AnyOf(operands):
                return self._joined(operands, " OR ")
            case NoneOf(operand):
                return f"({self.condition(operand)} IS NOT TRUE)"
            case Comparison(field=Field.ATTRIBUTE):
                return self._attribute(node)
            case Comparison():
                return self._comparison(node)

    def _joined(self, operands: tuple[Predicate, ...], word: str) -> str:
        return f"({word.join(map(self.condition, operands))})" if operands else ""

    def _argument(self, value: Any, sql_type: str) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}::{sql_type}"

    def _comparison(self, node: Comparison) -> str:
        column, sql_type = _COLUMNS[node.field]
        if node.operator == Operator.PRESENT:
            empty = "<> '{}'" if node.field in SETS else "IS NOT NULL"
            return f"({column} {empty})"
        if node.operator == Operator.HAS:
            return f"({column} && {self._argument(list(node.values), 'text[]')})"
        if sql_type == "version":
            return self._version(column, node)
        if node.field == Field.LANGUAGE:
            return self._language(node)
        if node.operator == Operator.IN:
            return self._among(column, _constants(node), sql_type)
        return f"({column} {_ORDERS[node.operator]} {self._argument(node.values[0], sql_type)})"

    def _language(self, node: Comparison) -> str:
        """A bare language equals all of its tags, a longer tag only itself."""
        tags = [canonical_language(str(value)) for value in node.values]
        whole = self._among("i.language", tags, "text")
        bare = [tag for tag in tags if "-" not in tag]
        return f"({whole} OR {self._among(_BARE_LANGUAGE, bare, 'text')})"

    def _among(self, column: str, values: list[Any], sql_type: str) -> str:
        form = _LISTED if len(values) <= _MOST_COMPARED else _HASHED
        return form.format(column=column, list=self._argument(values, f"{sql_type}[]"))

    def _version(self, parts: str, node: Comparison) -> str:
        texts = [value.text for value in node.values if isinstance(value, Version)]
        if node.operator == Operator.IN:
            list_ = _PARTS_OF.format(self._argument(texts, "text[]"))
            return f"(({parts} IN ({list_})) IS TRUE)"
        given = self._argument(texts[0], "text")
        return f"({parts} {_ORDERS[node.operator]} version_parts({given}))"

    def _attribute(self, node: Comparison) -> str:
        if node.operator == Operator.PRESENT:
            return f"(i.attributes ? {self._argument(node.attribute, 'text')})"
        wanted = type_of(node.values[0])
        if node.operator == Operator.IN and wanted is not Type.VERSION:
            # Containment can use an index, and compares type and value at once.
            tagged = [{node.attribute: to_json(value)} for value in node.values]
            return f"(i.attributes @> ANY ({self._argument(tagged, 'jsonb[]')}))"
        typed = _TYPED[wanted].format(name=self._argument(node.attribute, "text"))
        if wanted is Type.VERSION:
            return self._version(typed, node)
        ((value,),) = [to_json(value).values() for value in node.values]
        given = self._argument(value, _TYPES[wanted])
        return f"({typed} {_ORDERS[node.operator]} {given})"


def _constants(node: Comparison) -> list[Any]:
    """The values of IN as the column keeps them."""
    if node.field in CHOICES:
        return [CHOICES[node.field][str(value)] for value in node.values]
    if node.field == Field.INSTALLATION_ID:
        return [UUID(str(value)) for value in node.values]
    return list(node.values)
