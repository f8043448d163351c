"""Enum values of the contracts as the words that people read and type."""

from typing import Any, Protocol


class EnumType(Protocol):
    """A generated enum."""

    def Name(self, number: Any) -> str:  # noqa: N802 - the generated name
        """Raises ValueError for a number that it does not know."""


def word(enum: EnumType, value: int, prefix: str) -> str:
    """ "PLATFORM_IOS" as "ios"; a value of a newer service as its number."""
    try:
        return enum.Name(value).removeprefix(prefix).lower()
    except ValueError:
        return str(value)
