"""Following a dispatch: its books as they change, to the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from nuncio.dispatcher.v1.dispatch_pb2 import (
    DISPATCH_STATE_COMPLETED,
    DISPATCH_STATE_FAILED,
    Dispatch,
    DispatchState,
)
from nuncio.dispatcher.v1.dispatcher_service_pb2 import WatchDispatchRequest
from nuncio_cli.demo.funnel import funnel_of
from nuncio_cli.ending import first_failure
from nuncio_cli.held_up import HeldUp, Lanes, lanes_of
from nuncio_cli.names import word
from nuncio_cli.output import Report, emit, notice, progress, say, table
from nuncio_cli.stubs import DispatcherStub
from nuncio_runtime.errors import Kind, ServiceError

# How long a dispatcher may be gone, as when it restarts, before watching is given up.
PATIENCE: Final = 60.0
BETWEEN_TRIES: Final = 1.0
# Dispatches that meet no trouble are mostly over before the first look at the lanes.
BETWEEN_LOOKS: Final = 1.0


async def events(dispatcher: DispatcherStub, dispatch_id: str) -> AsyncIterator[Dispatch]:
    """The dispatch now and after each change, until it has finished.

    A stream that breaks is opened again; raises RemoteError when that fails for a minute, or when
    nothing was heard before.
    """
    heard: float | None = None
    told = False
    while True:
        try:
            request = WatchDispatchRequest(dispatch_id=dispatch_id)
            async for event in dispatcher.WatchDispatch(request):
                heard, told = time.monotonic(), False
                yield event.dispatch
                if finished(event.dispatch):
                    return
        except ServiceError as error:
            patient = heard is not None and time.monotonic() - heard < PATIENCE
            if error.kind is not Kind.UNAVAILABLE or not patient:
                raise
            if not told:
                notice("the dispatcher cannot be reached; trying again for a minute")
                told = True
        await asyncio.sleep(BETWEEN_TRIES)


def finished(dispatch: Dispatch) -> bool:
    """Whether nothing more will happen to it."""
    return dispatch.state in (DISPATCH_STATE_COMPLETED, DISPATCH_STATE_FAILED)


def succeeded(dispatch: Dispatch) -> bool:
    """Whether every target has its outcome and the books are closed."""
    return dispatch.state == DISPATCH_STATE_COMPLETED and funnel_of(dispatch.books).closed


def announce(created: Dispatch, *, as_json: bool) -> None:
    """Say that the dispatch is there."""
    if as_json:
        emit(document(created))
    else:
        say(f"dispatch {created.dispatch_id}  {state(created)}")


async def watch(dispatcher: DispatcherStub, known: Dispatch, *, as_json: bool) -> Dispatch:
    """Follow a dispatch on a live bar, or as NDJSON, and show how it ended.

    known: what was shown of it already, or its id alone.
    """
    with progress("sending", quiet=as_json) as report, first_failure():
        view = Followed(known, report, as_json=as_json)
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(_look_at_lanes(dispatcher, view))
            async for now in events(dispatcher, known.dispatch_id):
                view.dispatch_is(now)
            looking.cancel()
    if not as_json:
        show(view.last)
    return view.last


class Followed:
    """What is shown of a dispatch while it is followed: each change once."""

    def __init__(self, known: Dispatch, report: Report, *, as_json: bool) -> None:
        self.last = known
        self._held_up: Sequence[HeldUp] = ()
        self._report = report
        self._as_json = as_json

    @property
    def is_open(self) -> bool:
        """Whether rows wait."""
        books = self.last.books
        return bool(books.queued or books.in_flight)

    def dispatch_is(self, now: Dispatch) -> None:
        """Its state or its books changed."""
        before, self.last = self.last, now
        if finished(now):
            self._held_up = ()
        if not self._as_json:
            funnel = funnel_of(now.books)
            note = f"{funnel.accepted:,} accepted, {funnel.queued:,} waiting"
            self._report(funnel.settled, note, total=max(funnel.resolved, 1))
        elif now != before:
            self._emit()

    def lanes_are(self, lanes: Lanes) -> None:
        """So stand the lanes of its app."""
        before, self._held_up = self._held_up, lanes.held_up
        now = self._held_up
        if before == now:
            return
        if self._as_json:
            self._emit()
            return
        for each in now:
            if each not in before:
                notice(each.line(), style="yellow")
        for lane in {each.lane: None for each in before}:
            if lane in lanes.ready:  # One that is gone from the list may not send all the same.
                notice(f"lane {lane} sends again", style="green")

    def _emit(self) -> None:
        emit(document(self.last) | {"held_up": [each.document() for each in self._held_up]})


async def _look_at_lanes(dispatcher: DispatcherStub, view: Followed) -> None:
    """Ask how the lanes stand as long as rows wait, until cancelled."""
    while True:
        await asyncio.sleep(BETWEEN_LOOKS)
        if view.is_open:
            found = await lanes_of(dispatcher, view.last.app_id)
            if found is not None:
                view.lanes_are(found)


def show(dispatch: Dispatch) -> None:
    """The dispatch and its books, for people."""
    say(f"dispatch {dispatch.dispatch_id}  {state(dispatch)}")
    if dispatch.failure:
        say(dispatch.failure, style="red")
    table(("books", "#", ""), funnel_of(dispatch.books).lines())


def state(dispatch: Dispatch) -> str:
    """ "running", "completed" …"""
    return word(DispatchState, dispatch.state, "DISPATCH_STATE_")


def document(dispatch: Dispatch) -> dict[str, Any]:
    """The dispatch as JSON."""
    funnel = funnel_of(dispatch.books)
    return {
        "dispatch_id": dispatch.dispatch_id,
        "app_id": dispatch.app_id,
        "client_ref": dispatch.client_ref,
        "campaign": dispatch.campaign,
        "purpose": dispatch.purpose,
        "state": state(dispatch),
        "failure": dispatch.failure,
        "test": dispatch.test,
        "create_time": dispatch.create_time.ToJsonString(),
        "finish_time": dispatch.finish_time.ToJsonString() if finished(dispatch) else None,
        "books": funnel.document(),
        "closed": funnel.closed,
    }
