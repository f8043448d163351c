"""RegisterTokens: the pages of one stream."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api.rows import (
    address_of,
    check_page,
    no_app_error,
    refusal_of,
    registration_of,
    repeat_of,
    row_error_from,
)
from nuncio_registry.domain.model import Registration
from nuncio_registry.domain.ports.registration import Registered, Repeat
from nuncio_registry.domain.register import READ_AT_ONCE, Refusal, Register, alone
from nuncio_registry.domain.repeats import Repeats
from nuncio_runtime.errors import FieldViolation


class Sifted(NamedTuple):
    """Rows that were read: the good ones and their numbers in the page, and the bad ones."""

    numbers: list[int]
    good: list[Registration]
    bad: list[Refusal]

    def __repr__(self) -> str:
        return f"Sifted(good={len(self.good)}, bad={len(self.bad)})"


class Page(NamedTuple):
    """A page, and what each row is held against what is stored by.

    alone: the rows that share neither installation nor token with another one of the page; for
    them it does not matter which is first. sifted: the page's rows, when they were read already.
    """

    request: pb.RegisterTokensRequest
    repeats: list[Repeat | None]
    alone: list[int]
    sifted: Sifted | None

    def __repr__(self) -> str:
        return f"Page(rows={len(self.repeats)})"


class Bulk:
    """Reads and writes the pages of one stream, in order.

    Streams are of a kind: either most rows repeat what is stored, or hardly any does. A page is
    taken for what the last page was that has been written when this one comes. As repeats, its rows
    are not even read before the storage has said which do not repeat anything; otherwise they are
    read ahead, while the page before is written, and the storage is not asked.
    """

    def __init__(self, register: Register, repeats: Repeats) -> None:
        self._register = register
        self._repeats = repeats
        self._repeating = True

    async def read(self, request: pb.RegisterTokensRequest) -> Page:
        """As far as it can be done ahead. Raises InvalidField for a bad page."""
        check_page(request)
        rows = request.registrations
        repeats: list[Repeat | None] = []
        addresses: list[str] = []
        for start in range(0, len(rows), READ_AT_ONCE):
            part = rows[start : start + READ_AT_ONCE]
            repeats += (self._repeats.read(row, repeat_of) for row in part)
            addresses += map(address_of, part)
            await asyncio.sleep(0)
        ids = [repeat and repeat.installation_id for repeat in repeats]
        page = Page(request, repeats, alone(ids, addresses), None)
        if self._repeating:
            return page
        return page._replace(sifted=await self._sift(page, range(len(rows))))

    async def write(self, page: Page) -> pb.RegisterTokensResponse:
        """Register its rows, or refuse each when there is no such app."""
        outcomes = [token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED] * len(page.repeats)
        sifted = page.sifted
        if sifted is None:
            left = await self._repeat(page, outcomes)
            sifted = await self._sift(page, left)
        registered = await self._register.page_if_known(page.request.app_id, sifted.good)
        if registered is None:
            # What only repeated something was registered before the app was gone.
            refused = (at for at, outcome in enumerate(outcomes) if not outcome)
            return pb.RegisterTokensResponse(outcomes=outcomes, errors=map(no_app_error, refused))
        bad = sifted.bad
        for number, result in zip(sifted.numbers, registered, strict=True):
            if isinstance(result, FieldViolation):
                bad.append(Refusal(number, result))
            else:
                outcomes[number] = token_pb2.RegistrationOutcome.ValueType(result.outcome)
        refreshed = outcomes.count(token_pb2.REGISTRATION_OUTCOME_REFRESHED)
        self._repeating = 2 * refreshed > len(outcomes)
        errors = map(row_error_from, sorted(bad))
        return pb.RegisterTokensResponse(outcomes=outcomes, errors=errors)

    async def _repeat(
        self, page: Page, outcomes: list[token_pb2.RegistrationOutcome.ValueType]
    ) -> list[int]:
        """Register what only repeats what is stored; the numbers of the other rows."""
        asked = [(at, row) for at in page.alone if (row := page.repeats[at]) is not None]
        answers = await self._repeats.page(page.request.app_id, [row for _, row in asked])
        for (at, _), answer in zip(asked, answers, strict=True):
            if isinstance(answer, Registered):
                outcomes[at] = token_pb2.RegistrationOutcome.ValueType(answer.outcome)
        return [at for at, outcome in enumerate(outcomes) if not outcome]

    async def _sift(self, page: Page, numbers: Sequence[int]) -> Sifted:
        """Read and check these rows of the page."""
        rows = page.request.registrations
        sifted = Sifted([], [], [])
        for start in range(0, len(numbers), READ_AT_ONCE):
            part = numbers[start : start + READ_AT_ONCE]
            refused = {at: bad for at in part if (bad := refusal_of(rows[at], at)) is not None}
            told = ((at, (rows[at], page.repeats[at])) for at in part if at not in refused)
            good_at, good, broken = self._register.sift(told, registration_of)
            sifted.numbers.extend(good_at)
            sifted.good.extend(good)
            sifted.bad.extend((*refused.values(), *broken))
            await asyncio.sleep(0)
        return sifted
