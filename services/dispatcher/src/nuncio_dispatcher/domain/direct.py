"""Sends one message past the registry: one attempt, of which nothing is kept."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from nuncio_dispatcher.domain.dispatch import SHORTEST_LIFE
from nuncio_dispatcher.domain.errors import CredentialUnusable
from nuncio_dispatcher.domain.model import (
    Answers,
    Destination,
    FcmCondition,
    Message,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.domain.ports import Lanes
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

log = structlog.get_logger(__name__)

MOST_TOPICS: Final = 5
"""In one condition. Source: Firebase, "Send messages to topics"."""
NO_LANE: Final = frozenset({"NO_CREDENTIAL", "BAD_CREDENTIAL"})
"""With MISCONFIGURED: the reasons of a lane that has nothing to send with, see Lanes.lane."""
RETURN_MARGIN: Final = 1.5
"""Seconds before the caller's deadline at which the lane is stopped: it needs one to return."""


@dataclass(frozen=True, kw_only=True)
class DirectOrder:
    """One message as the caller wants it sent. request_id: None leaves it to us."""

    app_id: str
    destination: Destination
    message: Message
    request_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class DirectAnswer:
    """What came of the attempt; see Answers."""

    request_id: UUID
    verdict: Verdict
    reason: str
    dead_since: datetime | None
    retry_after: timedelta | None


class Direct:
    """Sends through the lanes that dispatches use. Stores nothing, and tells feedback nothing."""

    def __init__(self, lanes: Lanes, *, clock: Clock) -> None:
        self._lanes = lanes
        self._clock = clock

    async def send(self, order: DirectOrder, *, within: float | None = None) -> DirectAnswer:
        """The answer to one attempt. Raises MessageInvalid, InvalidField and CredentialUnusable.

        within: seconds that the caller waits; None: as long as the lane takes. Before they are
        over, what was written is UNKNOWN and what was not is RETRY, so that the caller learns it.
        """
        destination = order.destination
        _check_condition(destination)
        self._lanes.check(order.message, to=destination)
        request_id = order.request_id or uuid4()
        lane = self._lanes.lane(order.app_id, destination.provider, destination.environment)
        row = TargetColumns(
            ids=[request_id], tokens=[destination.token], platforms=[destination.platform]
        )
        now = self._clock.now()
        expires_at = now + max(order.message.longest_life(now), SHORTEST_LIFE)
        with _stopping(within) as stop:
            answers = await lane.send(
                order.message, row, expires_at=expires_at, stop=stop, urgent=True
            )
        _require_credential(order, answers)
        answer = DirectAnswer(
            request_id=request_id,
            verdict=Verdict(answers.verdicts[0]),
            reason=answers.reasons[0],
            dead_since=answers.dead_since[0],
            retry_after=answers.retry_after[0],
        )
        log.info("direct_sent", lane=lane.name, verdict=answer.verdict.name, reason=answer.reason)
        return answer


@contextmanager
def _stopping(within: float | None) -> Iterator[asyncio.Event]:
    """An event that is set while there is time left to return; of little time, half is left."""
    stop = asyncio.Event()
    if within is None:
        yield stop
        return
    timer = asyncio.get_running_loop().call_later(max(within - RETURN_MARGIN, within / 2), stop.set)
    try:
        yield stop
    finally:
        timer.cancel()


def _check_condition(destination: Destination) -> None:
    if not isinstance(destination.token, FcmCondition):
        return
    topics = destination.token.reveal().count(" in topics")
    if not 1 <= topics <= MOST_TOPICS:
        rule = f"must name 1 to {MOST_TOPICS} topics"
        raise InvalidField(FieldViolation("destination.fcm.condition", rule))


def _require_credential(order: DirectOrder, answers: Answers) -> None:
    cause = answers.reasons[0]
    if answers.verdicts[0] == Verdict.MISCONFIGURED and cause in NO_LANE:
        raise CredentialUnusable(
            app_id=order.app_id,
            provider=order.destination.provider.name.lower(),
            environment=order.destination.environment.name.lower(),
            cause=cause,
        )
