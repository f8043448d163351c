"""Selection from two million installations: targets per second, first pages, memory, sizes.

NUNCIO_BENCH_ROWS: how many installations, for smaller runs. NUNCIO_BENCH_FOLDER: where they are
kept for the next run; unset, they are loaded anew.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.harness import Bar, Case, Note, Report, Run
from benchmarks.registry.newcomers import Newcomers
from benchmarks.registry.place import Place, Served, place, served
from benchmarks.registry.sizes import show, sizes
from benchmarks.registry.stock import APP, RARE, RARE_COUNTRY, load
from benchmarks.registry.walking import Memory, Walked, walk, walk_with_cursor
from nuncio.registry.v1.predicate_pb2 import (
    PREDICATE_FIELD_ATTRIBUTE,
    PREDICATE_FIELD_COUNTRY,
    PREDICATE_FIELD_TAGS,
    PREDICATE_FIELD_TOPICS,
    PREDICATE_OPERATOR_HAS,
    PREDICATE_OPERATOR_IN,
    Comparison,
    Predicate,
    PredicateValue,
)

ROWS: Final = int(os.environ.get("NUNCIO_BENCH_ROWS", "2000000"))
EARLY: Final = min(100_000, ROWS // 5)
LEAST_OF_CURSOR: Final = 0.35
MOST_FIRST_PAGE_MS: Final = 200
MOST_GROWTH: Final = 1.1

_RARE: Final = PredicateValue(text=RARE)
RARE_ONES: Final = {
    "topic": Comparison(
        field=PREDICATE_FIELD_TOPICS, operator=PREDICATE_OPERATOR_HAS, values=[_RARE]
    ),
    "tag": Comparison(field=PREDICATE_FIELD_TAGS, operator=PREDICATE_OPERATOR_HAS, values=[_RARE]),
    "attribute": Comparison(
        field=PREDICATE_FIELD_ATTRIBUTE,
        operator=PREDICATE_OPERATOR_IN,
        attribute="cohort",
        values=[_RARE],
    ),
    "country, in no index": Comparison(
        field=PREDICATE_FIELD_COUNTRY,
        operator=PREDICATE_OPERATOR_IN,
        values=[PredicateValue(text=RARE_COUNTRY)],
    ),
}


@dataclass(frozen=True)
class SizedReport(Report):
    """With what the tables weigh."""

    sizes: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The form that all benchmark files have, and the sizes."""
        return {**super().document(), "sizes": dict(self.sizes)}


@dataclass
class Findings:
    """The runs by case, and what the bars ask for."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    first_pages: dict[str, list[float]] = field(default_factory=dict)
    growth: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, case: str, run: Run) -> None:
        """A run of a case."""
        self.runs.setdefault(case, []).append(run)

    def bars(self) -> list[Bar]:
        """Ratios of medians, and the worst of the others."""
        cases = {name: Case(name, runs) for name, runs in self.runs.items()}
        ratio = cases[EVERYTHING].per_second / cases[ORDERED].per_second
        early = f"resident after all, times after {EARLY:,} targets"
        return [
            Bar("SelectTargets / bare cursor in key order", round(ratio, 2), LEAST_OF_CURSOR),
            Bar(early, round(max(self.growth), 3), MOST_GROWTH, "at most"),
            Bar("targets lost or given twice beside registrations", self.lost, 0, "at most"),
            *(
                Bar(
                    f"first page of 0.1 % by {name}, ms",
                    _ms(seconds),
                    MOST_FIRST_PAGE_MS,
                    "at most",
                )
                for name, seconds in self.first_pages.items()
            ),
        ]


EVERYTHING: Final = "SelectTargets, everything"
ORDERED: Final = "bare cursor, key order"
UNORDERED: Final = "bare cursor, no order"


async def run(*, repeat: int, note: Note) -> Report:
    """One registry process; cursor and registry take turns."""
    async with _stocked(note) as (where, weights):
        findings = Findings()
        await walk_with_cursor(where, ordered=True)  # Into the caches, for whoever is first.
        async with served(where) as registry:
            for number in range(1, repeat + 1):
                note(f"run {number} of {repeat}")
                await _everything(where, registry, findings)
                for name, comparison in RARE_ONES.items():
                    found = await walk(registry, Predicate(comparison=comparison))
                    findings.add(f"SelectTargets, 0.1 % by {name}", found.run)
                    findings.first_pages.setdefault(name, []).append(found.first_page_seconds)
                    note(f"{name}: {found.run.items} targets in {found.run.seconds * 1000:.0f} ms")
            findings.lost = await _beside_registrations(registry, note)
        cases = [Case(name, runs) for name, runs in findings.runs.items()]
        return SizedReport(cases, findings.bars(), sizes=weights)


@contextmanager
def _folder() -> Iterator[Path]:
    if kept := os.environ.get("NUNCIO_BENCH_FOLDER"):
        yield Path(kept)
        return
    with TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o711)  # As root, PostgreSQL runs as another user.
        yield Path(temporary)


@asynccontextmanager
async def _stocked(note: Note) -> AsyncIterator[tuple[Place, dict[str, Any]]]:
    """A database with the rows, loaded unless the folder has them, and what they weigh."""
    with _folder() as folder:
        async with place(folder) as where, where.connection() as connection:
            weights: dict[str, Any] = {}
            if not await connection.fetchval("SELECT count(*) FROM app WHERE app_id = $1", APP):
                loading = await load(connection, count=ROWS, keys=where.keys, note=note)
                weights["load_seconds"] = loading.document()
                note(f"loaded {ROWS:,} rows: {loading.document()}")
            weights |= await sizes(connection)
            for line in show(weights):
                note(line)
            yield where, weights


async def _everything(where: Place, registry: Served, findings: Findings) -> None:
    findings.add(ORDERED, await walk_with_cursor(where, ordered=True))
    findings.add(UNORDERED, await walk_with_cursor(where, ordered=False))
    memory = Memory(registry.pid, first=EARLY)
    found = await walk(registry, every_page=memory.look)
    findings.add(EVERYTHING, found.run)
    findings.growth.append(memory.growth)


async def _beside_registrations(registry: Served, note: Note) -> int:
    """How many of those that were there throughout did not come exactly once."""
    before = await walk(registry, keep_ids=True)
    async with Newcomers(registry) as newcomers:
        during = await walk(registry, keep_ids=True)
    there, seen = _ids(before), _ids(during)
    known = set(there)
    note(f"{len(newcomers.ids):,} registrations came in beside a walk over {len(there):,} targets")
    strangers = [id_ for id_ in seen if id_ not in known and id_ not in newcomers.ids]
    twice = len(seen) - len(set(seen))
    return len(known.difference(seen)) + twice + len(strangers)


def _ids(walked: Walked) -> list[bytes]:
    return [walked.ids[at : at + 16] for at in range(0, len(walked.ids), 16)]


def _ms(seconds: list[float]) -> float:
    return round(median(seconds) * 1000, 1)
