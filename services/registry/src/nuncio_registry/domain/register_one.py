"""Registration of single rows: those of concurrent callers are written together.

A row is first held against what is stored. Who only repeats that is done; who does not is read and
checked then, and written in the next page, beside the rows that are held against what is stored
there.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from nuncio_registry.domain.coalesce import Again, Coalescer
from nuncio_registry.domain.model import Registration
from nuncio_registry.domain.ports.registration import Registered, Repeat, Result
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.repeats import Repeats
from nuncio_runtime.errors import FieldViolation, InvalidField, ServiceError

T = TypeVar("T")


class Unread(NamedTuple):
    """A row of which nobody knows yet whether it is right.

    read: reads and checks it. Raises InvalidField.
    """

    repeat: Repeat
    read: Callable[[], Registration]


Row: TypeAlias = Unread | Registration

# What a row did, the rule that it breaks, or what went wrong when it was written.
Written: TypeAlias = Result | Exception


class WriteTogether:
    """Writes the pages of a coalescer."""

    def __init__(self, register: Register, repeats: Repeats) -> None:
        self._register = register
        self._repeats = repeats

    async def __call__(self, app_id: str, rows: Sequence[Row]) -> Sequence[Written | Again[Row]]:
        """Write the page, and when one of its rows is in the way, each row for itself.

        Its first registrations may be stored by then: such a row says REFRESHED. Raises
        AppNotFound, and the storage's faults: those are not the fault of a row.
        """
        try:
            return await self._page(app_id, rows)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller of the row gets it
            return [error] if len(rows) == 1 else [(await self(app_id, [row]))[0] for row in rows]

    async def _page(self, app_id: str, rows: Sequence[Row]) -> Sequence[Written | Again[Row]]:
        unread = [row for row in rows if isinstance(row, Unread)]
        known = [row for row in rows if isinstance(row, Registration)]
        repeats = [row.repeat for row in unread]
        if known:
            written, repeated = await self._register.page_beside(app_id, known, repeats)
        else:
            written, repeated = [], await self._repeats.page(app_id, repeats)
        of_unread, of_known = iter(zip(unread, repeated, strict=True)), iter(written)
        return [
            next(of_known) if isinstance(row, Registration) else _answer(*next(of_unread))
            for row in rows
        ]


def _answer(row: Unread, registered: Registered | None) -> Written | Again[Row]:
    if registered is not None:
        return registered
    try:
        return Again(row.read())
    except InvalidField as error:
        return error


class RegisterOne:
    """Stores the token of one installation."""

    def __init__(self, register: Register, together: Coalescer[str, Row, Written]) -> None:
        self._register = register
        self._together = together

    def read(self, row: T, read: Callable[[T], Registration]) -> Registration:
        """Read and check a row. Raises InvalidField."""
        try:
            return self._register.read(row, read)
        except InvalidField as error:
            raise _refused(error.violations[0]) from None

    async def __call__(
        self, app_id: str, repeat: Repeat | None, read: Callable[[], Registration]
    ) -> Registered:
        """Register one row.

        repeat: what it is held against what is stored by; None when it cannot be right. Raises
        InvalidField, also of what `read` raises, AppNotFound, and WriteQueueFull when too many wait
        already.
        """
        row = read() if repeat is None else Unread(repeat, read)
        written = await self._together.put(app_id, row)
        if isinstance(written, Exception):
            raise written
        if isinstance(written, FieldViolation):
            raise _refused(written)
        return written


def _refused(violation: FieldViolation) -> InvalidField:
    """The error of a call that registers one row."""
    return InvalidField(FieldViolation(f"registration.{violation.field}", violation.rule))
