"""A registry, targeting and providers of a few lines each, which answer as a test likes."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from nuncio_dispatcher.domain.dispatch import ALL_KEYS, Audience, KeyRange, Work
from nuncio_dispatcher.domain.errors import UpstreamUnavailable
from nuncio_dispatcher.domain.model import (
    Answers,
    Destination,
    Environment,
    Message,
    Provider,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.domain.pages import Resolved, Rows, Targets
from nuncio_dispatcher.domain.ports import Backlog
from nuncio_dispatcher.domain.wait import unless
from nuncio_runtime.errors import ServiceError
from tests.unit.dispatcher.builders import PLATFORM_OF, token

PROVIDERS = tuple(Provider)


class ScriptedTargeting:
    """An audience of numbered installations, every third on another provider.

    users: whose installation a number is. suppressed: numbers that may not be reached, and why.
    faults: by the first number of a page, raised one by one instead of giving it. asked: how often
    a stream was opened. problem: what a check finds.
    """

    def __init__(self, size: int, *, page_size: int = 10) -> None:
        self.size = size
        self.page_size = page_size
        self.users: dict[int, str] = {}
        self.suppressed: dict[int, str] = {}
        self.faults: dict[int, list[ServiceError]] = {}
        self.asked = 0
        self.problem: ServiceError | None = None

    async def check(self, app_id: str, audience: Audience) -> None:
        assert app_id
        assert audience != Audience()
        if self.problem:
            raise self.problem

    async def resolve(
        self, work: Work, *, keys: KeyRange = ALL_KEYS, cursor: bytes = b"", only: bytes = b""
    ) -> AsyncGenerator[Resolved, None]:
        self.asked += 1
        audience = self._named(work.audience, keys)
        asked_for = sorted(numbers_of(only)) if only else audience
        gone = dict.fromkeys(set(asked_for) - set(audience), "NOT_FOUND")
        left = [each for each in asked_for if each.to_bytes(16) > cursor]
        for start in range(0, len(left), self.page_size):
            if self.faults.get(left[start]):
                raise self.faults[left[start]].pop(0)
            yield self._page(left[start : start + self.page_size], self.suppressed | gone)
            await asyncio.sleep(0)

    def _named(self, audience: Audience, keys: KeyRange) -> Sequence[int]:
        if audience.installation_ids:
            return sorted(numbers_of(audience.installation_ids))
        if audience.user_ids:
            return sorted(n for n, user in self.users.items() if user in audience.user_ids)
        # The numbers are small: all of them are in the first range.
        return range(1, self.size + 1) if not keys.low else ()

    def _page(self, numbers: Sequence[int], suppressed: Mapping[int, str]) -> Resolved:
        found = [each for each in numbers if each not in suppressed]
        providers = [PROVIDERS[each % 3] for each in found]
        ids = b"".join(each.to_bytes(16) for each in found)
        return Resolved(
            targets=Targets(
                rows=Rows(
                    installation_ids=ids,
                    token_refs=ids,
                    platforms=bytes(PLATFORM_OF[each] for each in providers),
                    providers=bytes(providers),
                ),
                environments=b"\1" * len(found),
                tokens=[token(p, each) for p, each in zip(providers, found, strict=True)],
            ),
            suppressed=Counter(suppressed[n] for n in numbers if n in suppressed),
            cursor=numbers[-1].to_bytes(16),
        )


Verdicts = Callable[[int, int], Verdict]
"""(number of the installation, how often its token was sent before) -> what the provider says."""


@dataclass
class ScriptedLanes:
    """One lane for everything. ids: the request ids that were sent, by number.

    Told to stop, it has no answers to what it was sent. deaf: it does not hear that. reason: of all
    that is not accepted; empty: the verdict's name.
    """

    verdict: Verdicts = lambda _number, _before: Verdict.ACCEPTED
    unsent: bool = False
    deaf: bool = False
    reason: str = ""
    ids: dict[int, list[UUID]] = field(default_factory=dict)
    sending: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    name: str = "scripted"

    def __post_init__(self) -> None:
        self.may_answer.set()

    def lane(self, _app_id: str, _provider: Provider, _environment: Environment) -> "ScriptedLanes":
        return self

    def check(self, message: Message, *, to: Destination | None = None) -> None:
        pass

    async def send(
        self,
        _message: Message,
        targets: TargetColumns,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None = None,
        urgent: bool = False,
    ) -> Answers:
        del urgent  # nothing waits here
        if datetime.now(UTC) >= expires_at:  # it came just before, and took its time
            return Answers.uniform(len(targets), Verdict.EXPIRED, reason="EXPIRED")
        numbers = [number_of(each.reveal()) for each in targets.tokens]
        before = [len(self.ids.get(number, [])) for number in numbers]
        for number, request_id in zip(numbers, targets.ids, strict=True):
            self.ids.setdefault(number, []).append(request_id)
        self.sending.set()
        answered = await unless(self._stop(stop), self.may_answer.wait())
        sent_at = None if self.unsent else datetime.now(UTC)
        if not answered:
            return Answers.uniform(len(targets), Verdict.UNKNOWN, reason="CUT", sent_at=sent_at)
        answers = Answers.uniform(len(targets), Verdict.ACCEPTED, sent_at=sent_at)
        answers.verdicts[:] = bytes(map(self.verdict, numbers, before))
        answers.reasons[:] = [
            "" if v == 1 else self.reason or Verdict(v).name for v in answers.verdicts
        ]
        return answers

    def _stop(self, stop: asyncio.Event | None) -> asyncio.Event:
        return asyncio.Event() if stop is None or self.deaf else stop

    async def aclose(self) -> None:
        pass


@dataclass
class CountingMeters:
    """Counts in plain numbers."""

    told: Counter[tuple[int, int]] = field(default_factory=Counter)
    leases_lost: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def page_closed(self, verdicts: Mapping[tuple[int, int], int], *, seconds: float) -> None:
        assert seconds >= 0
        self.told.update(verdicts)

    def lease_lost(self) -> None:
        self.leases_lost += 1
        self.lost.set()

    def backlog(self, backlog: Backlog) -> None:
        pass


def away() -> UpstreamUnavailable:
    return UpstreamUnavailable("targeting")


def numbers_of(ids: bytes) -> list[int]:
    return [int.from_bytes(ids[at : at + 16]) for at in range(0, len(ids), 16)]


def number_of(address: str) -> int:
    """`token-7` and `https://push.example/7` are both of installation 7."""
    return int(address.replace("/", "-").rpartition("-")[2])
