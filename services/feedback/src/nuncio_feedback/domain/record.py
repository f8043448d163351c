"""Recording pages of outcomes."""

from collections.abc import Callable

from nuncio_feedback.domain.check import check
from nuncio_feedback.domain.model import OutcomePage
from nuncio_feedback.domain.policy import learn
from nuncio_feedback.domain.ports import Meter, Outcomes
from nuncio_runtime.clock import Clock


class RecordOutcomes:
    """Stores what pages teach. found_dead: called when a page left invalidations to be made."""

    def __init__(
        self, outcomes: Outcomes, *, clock: Clock, meter: Meter, found_dead: Callable[[], None]
    ) -> None:
        self._outcomes = outcomes
        self._clock = clock
        self._meter = meter
        self._found_dead = found_dead

    async def __call__(self, page: OutcomePage) -> None:
        """Return when the page is stored; a page that was stored before changes nothing.

        Raises InvalidField for a malformed page, of which nothing is stored.
        """
        check(page)
        now = self._clock.now()
        lessons = learn(page, now=now)
        stored = await self._outcomes.record(page, lessons, at=now)
        self._meter.page(page, stored=stored)
        if stored and lessons.dead:
            self._found_dead()
