"""Registration: what comes first is stored at once, the rest is looked at, decided and written."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.decide import decide
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.errors import AppNotFound
from nuncio_registry.domain.model import Provider, Registration, RegistrationOutcome
from nuncio_registry.domain.ports.registration import (
    Known,
    NewRow,
    Plan,
    Registered,
    Registrations,
    Repeat,
    Result,
)
from nuncio_registry.domain.repeats import Asked
from nuncio_registry.domain.rules import check_registration
from nuncio_registry.domain.sealing import KeyRing, bound_to
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

T = TypeVar("T")

READ_AT_ONCE: Final = 100
"""Rows that are read in one go: some milliseconds, in which no other call is served."""


class Refusal(NamedTuple):
    """A row that breaks a rule."""

    row: int
    violation: FieldViolation


class Register:
    """Stores the tokens of installations."""

    def __init__(
        self,
        registrations: Registrations,
        apps: Apps,
        *,
        keys: KeyRing,
        guard: EndpointGuard,
        clock: Clock,
    ) -> None:
        self._registrations = registrations
        self._apps = apps
        self._keys = keys
        self._guard = guard
        self._clock = clock

    def sift(
        self, rows: Iterable[tuple[int, T]], read: Callable[[T], Registration]
    ) -> tuple[list[int], list[Registration], list[Refusal]]:
        """Read and check numbered rows: the numbers of the good ones, these, and the bad ones."""
        numbers: list[int] = []
        good: list[Registration] = []
        bad: list[Refusal] = []
        for number, row in rows:
            try:
                registration = self.read(row, read)
            except InvalidField as error:
                bad.append(Refusal(number, error.violations[0]))
            else:
                numbers.append(number)
                good.append(registration)
        return numbers, good, bad

    def read(self, row: T, read: Callable[[T], Registration]) -> Registration:
        """Read and check one row. Raises InvalidField."""
        registration = read(row)
        check_registration(registration, guard=self._guard, now=self._clock.now())
        return registration

    async def page(self, app_id: str, rows: Sequence[Registration]) -> list[Result]:
        """Register checked rows in order; repeating it changes nothing but times.

        First registrations are stored first and for themselves; of the others that fit what is
        stored, all or none are. Raises AppNotFound.
        """
        created, _ = await self.first(app_id, rows, ())
        left = [row for row, done in zip(rows, created, strict=True) if done is None]
        settled = iter(await self.settle(app_id, left))
        return [done or next(settled) for done in created]

    async def page_if_known(self, app_id: str, rows: Sequence[Registration]) -> list[Result] | None:
        """As `page`; None when there is no such app."""
        try:
            return await self.page(app_id, rows)
        except AppNotFound:
            return None

    async def first(
        self, app_id: str, rows: Sequence[Registration], repeats: Sequence[Repeat]
    ) -> tuple[list[Registered | None], list[Registered | None]]:
        """Store first registrations, and do in the same trip what `Repeats.page` does.

        None for the rows that `settle` is there for, and for what does not only repeat. Raises
        AppNotFound.
        """
        await self._apps.require(app_id)
        asked = Asked(repeats, now=self._clock.now())
        rows = [_not_ahead(row, asked.now) for row in rows]
        hashes = self._hashes(rows)
        new = [
            NewRow(
                at,
                is_new=True,
                takes_token=True,
                key_id=self._keys.newest,
                sealed=self._seal(app_id, rows[at]),
            )
            for at in alone([row.installation_id for row in rows], hashes)
        ]
        # In the page nobody else names them, so it does not matter that they are first.
        created, moved = await self._registrations.create(
            app_id,
            rows,
            new,
            hashes=hashes,
            beside=asked.rows,
            key_id=self._keys.newest,
            now=asked.now,
        )
        done = Registered(RegistrationOutcome.CREATED, asked.now)
        first = [done if row.installation_id in created else None for row in rows]
        return first, asked.answers(moved)

    async def settle(self, app_id: str, rows: Sequence[Registration]) -> list[Result]:
        """Look at what is stored, decide, and write, in order. Raises AppNotFound."""
        await self._apps.require(app_id)
        if not rows:
            return []
        now = self._clock.now()
        rows = [_not_ahead(row, now) for row in rows]
        hashes = self._hashes(rows)

        def plan(known: Iterable[Known]) -> Plan:
            return self._sealed(app_id, rows, decide(rows, hashes, known=known, now=now))

        return await self._registrations.register(app_id, rows, hashes=hashes, now=now, plan=plan)

    def _sealed(self, app_id: str, rows: Sequence[Registration], plan: Plan) -> Plan:
        """Put in the sealed tokens that are not stored yet in this very form.

        What is stored under the newest key stays; but subscriptions, whose keys may have changed.
        """
        newest = self._keys.newest
        for round_ in plan.rounds:
            for position, new in enumerate(round_.rows):
                row = rows[new.row]
                if new.key_id != newest or row.provider == Provider.WEB_PUSH:
                    sealed = self._seal(app_id, row)
                    round_.rows[position] = new._replace(key_id=newest, sealed=sealed)
        return plan

    def _hashes(self, rows: Iterable[Registration]) -> list[bytes]:
        return [self._keys.hash(row.provider, row.token) for row in rows]

    def _seal(self, app_id: str, row: Registration) -> bytes:
        return self._keys.seal(row.token, bound_to(app_id, row.installation_id))


def alone(ids: Sequence[Hashable], tokens: Sequence[Hashable]) -> list[int]:
    """The rows that share neither installation nor token with another one of their page."""
    by_id, by_token = Counter(ids), Counter(tokens)
    rows = enumerate(zip(ids, tokens, strict=True))
    return [at for at, (id_, token) in rows if by_id[id_] == 1 and by_token[token] == 1]


def _not_ahead(row: Registration, now: datetime) -> Registration:
    """A client's clock that is ahead means now: else it would outdate what comes after it."""
    if row.observed_at is None or row.observed_at < now:
        return row
    return row._replace(observed_at=None)
