"""From a file into the registry: pages of 1,000, several on their way, memory that stays flat."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from nuncio.common.v1.error_reason_pb2 import ErrorReason
from nuncio.registry.v1.registry_service_pb2 import (
    RegisterTokensResponse,
    Registration,
)
from nuncio.registry.v1.token_pb2 import RegistrationOutcome
from nuncio_cli.imports.refused import field_of, rule_of
from nuncio_cli.imports.rejects import Rejects
from nuncio_cli.imports.rows import BadRow, BadValueError, Reader, Row
from nuncio_cli.registering import PAGE, register_pages
from nuncio_cli.stubs import RegistryStub
from nuncio_runtime.interceptors.validation import violations


class Page(NamedTuple):
    """Rows that are registered together, and what becomes of them on the wire."""

    rows: list[Row]
    registrations: list[Registration]

    def refused(self, index: int, path: str, rule: str) -> BadRow:
        """One of its rows. path: of what is wrong with its registration."""
        row, field = self.rows[index], field_of(path, self.registrations[index])
        return BadRow(row.line, field, rule_of(path, rule), row.source)


@dataclass
class Tally:
    """What happened to the rows so far."""

    rows: int = 0
    rejected: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """By outcome: "created", "refreshed", "rotated", "reassigned", "stale"; "valid" when dry."""


def read_pages(
    reader: Reader,
    register_row: Callable[[Row], Registration],
    *,
    rejects: Rejects,
    tally: Tally,
) -> Iterator[Page]:
    """Pages of good rows, one in memory at a time; bad rows go to the rejects file.

    register_row: raises BadValueError. Raises FileUnusable when the file breaks off, such as a
    gzip file that was cut.
    """
    page = Page([], [])
    for row in reader:
        tally.rows += 1
        bad = row if isinstance(row, BadRow) else _add(page, row, register_row)
        if bad is not None:
            rejects.add(bad)
            tally.rejected += 1
        if len(page.rows) == PAGE:
            yield page
            page = Page([], [])
    if page.rows:
        yield page


def _add(page: Page, row: Row, register_row: Callable[[Row], Registration]) -> BadRow | None:
    """Put a row on the page, or say why it cannot go there."""
    try:
        registration = register_row(row)
    except BadValueError as problem:
        return BadRow(row.line, problem.field, problem.rule, row.source)
    page.rows.append(row)
    page.registrations.append(registration)
    return None


async def register(
    registry: RegistryStub,
    pages: Iterator[Page],
    *,
    app_id: str,
    rejects: Rejects,
    tally: Tally,
    on_page: Callable[[], None],
) -> None:
    """Send the pages to the registry, and count the answers.

    Raises RemoteError when the stream breaks, and AppUnknown; rows that were answered before are
    in, and it is safe to import the whole file again. Raises FileUnusable as read_pages, after
    the answers to what was read before.
    """
    waiting: deque[Page] = deque()

    def requests() -> Iterator[Sequence[Registration]]:
        for page in pages:
            waiting.append(page)
            yield page.registrations

    async with aclosing(register_pages(registry, requests(), app_id=app_id)) as answers:
        async for answer in answers:
            _count(waiting.popleft(), answer, rejects=rejects, tally=tally)
            on_page()


def check_only(
    pages: Iterator[Page], *, rejects: Rejects, tally: Tally, on_page: Callable[[], None]
) -> None:
    """Check rows against the contract's rules, without a registry.

    What only the registry knows stays unchecked: time zones, keys, and hosts of endpoints.
    """
    for page in pages:
        for index, registration in enumerate(page.registrations):
            broken = violations(registration)
            if broken:
                rejects.add(page.refused(index, *broken[0]))
                tally.rejected += 1
        tally.outcomes["valid"] = tally.rows - tally.rejected
        on_page()


def _count(page: Page, answer: RegisterTokensResponse, *, rejects: Rejects, tally: Tally) -> None:
    prefix = "REGISTRATION_OUTCOME_"
    for outcome, count in Counter(answer.outcomes).items():
        if outcome:
            name = RegistrationOutcome.Name(outcome).removeprefix(prefix).lower()
            tally.outcomes[name] += count
    for error in answer.errors:
        reason = ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")
        rejects.add(page.refused(error.row, error.field, error.rule or reason))
        tally.rejected += 1
