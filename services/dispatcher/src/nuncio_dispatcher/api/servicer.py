"""nuncio.dispatcher.v1.DispatcherService."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final
from uuid import UUID

import grpc

from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio_dispatcher.api import convert
from nuncio_dispatcher.api.direct import direct_answer_to, direct_order_from
from nuncio_dispatcher.api.lanes import (
    check_to,
    lane_cursor,
    lane_to,
    next_lane_token,
    reloaded_to,
    slot_from,
)
from nuncio_dispatcher.domain.browse import Browse
from nuncio_dispatcher.domain.commands import Commands, Event, fields_of, with_refusal
from nuncio_dispatcher.domain.create import Create
from nuncio_dispatcher.domain.direct import Direct
from nuncio_dispatcher.domain.lanes import LaneDesk
from nuncio_dispatcher.domain.ports import Dispatches
from nuncio_dispatcher.domain.watch import Watch
from nuncio_runtime.interceptors.errors import service_error
from nuncio_runtime.interceptors.validation import check
from nuncio_runtime.paging import page_size

Context = grpc.aio.ServicerContext[Any, Any]

COMMANDS_AT_ONCE: Final = 1_000
"""On one stream. Further commands wait until one of these has had its last event."""


class DispatcherServicer(rpc.DispatcherServiceServicer):
    """Answers the calls of the contract."""

    def __init__(
        self,
        dispatches: Dispatches,
        create: Create,
        browse: Browse,
        watch: Watch,
        direct: Direct,
        lanes: LaneDesk,
    ) -> None:
        self._lanes = lanes
        self._direct = direct
        self._dispatches = dispatches
        self._browse = browse
        self._create = create
        self._watch = watch
        self._commands = Commands(create, watch)

    # The stubs know generators only; gRPC takes coroutines that write to the context as well.
    async def Dispatch(  # type: ignore[override]
        self, requests: AsyncIterator[pb.DispatchRequest], context: Context
    ) -> None:
        """Carry out commands side by side; the events of each one are in order."""
        free, writing = asyncio.Semaphore(COMMANDS_AT_ONCE), asyncio.Lock()

        async def carry_out(request: pb.DispatchRequest) -> None:
            async with aclosing(with_refusal(self._events(request), service_error)) as events:
                async for event in events:
                    async with writing:  # gRPC takes one message at a time.
                        await context.write(convert.event_to(request.command_id, event))
            free.release()

        async with asyncio.TaskGroup() as group:
            async for request in requests:
                await free.acquire()
                group.create_task(carry_out(request))

    async def _events(self, request: pb.DispatchRequest) -> AsyncGenerator[Event, None]:
        check(request)  # A bad command is refused by an event, so the runtime leaves it to us.
        with fields_of(request.WhichOneof("command")):
            if request.HasField("create"):
                events = self._commands.create(convert.order_from(request.create))
            else:
                events = self._commands.watch(UUID(request.watch.dispatch_id))
            async with aclosing(events):
                async for event in events:
                    yield event

    async def CreateDispatch(
        self, request: pb.CreateDispatchRequest, _context: Context
    ) -> pb.CreateDispatchResponse:
        """Store a dispatch."""
        dispatch, created = await self._create.create(convert.order_from(request))
        return pb.CreateDispatchResponse(dispatch=convert.dispatch_to(dispatch), created=created)

    async def GetDispatch(
        self, request: pb.GetDispatchRequest, _context: Context
    ) -> pb.GetDispatchResponse:
        """Read a dispatch and its books."""
        dispatch = await self._dispatches.get(UUID(request.dispatch_id))
        return pb.GetDispatchResponse(dispatch=convert.dispatch_to(dispatch))

    async def ListDispatches(
        self, request: pb.ListDispatchesRequest, _context: Context
    ) -> pb.ListDispatchesResponse:
        """Read one page of an app's dispatches."""
        page, more = await self._browse.page(
            request.app_id,
            request.campaign,
            after=convert.list_cursor(request),
            size=page_size(request.page_size),
        )
        return pb.ListDispatchesResponse(
            dispatches=[convert.dispatch_to(dispatch) for dispatch in page],
            next_page_token=convert.next_page_token(request, page[-1]) if more else "",
        )

    async def WatchDispatch(
        self, request: pb.WatchDispatchRequest, _context: Context
    ) -> AsyncIterator[pb.WatchDispatchResponse]:
        """Follow a dispatch."""
        async with aclosing(self._watch.follow(UUID(request.dispatch_id))) as states:
            async for dispatch in states:
                yield pb.WatchDispatchResponse(dispatch=convert.dispatch_to(dispatch))

    async def SendDirect(
        self, request: pb.SendDirectRequest, context: Context
    ) -> pb.SendDirectResponse:
        """Send one message to one destination."""
        order = direct_order_from(request)
        return direct_answer_to(await self._direct.send(order, within=context.time_remaining()))

    async def ListLanes(
        self, request: pb.ListLanesRequest, _context: Context
    ) -> pb.ListLanesResponse:
        """Read one page of this replica's lanes."""
        page, more = self._lanes.page(
            request.app_id, after=lane_cursor(request), size=page_size(request.page_size)
        )
        return pb.ListLanesResponse(
            lanes=[lane_to(lane) for lane in page],
            next_page_token=next_lane_token(request, page[-1]) if more else "",
        )

    async def CheckCredential(
        self, request: pb.CheckCredentialRequest, _context: Context
    ) -> pb.CheckCredentialResponse:
        """Try an app's credentials out."""
        provider, environment = slot_from(request)
        found = await self._lanes.check(request.app_id, provider, environment)
        return pb.CheckCredentialResponse(checks=[check_to(check) for check in found])

    async def ReloadCredentials(
        self, _request: pb.ReloadCredentialsRequest, _context: Context
    ) -> pb.ReloadCredentialsResponse:
        """Look at the credential files now."""
        return reloaded_to(self._lanes.reload())
