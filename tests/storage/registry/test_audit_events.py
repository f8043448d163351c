"""The contract of `AuditTrail`."""

from datetime import datetime, timedelta

import pytest

from nuncio_registry.domain.ports.audit import AuditEvent, AuditFilter
from nuncio_registry.storage.audit import PostgresAudit
from nuncio_registry.storage.connection import Pool
from nuncio_runtime.cursors import BEGINNING, END
from tests.unit.registry.builders import APP, NOW


@pytest.fixture
def audit(pool: Pool) -> PostgresAudit:
    return PostgresAudit(pool)


def event(
    number: int, *, method: str = "EraseUser", app_id: str = APP, principal: str = "p"
) -> AuditEvent:
    """The event of this second."""
    return AuditEvent(
        recorded_at=NOW + timedelta(seconds=number),
        principal=principal,
        peer="192.0.2.1",
        method=method,
        app_id=app_id,
        request_id=f"r{number}",
        details={"subject": "00ff"},
    )


def wanted(
    app_id: str = "",
    *,
    method: str = "",
    principal: str = "",
    start: datetime = BEGINNING,
    end: datetime = END,
) -> AuditFilter:
    return AuditFilter(app_id, method, principal, start, end)


async def numbers(audit: PostgresAudit, filter_: AuditFilter, *, limit: int = 100) -> list[int]:
    """The numbers of the events over all pages."""
    found: list[int] = []
    page = await audit.page(filter_, before=None, limit=limit)
    found += [int(event.request_id[1:]) for event in page.events]
    while page.next is not None:
        page = await audit.page(filter_, before=page.next, limit=limit)
        assert len(page.events) <= limit
        found += [int(event.request_id[1:]) for event in page.events]
    return found


async def test_events_come_back_as_they_were(audit: PostgresAudit) -> None:
    await audit.append([event(1), event(2)])
    page = await audit.page(wanted(), before=None, limit=2)
    assert page.events == [event(2), event(1)]
    assert page.next is None


@pytest.mark.parametrize("app_id", ["", APP])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_have_each_event_once_the_newest_first(
    audit: PostgresAudit, app_id: str, limit: int
) -> None:
    same_time = [event(3)._replace(request_id=f"r{10 + n}") for n in range(3)]
    await audit.append([event(n) for n in range(1, 7)] + same_time)
    expected = [6, 5, 4, 12, 11, 10, 3, 2, 1]
    assert await numbers(audit, wanted(app_id), limit=limit) == expected


async def test_filters_hold_together(audit: PostgresAudit) -> None:
    await audit.append([event(1), event(2, method="ExportUser"), event(3, app_id="other")])
    await audit.append([event(4, principal="q"), event(5)])
    assert await numbers(audit, wanted(APP)) == [5, 4, 2, 1]
    assert await numbers(audit, wanted(method="EraseUser")) == [5, 4, 3, 1]
    assert await numbers(audit, wanted(principal="q")) == [4]
    assert await numbers(audit, wanted(APP, method="EraseUser", principal="p")) == [5, 1]


async def test_times_are_from_the_start_up_to_the_end(audit: PostgresAudit) -> None:
    await audit.append([event(n) for n in range(1, 6)])
    start, end = NOW + timedelta(seconds=2), NOW + timedelta(seconds=4)
    assert await numbers(audit, wanted(start=start, end=end)) == [3, 2]
    assert await numbers(audit, wanted(APP, start=start, end=end), limit=1) == [3, 2]


async def test_a_page_looks_at_a_bounded_number_of_events(pool: Pool) -> None:
    audit = PostgresAudit(pool, looked_at=10)
    await audit.append([event(n, method="ExportUser" if n == 1 else "") for n in range(1, 36)])
    page = await audit.page(wanted(method="ExportUser"), before=None, limit=5)
    assert page.events == []
    assert page.next is not None
    assert await numbers(audit, wanted(method="ExportUser"), limit=5) == [1]


async def test_the_oldest_are_deleted_a_few_at_a_time(audit: PostgresAudit) -> None:
    await audit.append([event(n) for n in range(1, 7)])
    time = NOW + timedelta(seconds=4)
    assert await audit.delete_before(time, 2) == 2
    assert await numbers(audit, wanted()) == [6, 5, 4, 3]
    assert await audit.delete_before(time, 2) == 1
    assert await audit.delete_before(time, 2) == 0
    assert await numbers(audit, wanted()) == [6, 5, 4]
