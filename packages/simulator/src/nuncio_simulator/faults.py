"""The script of faults: which one, if any, hits a request."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.provider import Visit
from nuncio_simulator.tokens import Known


@dataclass(slots=True)
class _Placed:
    fault: Fault
    cores: frozenset[bytes] | None
    until: float | None
    left: int | None

    def concerns(self, provider: ProviderName, token: Known | None) -> bool:
        if self.fault.provider is not provider:
            return False
        if self.cores is not None and (token is None or token.core not in self.cores):
            return False
        wanted = self.fault.platform
        return wanted is None or (token is not None and token.label.platform is wanted)


class Faults:
    """Faults in place, oldest first."""

    def __init__(self, *, dice: random.Random, clock: Callable[[], float] = time.monotonic) -> None:
        self._dice = dice
        self._clock = clock
        self._ids = count(1)
        self._placed: dict[int, _Placed] = {}

    def __bool__(self) -> bool:
        return bool(self._placed)

    def put(self, fault: Fault, cores: frozenset[bytes] | None) -> int:
        """Put a fault in place; cores are those of its tokens. Returns its id."""
        fault_id = next(self._ids)
        until = None if fault.seconds is None else self._clock() + fault.seconds
        self._placed[fault_id] = _Placed(fault, cores, until, fault.count)
        return fault_id

    def clear(self, fault_id: int | None = None) -> None:
        """Take one away, or all. Raises KeyError when there is no such fault."""
        if fault_id is None:
            self._placed.clear()
        else:
            del self._placed[fault_id]

    def view(self) -> list[Fault]:
        """What is in place."""
        self._expire()
        return [placed.fault for placed in self._placed.values()]

    def pick(self, provider: ProviderName, token: Known | None, visit: Visit) -> Fault | None:
        """The fault that hits this request; counts it."""
        self._expire()
        for fault_id, placed in self._placed.items():
            if placed.concerns(provider, token) and self._strikes(fault_id, placed.fault, visit):
                self._use_up(fault_id, placed)
                return placed.fault
        return None

    def _strikes(self, fault_id: int, fault: Fault, visit: Visit) -> bool:
        if fault.share < 1 and self._dice.random() >= fault.share:
            return False
        if fault.kind is not FaultKind.GOAWAY:
            return True
        seen = visit.requests_since.get(fault_id, 0) + 1
        visit.requests_since[fault_id] = seen
        return seen >= fault.after_streams

    def _use_up(self, fault_id: int, placed: _Placed) -> None:
        if placed.left is None:
            return
        placed.left -= 1
        if placed.left == 0:
            del self._placed[fault_id]

    def _expire(self) -> None:
        now = self._clock()
        over = [
            fault_id
            for fault_id, placed in self._placed.items()
            if placed.until is not None and placed.until <= now
        ]
        for fault_id in over:
            del self._placed[fault_id]
