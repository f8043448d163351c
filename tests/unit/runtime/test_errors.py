"""Service errors: message, reason, metadata."""

from datetime import timedelta

from nuncio_runtime.errors import FieldViolation, InvalidField, Kind, ServiceError


class ShelfMissing(ServiceError):
    """There is no such shelf.

    What follows the first line is for readers of the code.
    """

    kind = Kind.NOT_FOUND
    reason = "SHELF_MISSING"


def test_the_first_line_of_the_docstring_is_the_message() -> None:
    assert str(ShelfMissing()) == "There is no such shelf."


def test_a_detail_follows_the_message() -> None:
    assert str(ShelfMissing(detail="top")) == "There is no such shelf: top"


def test_other_arguments_become_metadata() -> None:
    error = ShelfMissing(retry_after=timedelta(seconds=3), shelf="top", room="7")
    assert error.metadata == {"shelf": "top", "room": "7"}
    assert error.retry_after == timedelta(seconds=3)


def test_an_invalid_field_names_the_first_field_and_keeps_all() -> None:
    broken = (FieldViolation("shelf", "must be known"), FieldViolation("room", "must be a number"))
    error = InvalidField(*broken)
    assert str(error) == "A field breaks a rule: shelf: must be known"
    assert error.metadata == {"field": "shelf"}
    assert error.violations == broken
    assert error.kind is Kind.INVALID_ARGUMENT
