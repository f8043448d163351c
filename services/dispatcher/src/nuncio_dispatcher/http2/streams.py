"""The open requests of a connection, and how each of them ends.

Source: RFC 9113, section 5.
"""

import math
from collections.abc import Collection
from datetime import datetime
from typing import Final

from nuncio_dispatcher.http2 import frames
from nuncio_dispatcher.http2.exchange import Carrier, Exchange, Failure, Reply
from nuncio_dispatcher.http2.frames import Code, ConnectionFault
from nuncio_dispatcher.http2.halves import HalfRead, HalfWritten

MOST_STREAMS: Final = 1_000
"""Streams used at once, however many the peer allows."""
MOST_CUT: Final = 4 * MOST_STREAMS
"""Streams that we reset last, whose late frames are passed over."""


class Streams:
    """The rows that were written and have not ended, by stream: each leaves once.

    open: exchange, row, and when to give up, in the order in which they were opened. Writing and
    reading enter and take out the common ones by themselves. answered: how many requests got an
    answer.
    """

    __slots__ = (
        "_carrier",
        "_next_due",
        "_out",
        "_touched",
        "answered",
        "cut",
        "half_read",
        "half_written",
        "next_stream",
        "open",
    )

    def __init__(self, carrier: Carrier, out: list[bytes]) -> None:
        """carrier: what answers are said to come by. out: takes the frames that tell of ends."""
        self.open: dict[int, tuple[Exchange, int, float]] = {}
        self.next_stream = 1
        self.half_written: dict[int, HalfWritten] = {}
        self.half_read: dict[int, HalfRead] = {}
        self.cut: dict[int, None] = {}
        self.answered = 0
        self._touched: dict[Exchange, None] = {}
        self._next_due = math.inf  # nothing is due earlier; what was due then may have ended
        self._carrier = carrier
        self._out = out

    def __repr__(self) -> str:
        return f"Streams(open={len(self.open)}, answered={self.answered})"

    @property
    def left(self) -> int:
        """How many numbers of streams the connection has not used."""
        return (frames.LAST_STREAM - self.next_stream) // 2 + 1

    def is_open(self, stream: int) -> bool:
        """Whether a frame belongs to an open request. False: it is late, and passed over."""
        if stream in self.open:
            return True
        self.check_used(stream)
        if stream not in self.cut:
            raise ConnectionFault(Code.STREAM_CLOSED, "nothing follows the end of a stream")
        return False

    def check_used(self, stream: int) -> None:
        """Raises ConnectionFault for a stream that we have never opened."""
        if stream % 2 == 0 or stream >= self.next_stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream is opened before it is used")

    def touch(self, exchange: Exchange) -> None:
        """Rows of it have ended, or wait again."""
        self._touched[exchange] = None

    def take_touched(self) -> Collection[Exchange]:
        """The exchanges of which rows have ended, or wait again, since the last call."""
        if not self._touched:
            return ()
        touched, self._touched = self._touched, {}
        return touched

    # --- time ------------------------------------------------------------------------------------

    @property
    def next_due(self) -> float | None:
        """When `end_overdue` may have something to do."""
        return self._next_due if self.open else None

    def expect(self, due: float) -> None:
        """Rows are being written that are due then."""
        self._next_due = min(self._next_due, due)

    def end_overdue(self, now: float) -> None:
        """End the requests that have waited too long for their answers."""
        if now < self._next_due:
            return
        for stream in [stream for stream, (_, _, due) in self.open.items() if due <= now]:
            self.give_up(stream)
        self._next_due = min((due for _, _, due in self.open.values()), default=math.inf)

    # --- ends ------------------------------------------------------------------------------------

    def answer(self, stream: int, status: int, half: HalfRead | None) -> None:
        """A request has its answer. half: what was read of it; needed for all but 2xx."""
        half_written = self.half_written.get(stream)
        exchange, row = self._take(stream)
        if half_written is not None:
            exchange.written_at[row] = half_written.begun_at
            self.tell_reset(stream, Code.CANCEL)
        self.answered += 1
        if 200 <= status < 300:
            exchange.statuses[row] = status
            exchange.accepted += 1
            exchange.open -= 1
        else:
            assert half is not None, "what is no 2xx was read"
            exchange.reply(row, Reply(status, half.headers, half.body, self._carrier))

    def fail(self, stream: int, failure: Failure) -> None:
        """A request ends without an answer; an answer whose status is known is one."""
        half = self.half_read.get(stream)
        if half is not None:
            self.answer(stream, half.status, half)
        else:
            exchange, row = self._take(stream)
            exchange.fail(row, failure)

    def refuse(self, stream: int) -> None:
        """The peer says that it did not look at a request: an answer that has begun says more."""
        if stream in self.half_read:
            self.fail(stream, Failure.REFUSED_STREAM)
        else:
            exchange, row = self._take(stream)
            exchange.refuse(row)

    def break_off(self, stream: int, code: Code) -> None:
        """What came on a stream breaks a rule: nothing of it counts."""
        self.tell_reset(stream, code)
        if stream in self.open:
            exchange, row = self._take(stream)
            exchange.fail(row, Failure.BAD_ANSWER)

    def give_up(self, stream: int) -> None:
        """Wait no longer for an answer, or for its end."""
        self.tell_reset(stream, Code.CANCEL)
        self.fail(stream, Failure.NO_ANSWER)

    def cancel(self, exchange: Exchange) -> None:
        """Give up all of an exchange."""
        for stream in [stream for stream, (of, _, _) in self.open.items() if of is exchange]:
            self.give_up(stream)

    def lose(self) -> None:
        """There is no peer any more: all ends; what was not wholly written waits again."""
        for stream in list(self.open):
            if stream in self.half_written:
                self.refuse(stream)
            else:
                self.fail(stream, Failure.CONNECTION_LOST)

    def written(self, stream: int, at: datetime) -> None:
        """The body of a request that was half written is whole."""
        del self.half_written[stream]
        exchange, row, _ = self.open[stream]
        exchange.written_at[row] = at

    def tell_reset(self, stream: int, code: Code) -> None:
        """Tell the peer that we want no more of a stream; what still comes is passed over."""
        if stream in self.cut:
            return
        self._out.append(frames.rst_stream(stream, code))
        self.cut[stream] = None
        if len(self.cut) > MOST_CUT:
            del self.cut[next(iter(self.cut))]

    def _take(self, stream: int) -> tuple[Exchange, int]:
        self.half_read.pop(stream, None)
        self.half_written.pop(stream, None)
        exchange, row, _ = self.open.pop(stream)
        self._touched[exchange] = None
        return exchange, row
