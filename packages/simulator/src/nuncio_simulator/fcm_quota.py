"""A project's quota of messages. Source: Firebase, "Throttling and quotas"."""

from nuncio_simulator.provider import Clock

MINUTE = 60.0


class ProjectQuota:
    """Counts requests, except those it refuses, in minutes that begin when they are first used."""

    def __init__(self, per_minute: int, *, clock: Clock) -> None:
        """per_minute: 0 for no limit."""
        self._per_minute = per_minute
        self._clock = clock
        self._began = float("-inf")
        self._counted = 0

    def wait(self) -> int:
        """Seconds until there is quota again; 0: there is, and this request counts."""
        if not self._per_minute:
            return 0
        now = self._clock()
        if now - self._began >= MINUTE:
            self._began, self._counted = now, 0
        if self._counted >= self._per_minute:
            return int(self._began + MINUTE - now) + 1
        self._counted += 1
        return 0
