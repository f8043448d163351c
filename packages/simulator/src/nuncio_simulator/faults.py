"""The script of faults: which one, if any, hits a request."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import NamedTuple

from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.provider import Visit
from nuncio_simulator.tokens import Known


@dataclass(slots=True)
class _Placed:
    fault: Fault
    cores: frozenset[bytes] | None
    until: float
    left: int | None

    def concerns(self, token: Known | None) -> bool:
        if self.cores is not None and (token is None or token.core not in self.cores):
            return False
        wanted = self.fault.platform
        return wanted is None or (token is not None and token.label.platform is wanted)


class Strike(NamedTuple):
    """A fault that hits a request."""

    fault: Fault
    final: bool = True
    """goaway: whether GOAWAY is due; if not, the request is one of those left unprocessed."""


class Faults:
    """Faults in place, oldest first."""

    def __init__(self, *, dice: random.Random, clock: Callable[[], float] = time.monotonic) -> None:
        self._dice = dice
        self._clock = clock
        self._ids = count(1)
        self._placed: dict[ProviderName, dict[int, _Placed]] = {name: {} for name in ProviderName}
        self._first_end = inf

    def __bool__(self) -> bool:
        return any(self._placed.values())

    def concern(self, provider: ProviderName) -> bool:
        """Whether the provider's requests have to be looked at."""
        return bool(self._placed[provider])

    def put(self, fault: Fault, cores: frozenset[bytes] | None) -> int:
        """Put a fault in place; cores are those of its tokens. Returns its id."""
        fault_id = next(self._ids)
        until = inf if fault.seconds is None else self._clock() + fault.seconds
        self._first_end = min(self._first_end, until)
        self._placed[fault.provider][fault_id] = _Placed(fault, cores, until, fault.count)
        return fault_id

    def clear(self, fault_id: int | None = None) -> None:
        """Take one away, or all. Raises KeyError when there is no such fault."""
        found = [placed for placed in self._placed.values() if fault_id in placed]
        if fault_id is None:
            for placed in self._placed.values():
                placed.clear()
        elif found:
            del found[0][fault_id]
        else:
            raise KeyError(fault_id)

    def view(self) -> list[Fault]:
        """What is in place."""
        self._expire()
        everything = {i: placed for some in self._placed.values() for i, placed in some.items()}
        return [everything[fault_id].fault for fault_id in sorted(everything)]

    def pick(self, provider: ProviderName, token: Known | None, visit: Visit) -> Strike | None:
        """The fault that hits this request; counts it."""
        self._expire()
        for fault_id, placed in self._placed[provider].items():
            if placed.fault.kind is FaultKind.PING_SILENCE or not placed.concerns(token):
                continue
            strike = self._strike(fault_id, placed.fault, visit)
            if strike is not None:
                if strike.final:
                    self._use_up(fault_id, placed)
                return strike
        return None

    def silence_ping(self, provider: ProviderName) -> bool:
        """Whether a PING stays without an answer; counts it."""
        self._expire()
        for fault_id, placed in self._placed[provider].items():
            if placed.fault.kind is FaultKind.PING_SILENCE and self._dies(placed.fault.share):
                self._use_up(fault_id, placed)
                return True
        return False

    def _strike(self, fault_id: int, fault: Fault, visit: Visit) -> Strike | None:
        if not self._dies(fault.share):
            return None
        if fault.kind is not FaultKind.GOAWAY:
            return Strike(fault)
        seen = visit.requests_since.get(fault_id, 0) + 1
        visit.requests_since[fault_id] = seen
        if seen >= fault.after_streams + fault.unprocessed:
            return Strike(fault)
        return Strike(fault, final=False) if seen > fault.after_streams else None

    def _dies(self, share: float) -> bool:
        return share >= 1 or self._dice.random() < share

    def _use_up(self, fault_id: int, placed: _Placed) -> None:
        if placed.left is None:
            return
        placed.left -= 1
        if placed.left == 0:
            del self._placed[placed.fault.provider][fault_id]

    def _expire(self) -> None:
        if self._first_end == inf or (now := self._clock()) < self._first_end:
            return
        for name, some in self._placed.items():
            self._placed[name] = {i: placed for i, placed in some.items() if placed.until > now}
        ends = (placed.until for some in self._placed.values() for placed in some.values())
        self._first_end = min(ends, default=inf)
