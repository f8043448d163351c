"""Commands of a stream, and the events that answer them."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from uuid import UUID

from nuncio_dispatcher.domain.create import Create, Order
from nuncio_dispatcher.domain.dispatch import Dispatch
from nuncio_dispatcher.domain.watch import Watch
from nuncio_runtime.errors import FieldViolation, InvalidField, ServiceError


@dataclass(frozen=True)
class Created:
    """The dispatch is stored."""

    dispatch: Dispatch


@dataclass(frozen=True)
class Progress:
    """The books are as they are now."""

    dispatch: Dispatch


@dataclass(frozen=True)
class Finished:
    """Every target has its outcome. The last event of a command."""

    dispatch: Dispatch


@dataclass(frozen=True)
class Refused:
    """The command was refused. The last event of a command."""

    error: ServiceError


Event = Created | Progress | Finished | Refused


class Commands:
    """Carries out one command at a time; each gives its events in order."""

    def __init__(self, create: Create, watch: Watch) -> None:
        self._create = create
        self._watch = watch

    async def create(self, order: Order) -> AsyncGenerator[Event, None]:
        """Store a dispatch and follow it."""
        dispatch, _ = await self._create.create(order)
        yield Created(dispatch)
        async with aclosing(self.watch(dispatch.dispatch_id, stored=True)) as events:
            async for event in events:
                yield event

    async def watch(
        self, dispatch_id: UUID, *, stored: bool = False
    ) -> AsyncGenerator[Event, None]:
        """Follow a dispatch. stored: it is known to be there."""
        async with aclosing(self._watch.follow(dispatch_id, stored=stored)) as states:
            async for dispatch in states:
                yield Progress(dispatch) if dispatch.finished_at is None else Finished(dispatch)


@contextmanager
def fields_of(command: str | None) -> Iterator[None]:
    """Name the fields of broken rules as the stream's caller knows them: from the command on."""
    try:
        yield
    except InvalidField as error:
        broken = (FieldViolation(f"{command}.{each.field}", each.rule) for each in error.violations)
        raise type(error)(*broken) from error


async def with_refusal(
    events: AsyncGenerator[Event, None], told: Callable[[Exception], ServiceError]
) -> AsyncGenerator[Event, None]:
    """The same events; an error becomes the last one, and touches no other command.

    told: what the caller may know of an error; it also logs those that nobody expected.
    """
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except Exception as error:  # noqa: BLE001 - whatever it was, this command has ended
        yield Refused(told(error))
