"""Registration of single rows: those of concurrent callers are written together."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from nuncio_registry.domain.coalesce import Coalescer
from nuncio_registry.domain.model import Registration
from nuncio_registry.domain.ports.registration import Registered, Repeat, Result
from nuncio_registry.domain.register import Register
from nuncio_runtime.errors import FieldViolation, InvalidField, ServiceError

T = TypeVar("T")

# What a row did, the rule that it breaks, or what went wrong when it was written.
Written: TypeAlias = Result | Exception


class WriteTogether:
    """Writes the pages of a coalescer."""

    def __init__(self, register: Register) -> None:
        self._register = register

    async def __call__(self, app_id: str, rows: Sequence[Registration]) -> Sequence[Written]:
        """Write the page, and when one of its rows is in the way, each row for itself.

        Its first registrations may be stored by then: such a row says REFRESHED. Raises
        AppNotFound, and the storage's faults: those are not the fault of a row.
        """
        try:
            return await self._register.page(app_id, rows)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller of the row gets it
            return [error] if len(rows) == 1 else [(await self(app_id, [row]))[0] for row in rows]


class RegisterOne:
    """Stores the token of one installation."""

    def __init__(
        self,
        register: Register,
        together: Coalescer[str, Registration, Written],
        repeating: Coalescer[str, Repeat, Registered | None],
    ) -> None:
        self._register = register
        self._together = together
        self._repeating = repeating

    async def repeat(self, app_id: str, row: Repeat | None) -> Registered | None:
        """Register a row that only repeats what is stored; None when it does not.

        Raises WriteQueueFull, and the storage's faults.
        """
        return None if row is None else await self._repeating.put(app_id, row)

    async def __call__(self, app_id: str, row: T, read: Callable[[T], Registration]) -> Registered:
        """Read, check and register one row.

        Raises InvalidField, AppNotFound, and WriteQueueFull when too many wait already.
        """
        _, good, bad = self._register.sift([(0, row)], read)
        for _, violation in bad:
            raise _refused(violation)
        written = await self._together.put(app_id, good[0])
        if isinstance(written, Exception):
            raise written
        if isinstance(written, FieldViolation):
            raise _refused(written)
        return written


def _refused(violation: FieldViolation) -> InvalidField:
    """The error of a call that registers one row."""
    return InvalidField(FieldViolation(f"registration.{violation.field}", violation.rule))
