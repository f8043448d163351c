"""The APNs lane on the reference transport: pages, and the connections that their rows go over.

Everything but opening a connection is decided synchronously: rows wait in their page, connections
say whether they have room, and `_pump` brings them together after each change of either.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import quote

import structlog

from nuncio_dispatcher.domain.model import Message, Provider, TargetColumns, Verdict
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Own, Replied, Result, Unsent
from nuncio_dispatcher.providers.apns import payload
from nuncio_dispatcher.providers.apns.auth import ProviderToken, TokenMint
from nuncio_dispatcher.providers.apns.connection import ApnsConnection
from nuncio_dispatcher.providers.apns.outcomes import classify
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.fields import Origin
from nuncio_dispatcher.providers.gate import WHOLE, Pass
from nuncio_dispatcher.providers.lane import ProviderLane
from nuncio_dispatcher.providers.sheet import Sheet
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

CONNECT_WITHIN: Final = 10.0
"""Seconds."""
CLOSE_WITHIN: Final = 2.0
"""Seconds for the peer to agree that a connection is over."""
MOST_REFUSALS: Final = 3
"""How often a row that was provably not looked at is written again within one send."""
MOST_BARREN: Final = 3
"""Connections in a row that answered nothing, before the waiting rows go back."""


@dataclass(eq=False, kw_only=True)
class _Page:
    """One send under way: the rows that wait, and the sheet for the answers."""

    form: payload.Form
    targets: TargetColumns
    sheet: Sheet
    waiting: deque[int]
    refusals: dict[int, int] = field(default_factory=dict)
    is_over: bool = False
    """Whether nothing more of it may be written."""

    def end_writing(self, answer: Answer) -> None:
        """See Sending."""
        self.is_over = True
        self.answer_waiting(answer)

    def abandon(self) -> None:
        """See Sending."""
        self.sheet.abandon()

    def answer_waiting(self, answer: Answer) -> None:
        """Give every row that waits the same answer."""
        while self.waiting:
            self.sheet.put(self.waiting.popleft(), answer, None)

    def wait_again(self, row: int, unsent: Unsent) -> None:
        """Put a row back that was provably not looked at, or answer it when that is of no use."""
        self.sheet.take_back(row)
        refusals = self.refusals[row] = self.refusals.get(row, 0) + 1
        if refusals > MOST_REFUSALS or self.is_over:
            self.sheet.lose(row, unsent)
        else:
            self.waiting.append(row)


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A row on its way."""

    page: _Page
    row: int
    connection: ApnsConnection
    token: ProviderToken
    at: datetime
    passed: Pass


