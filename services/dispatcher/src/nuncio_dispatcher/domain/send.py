"""Sends the targets of a page through their lanes, all lanes at once."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from nuncio_dispatcher.domain.dispatch import Work
from nuncio_dispatcher.domain.model import Answers, Environment, Provider, TargetColumns, Verdict
from nuncio_dispatcher.domain.pages import Targets, request_ids
from nuncio_dispatcher.domain.ports import Lanes

log = structlog.get_logger(__name__)

TOO_LATE: Final = "EXPIRED"
NEW_PROVIDER: Final = "PROVIDER_NOT_SUPPORTED"

_PROVIDERS: Final = frozenset(Provider)


async def send(lanes: Lanes, work: Work, targets: Targets, *, now: datetime) -> Answers:
    """One answer per target, in their order. Nothing is sent once the dispatch has expired."""
    if now >= work.expires_at:
        return Answers.uniform(len(targets), Verdict.EXPIRED, reason=TOO_LATE)
    parts = split(targets)
    ids = request_ids(work.dispatch_id, targets.rows.installation_ids)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_send_part(lanes, work, kind, _columns(targets, ids, rows)))
            for kind, rows in parts.items()
        ]
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


async def _send_part(
    lanes: Lanes, work: Work, kind: tuple[int, int], columns: TargetColumns
) -> Answers:
    provider, environment = kind
    if provider not in _PROVIDERS:  # From a newer registry; a newer dispatcher may send it.
        return Answers.uniform(len(columns), Verdict.MISCONFIGURED, reason=NEW_PROVIDER)
    world = Environment.SANDBOX if environment == Environment.SANDBOX else Environment.PRODUCTION
    lane = lanes.lane(work.app_id, Provider(provider), world)
    answers = await lane.send(work.message, columns, expires_at=work.expires_at)
    broken = answers.verdicts.count(Verdict.MISCONFIGURED)
    if broken:
        reason = answers.reasons[answers.verdicts.index(Verdict.MISCONFIGURED)]
        log.warning("lane_misconfigured", lane=lane.name, reason=reason, targets=broken)
    return answers
