"""Registration of single rows: those of concurrent callers are written together.

A row is first held against what is stored. Who only repeats that is done; who does not is read and
checked then, and goes into the next page as a first registration, beside the rows that are held
against what is stored there. What is neither is settled in pages of its own: these lock the rows
that they look at, and wait for others who do.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

from nuncio_registry.domain.coalesce import Again, Coalescer
from nuncio_registry.domain.errors import AppNotFound
from nuncio_registry.domain.model import Registration
from nuncio_registry.domain.ports.registration import Registered, Repeat, Result
from nuncio_registry.domain.register import READ_AT_ONCE, Register
from nuncio_registry.domain.repeats import Repeats
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField, ServiceError

T = TypeVar("T")


class Unread(NamedTuple):
    """A row of which nobody knows yet whether it is right.

    read: reads and checks it. Raises InvalidField.
    """

    repeat: Repeat
    read: Callable[[], Registration]

    def __repr__(self) -> str:
        return f"Unread({self.repeat.installation_id})"


# A row that was read is one that came back: it repeats nothing.
Row: TypeAlias = Unread | Registration

# What a row did, itself when it has to be settled, or what is wrong with it or its writing.
Written: TypeAlias = Registered | Registration | Exception

Settled: TypeAlias = Result | Exception


class WriteTogether:
    """Writes pages of rows: repeats and first registrations."""

    def __init__(self, register: Register, repeats: Repeats) -> None:
        self._register = register
        self._repeats = repeats

    async def __call__(self, app_id: str, rows: Sequence[Row]) -> Sequence[Written | Again[Row]]:
        """Write the page, and when a row is in the way, each that is not a repeat for itself.

        Raises the storage's faults: those are not the fault of a row.
        """
        unread = [row for row in rows if isinstance(row, Unread)]
        known = [row for row in rows if isinstance(row, Registration)]
        of_known, of_unread = map(iter, await self._page(app_id, known, [r.repeat for r in unread]))
        answers: list[Written | Again[Row]] = []
        for at, row in enumerate(rows, start=1):
            if isinstance(row, Registration):
                answers.append(next(of_known) or row)
            else:
                answers.append(next(of_unread) or _read(row))
            if not at % READ_AT_ONCE:
                await asyncio.sleep(0)
        return answers

    async def _page(
        self, app_id: str, rows: Sequence[Registration], repeats: Sequence[Repeat]
    ) -> tuple[Sequence[Registered | Exception | None], Sequence[Registered | None]]:
        if not rows:
            return [], await self._repeats.page(app_id, repeats)
        try:
            return await self._register.first(app_id, rows, repeats)
        except AppNotFound:
            # Others may have worse to hear: what is wrong with them.
            return [AppNotFound(app_id) for _ in rows], [None] * len(repeats)
        except ServiceError:
            raise
        except Exception:  # noqa: BLE001 - the caller of the row gets it
            first = await _each(partial(self._first, app_id), rows)
            return first, await self._repeats.page(app_id, repeats)

    async def _first(
        self, app_id: str, rows: Sequence[Registration]
    ) -> Sequence[Registered | None]:
        first, _ = await self._register.first(app_id, rows, ())
        return first


class SettleTogether:
    """Writes pages of what is left of those."""

    def __init__(self, register: Register) -> None:
        self._register = register

    async def __call__(self, app_id: str, rows: Sequence[Registration]) -> Sequence[Settled]:
        """Write the page, and when one of its rows is in the way, each row for itself.

        Raises AppNotFound, and the storage's faults: those are not the fault of a row.
        """
        settle = partial(self._register.settle, app_id)
        try:
            return await settle(rows)
        except ServiceError:
            raise
        except Exception:  # noqa: BLE001 - the caller of the row gets it
            return await _each(settle, rows)


class RegisterOne:
    """Stores the token of one installation."""

    def __init__(
        self,
        register: Register,
        together: Coalescer[str, Row, Written],
        settling: Coalescer[str, Registration, Settled],
    ) -> None:
        self._register = register
        self._together = together
        self._settling = settling

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

        repeat: what it is held against what is stored by; None when the row cannot be right, and
        `read` says why. Raises InvalidField, AppNotFound, WriteQueueFull when too many wait
        already, and the storage's faults.
        """
        row = read() if repeat is None else Unread(repeat, read)
        written: Written | Settled = await self._together.put(app_id, row)
        if isinstance(written, Registration):
            written = await self._settling.put(app_id, written)
        if isinstance(written, Exception):
            raise written
        if isinstance(written, FieldViolation):
            raise _refused(written)
        return written


@asynccontextmanager
async def open_register_one(
    register: Register,
    repeats: Repeats,
    clock: Clock,
    *,
    waited: Callable[[float], object] = lambda _: None,
) -> AsyncIterator[RegisterOne]:
    """Register single rows; leaving waits for those under way. waited: see `Coalescer`."""
    async with (
        # What comes here has waited, for what it is not.
        Coalescer[str, Registration, Settled](
            SettleTogether(register), clock, longest_wait=0.0
        ) as settling,
        # Left first, as it hands on to the other one.
        Coalescer[str, Row, Written](
            WriteTogether(register, repeats), clock, waited=waited
        ) as together,
    ):
        yield RegisterOne(register, together, settling)


def _read(row: Unread) -> Written | Again[Row]:
    try:
        return Again(row.read())
    except Exception as error:  # noqa: BLE001 - the caller of the row gets it
        return error


async def _each(
    write: Callable[[Sequence[Registration]], Awaitable[Sequence[T]]], rows: Sequence[Registration]
) -> list[T | Exception]:
    """Write each row for itself. Raises faults that are not the fault of a row."""
    written: list[T | Exception] = []
    for row in rows:
        try:
            written += await write([row])
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller of the row gets it
            written.append(error)
    return written


def _refused(violation: FieldViolation) -> InvalidField:
    """The error of a call that registers one row."""
    return InvalidField(FieldViolation(f"registration.{violation.field}", violation.rule))