class ApnsLane(ProviderLane):
    """Sends to one app in one environment of APNs."""

    def __init__(
        self,
        name: str,
        settings: ApnsSettings,
        *,
        origin: Origin,
        mint: TokenMint,
        tls: ssl.SSLContext,
        clock: Clock,
    ) -> None:
        super().__init__(name, settings, provider=Provider.APNS, clock=clock)
        self._settings = settings
        self._origin = origin
        self._mint = mint
        self._tls = tls
        self._pages: deque[_Page] = deque()  # those with waiting rows, oldest first
        self._connections: list[ApnsConnection] = []
        self._opening: asyncio.Task[None] | None = None
        self._barren = 0

    async def _send(
        self,
        message: Message,
        targets: TargetColumns,
        sheet: Sheet,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None,
    ) -> None:
        form = payload.render(
            message, topic=self._settings.topic, now=self._clock.now(), expires_at=expires_at
        )
        waiting = deque(range(len(targets)))
        page = _Page(form=form, targets=targets, sheet=sheet, waiting=waiting)
        try:
            self._pages.append(page)
            self._pump()
            await self._see_through(page, expires_at=expires_at, stop=stop)
        finally:
            page.is_over = True
            page.waiting.clear()

    async def _close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await asyncio.gather(*(connection.ended.wait() for connection in connections))
        except TimeoutError:
            for connection in connections:
                connection.abort()

    def _pump(self) -> None:
        """Write waiting rows while there is room; ask for a connection when there is none."""
        if self._next_page() is None:
            return
        token, now = self._mint.current(), self._clock.now()
        written: set[ApnsConnection] = set()
        while page := self._next_page():
            refusal = self._gate.refusal(WHOLE)
            if refusal is not None:
                page.answer_waiting(refusal)
                continue
            connection = self._connection_with_room(len(page.form.body))
            if connection is None:
                self._want_connection()
                break
            row, passed = page.waiting.popleft(), self._gate.enter(WHOLE)
            self._write(
                _Written(
                    page=page, row=row, connection=connection, token=token, at=now, passed=passed
                )
            )
            written.add(connection)
        for connection in written:
            if not connection.is_closed:
                connection.flush()

    def _next_page(self) -> _Page | None:
        while self._pages and not self._pages[0].waiting:
            self._pages.popleft()
        return self._pages[0] if self._pages else None

    def _connection_with_room(self, body_size: int) -> ApnsConnection | None:
        rooms = (found for found in self._connections if found.has_room(body_size))
        return next(rooms, None)

    def _write(self, written: _Written) -> None:
        page, row = written.page, written.row
        page.sheet.write(row, written.at)
        try:
            written.connection.post(
                "/3/device/" + quote(page.targets.tokens[row].reveal(), safe="", errors="replace"),
                (
                    *page.form.headers,
                    ("apns-id", str(page.targets.ids[row])),
                    ("authorization", written.token.bearer.reveal()),
                ),
                page.form.body,
                ended=partial(self._ended, written),
            )
        # Whatever it is, the request has no end, so that APNs cannot take it; and what h2 thinks
        # of the connection is in doubt.
        except Exception as error:  # noqa: BLE001
            written.connection.drain()
            self._ended(written, Unsent(Own.FAULT, type(error).__name__))

    def _ended(self, written: _Written, result: Result) -> None:
        """Note what came of a row, or let it wait again."""
        answer: Answer | None = None
        try:
            if isinstance(result, Replied):
                answer = self._read(written, result)
                written.page.sheet.put(written.row, answer, written.at)
            elif isinstance(result, Unsent):
                written.page.wait_again(written.row, result)
                if written.page.waiting and written.page not in self._pages:
                    self._pages.append(written.page)
            else:
                written.page.sheet.lose(written.row, result)
        finally:
            self._gate.leave(written.passed, answer)

    def _read(self, written: _Written, reply: Replied) -> Answer:
        now, quota_wait = self._clock.now(), self._settings.quota_wait
        return self._weigh(written, classify(reply, now=now, quota_wait=quota_wait))

    def _weigh(self, written: _Written, answer: Answer) -> Answer:
        """Do what an answer asks of the lane; a cure that cannot help makes it MISCONFIGURED."""
        if answer.aftermath is Aftermath.NONE:
            return answer
        if Aftermath.RECONNECT in answer.aftermath:
            written.connection.drain()
        if Aftermath.KEEP_TOKEN in answer.aftermath:
            self._mint.hold()
            written.page.sheet.remark("apns_too_many_tokens")
        if Aftermath.NEW_TOKEN in answer.aftermath and not self._mint.renew(written.token):
            return _incurable(answer)
        if answer.reason == "UnrelatedKeyIdInToken" and written.connection.answered == 1:
            # No other key was used on this connection, so another one will not help.
            return _incurable(answer)
        return answer

    def _want_connection(self) -> None:
        """Open one more, one at a time: the first, or when those that proved useful are full."""
        usable = [connection for connection in self._connections if connection.takes_more]
        full = len(usable) >= self._settings.connections
        if self._opening is None and not full and all(found.answered for found in usable):
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        failure: Own | None = None
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                _, connection = await loop.create_connection(
                    self._new_connection,
                    self._origin.host,
                    self._origin.port,
                    ssl=self._tls,
                    server_hostname=self._origin.host,
                )
        except ssl.SSLCertVerificationError:
            failure = Own.NOT_TRUSTED
        except (OSError, TimeoutError):
            failure = Own.CONNECT_FAILED
        else:
            self._connections.append(connection)
        finally:
            self._opening = None
        if failure is None:
            self._turned(connection)
        else:
            log.warning("apns_connect_failed", lane=self.name, reason=failure.value)
            self._give_up_unless_connected(failure)

    def _new_connection(self) -> ApnsConnection:
        return ApnsConnection(
            authority=self._origin.authority,
            answer_within=self._settings.answer_within.total_seconds(),
            idle_after=int(self._settings.idle_after.total_seconds()),
            on_turn=self._turned,
        )

    def _turned(self, connection: ApnsConnection) -> None:
        """A connection read something, or ended."""
        if connection.is_closed and connection in self._connections:
            self._connections.remove(connection)
            self._barren = 0 if connection.answered else self._barren + 1
            if self._barren >= MOST_BARREN:
                self._barren = 0
                self._give_up_unless_connected(Own.CONNECTION_LOST)
        self._pump()

    def _give_up_unless_connected(self, reason: Own) -> None:
        if not self._connections:
            for page in self._pages:
                page.end_writing(Answer(Verdict.RETRY, reason))


def _incurable(answer: Answer) -> Answer:
    return answer._replace(verdict=Verdict.MISCONFIGURED, aftermath=Aftermath.PAUSE)
