"""nuncio installations watch: the change feed."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

import typer

from nuncio.registry.v1.registry_service_pb2 import (
    WatchInstallationsRequest,
    WatchInstallationsResponse,
)
from nuncio_cli import installation_view, output
from nuncio_cli.asking import ask_registry
from nuncio_cli.documents import document
from nuncio_cli.options import AppId, AsJson
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.stubs import RegistryStub
from nuncio_runtime.errors import Kind, ServiceError

# How long a registry may be gone, as when its machine is replaced, before watching is given up.
PATIENCE: Final = 600.0
BETWEEN_TRIES: Final = 1.0


@reaching("registry")
def watch(
    *,
    app_id: AppId,
    position: Annotated[
        str, typer.Option(help="Go on after this. Default: the oldest that is kept.")
    ] = "",
    from_now: Annotated[bool, typer.Option("--from-now", help="Only what happens now.")] = False,
    limit: Annotated[
        int,
        typer.Option(
            min=0,
            help="End after so many events; the position told then goes on with the next one. "
            "0: do not end.",
        ),
    ] = 0,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Follow what happens to an app's installations: registered, identified, consented, erased …

    One line per event, and at the end the position to go on from: with --position it begins with
    the event after the last one shown, leaving none out and repeating none. With --json one object
    per event; its `position` goes on after that event. When nothing happens for a while there is
    an object with nothing but the position. A registry that restarts is waited for. See
    docs/change-feed.md.

    Examples: `nuncio installations watch --app shop --from-now`,
    `nuncio installations watch --app shop --position AbC… --json`.
    """
    if position and from_now:
        raise typer.BadParameter("give either --position or --from-now")
    request = WatchInstallationsRequest(app_id=app_id, position=position, from_now=from_now)

    async def work(stub: RegistryStub) -> None:
        shown = Shown(as_json=as_json)
        try:
            async for answer in pages(stub, request):
                shown.add(answer, limit=limit)
                if limit and shown.events >= limit:
                    return
        finally:
            shown.end()

    ask_registry(work, where=where, as_json=as_json)


async def pages(
    registry: RegistryStub, request: WatchInstallationsRequest
) -> AsyncIterator[WatchInstallationsResponse]:
    """The feed from the request's position on, without an end.

    A stream that breaks is opened again where it was; raises RemoteError when that fails for ten
    minutes, or when nothing was heard before. The request keeps the position.
    """
    heard: float | None = None
    told = False
    while True:
        try:
            async for answer in registry.WatchInstallations(request):
                heard, told = time.monotonic(), False
                yield answer
                request.position, request.from_now = answer.position, False
        except ServiceError as error:
            patient = heard is not None and time.monotonic() - heard < PATIENCE
            if error.kind is not Kind.UNAVAILABLE or not patient:
                raise
            if not told:
                output.notice("the registry cannot be reached; trying again for ten minutes")
                told = True
        await asyncio.sleep(BETWEEN_TRIES)


class Shown:
    """What was printed so far. The position goes on after the last of it."""

    def __init__(self, *, as_json: bool) -> None:
        self.events = 0
        self._as_json = as_json
        self._position = ""

    def add(self, answer: WatchInstallationsResponse, *, limit: int) -> None:
        """Print a response, of its events no more than are left of the limit."""
        events = answer.events[: limit - self.events] if limit else answer.events[:]
        for event in events:
            if self._as_json:
                output.emit(document(event))
            else:
                output.say(installation_view.event_line(event))
            self._position = event.position
        self.events += len(events)
        if not events and answer.position != self._position:
            if self._as_json:
                output.emit({"position": answer.position})
            self._position = answer.position

    def end(self) -> None:
        """Say where to go on."""
        if self._position and not self._as_json:
            output.notice(f"go on with --position {self._position}", style="")
