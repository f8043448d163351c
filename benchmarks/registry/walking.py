"""SelectTargets as a client takes it, and the bare cursor that it is held against."""

from collections.abc import Callable
from time import perf_counter
from typing import Final, NamedTuple

import psutil

from benchmarks.harness import Run, Stopwatch
from benchmarks.registry.place import Place, Served
from benchmarks.registry.stock import APP
from nuncio.registry.v1 import predicate_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb

PREFETCH: Final = 1_000
# The columns of a target, and the rows that SelectTargets gives when it is asked for all.
_ROWS: Final = """
SELECT installation_id, substring(token_hash FOR 16), platform, provider, environment,
       token_sealed, token_key_id, vapid_key_id, registered_at
  FROM installation
 WHERE app_id = $1 AND token_state = 1 AND last_seen_at >= now() - interval '30 days'
   AND NOT (permission = 4 OR (permission = 1 AND platform <> 2))
"""
_ORDERED: Final = f"{_ROWS} ORDER BY installation_id"


class Walked(NamedTuple):
    """What a client saw of a selection."""

    run: Run
    first_page_seconds: float
    pages: int
    ids: bytes
    """Of the targets, 16 bytes each, when they were asked for."""


async def walk(
    registry: Served,
    predicate: predicate_pb2.Predicate | None = None,
    *,
    keep_ids: bool = False,
    every_page: Callable[[int], None] = lambda _targets: None,
) -> Walked:
    """Read a selection to its end. every_page: told how many targets there were so far."""
    request = pb.SelectTargetsRequest(app_id=APP, predicate=predicate)
    pages, first, ids = 0, 0.0, bytearray()
    with Stopwatch({"registry": registry.pid}).measured() as measurement:
        started = perf_counter()
        async for answer in registry.stub.SelectTargets(request):
            first = first or perf_counter() - started
            pages += 1
            measurement.items += answer.page.count
            if keep_ids:
                ids += answer.page.installation_ids
            every_page(measurement.items)
    return Walked(measurement.run, first, pages, bytes(ids))


async def walk_with_cursor(where: Place, *, ordered: bool) -> Run:
    """The same rows and columns through a cursor of asyncpg, record by record."""
    async with where.connection() as connection:
        with Stopwatch().measured() as measurement:
            async with connection.transaction():
                statement = _ORDERED if ordered else _ROWS
                async for _ in connection.cursor(statement, APP, prefetch=PREFETCH):
                    measurement.items += 1
    return measurement.run


class Memory:
    """What a process holds after so many targets, and at the end."""

    def __init__(self, pid: int, *, first: int) -> None:
        self._process = psutil.Process(pid)
        self._first = first
        self.early = 0
        self.latest = 0
        self._looked = 0

    def look(self, targets: int) -> None:
        """Look once the first targets were read, and then every 100,000."""
        if targets < self._first or targets - self._looked < 100_000:
            return
        self._looked = targets
        self.latest = int(self._process.memory_info().rss)
        self.early = self.early or self.latest

    @property
    def growth(self) -> float:
        """Times what it held after the first targets."""
        return self.latest / self.early if self.early else 1.0
