"""Sends the targets of a page through their lanes, all lanes at once."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from nuncio_dispatcher.domain.dispatch import Work
from nuncio_dispatcher.domain.model import Answers, Environment, Provider, TargetColumns, Verdict
from nuncio_dispatcher.domain.pages import Targets, request_ids
from nuncio_dispatcher.domain.ports import Lane, Lanes

log = structlog.get_logger(__name__)

TOO_LATE: Final = "EXPIRED"
NEW_PROVIDER: Final = "PROVIDER_NOT_SUPPORTED"
SILENT: Final = "LANE_SILENT"
"""The reason of rows whose lane has not come back with them."""

_PROVIDERS: Final = frozenset(Provider)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long answers are waited for.

    within: for how long a lane may take over its part of a page. Lanes have deadlines of their
    own; this one keeps a broken lane from stopping the rest. cut: set when what is there has to do.
    """

    within: timedelta
    cut: asyncio.Event


async def send(
    lanes: Lanes, work: Work, targets: Targets, *, now: datetime, patience: Patience
) -> Answers:
    """One answer per target, in their order. Nothing is sent once the dispatch has expired."""
    if now >= work.expires_at:
        return Answers.uniform(len(targets), Verdict.EXPIRED, reason=TOO_LATE)
    parts = split(targets)
    ids = request_ids(work.dispatch_id, targets.rows.installation_ids)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for kind, rows in parts.items():
            lane, columns = _lane(lanes, work, kind), _columns(targets, ids, rows)
            sending = _send_part(lane, work, columns, now=now, patience=patience)
            tasks.append(group.create_task(sending))
    return merge(len(targets), zip(parts.values(), (task.result() for task in tasks), strict=True))


def split(targets: Targets) -> Mapping[tuple[int, int], Sequence[int]]:
    """The rows of each (provider, environment), in their order."""
    kinds = list(zip(targets.rows.providers, targets.environments, strict=True))
    distinct = set(kinds)
    if len(distinct) == 1:
        return {kinds[0]: range(len(kinds))}
    return {kind: [row for row, of in enumerate(kinds) if of == kind] for kind in distinct}


def merge(count: int, parts: Iterable[tuple[Sequence[int], Answers]]) -> Answers:
    """Put the answers of the parts back into the order of the page."""
    whole = Answers.uniform(count, Verdict.UNKNOWN)
    for rows, answers in parts:
        if len(rows) == count:
            return answers
        for row, verdict, reason, dead, sent, wait in zip(
            rows,
            answers.verdicts,
            answers.reasons,
            answers.dead_since,
            answers.sent_at,
            answers.retry_after,
            strict=True,
        ):
            whole.verdicts[row] = verdict
            whole.reasons[row] = reason
            whole.dead_since[row] = dead
            whole.sent_at[row] = sent
            whole.retry_after[row] = wait
    return whole


def _columns(targets: Targets, ids: Sequence[UUID], rows: Sequence[int]) -> TargetColumns:
    platforms = targets.rows.platforms
    if len(rows) == len(targets):
        return TargetColumns(ids=ids, tokens=targets.tokens, platforms=platforms)
    return TargetColumns(
        ids=[ids[row] for row in rows],
        tokens=[targets.tokens[row] for row in rows],
        platforms=[platforms[row] for row in rows],
    )


def _lane(lanes: Lanes, work: Work, kind: tuple[int, int]) -> Lane | None:
    """None for a provider that only a newer registry knows; a newer dispatcher may send to it."""
    provider, environment = kind
    if provider not in _PROVIDERS:
        return None
    world = Environment.SANDBOX if environment == Environment.SANDBOX else Environment.PRODUCTION
    return lanes.lane(work.app_id, Provider(provider), world)


async def _send_part(
    lane: Lane | None, work: Work, columns: TargetColumns, *, now: datetime, patience: Patience
) -> Answers:
    if lane is None:
        return Answers.uniform(len(columns), Verdict.MISCONFIGURED, reason=NEW_PROVIDER)
    try:
        async with asyncio.timeout(patience.within.total_seconds()):
            answers = await lane.send(
                work.message,
                columns,
                expires_at=work.expires_at,
                stop=patience.cut,
                # Messages to somebody in particular do not wait behind those to everybody.
                urgent=not work.audience.expression,
            )
    except TimeoutError:
        log.error("lane_silent", lane=lane.name, targets=len(columns))
        return Answers.uniform(len(columns), Verdict.UNKNOWN, reason=SILENT, sent_at=now)
    broken = answers.verdicts.count(Verdict.MISCONFIGURED)
    if broken:
        reason = answers.reasons[answers.verdicts.index(Verdict.MISCONFIGURED)]
        log.warning("lane_misconfigured", lane=lane.name, reason=reason, targets=broken)
    return answers
