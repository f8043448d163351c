"""Following a dispatch: its books as they change, to the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from nuncio.dispatcher.v1.dispatch_pb2 import (
    DISPATCH_STATE_COMPLETED,
    DISPATCH_STATE_FAILED,
    Dispatch,
    DispatchState,
)
from nuncio.dispatcher.v1.dispatcher_service_pb2 import WatchDispatchRequest
from nuncio_cli.demo.funnel import funnel_of
from nuncio_cli.names import word
from nuncio_cli.output import emit, notice, progress, say, table
from nuncio_cli.stubs import DispatcherStub
from nuncio_runtime.errors import Kind, ServiceError

# How long a dispatcher may be gone, as when it restarts, before watching is given up.
PATIENCE: Final = 60.0
BETWEEN_TRIES: Final = 1.0


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


async def watch(dispatcher: DispatcherStub, dispatch_id: str, *, as_json: bool) -> Dispatch:
    """Follow a dispatch on a live bar, or as NDJSON, and show how it ended."""
    last = Dispatch()
    with progress("sending", quiet=as_json) as report:
        async for last in events(dispatcher, dispatch_id):
            if as_json:
                emit(document(last))
            else:
                funnel = funnel_of(last.books)
                note = f"{funnel.accepted:,} accepted, {funnel.queued:,} waiting"
                report(funnel.settled, note, total=max(funnel.resolved, 1))
    if not as_json:
        show(last)
    return last


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
