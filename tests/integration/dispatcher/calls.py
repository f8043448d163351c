"""Orders for the dispatcher, and what to make of its answers."""

from typing import Any, TypeAlias
from uuid import uuid4

from nuncio.dispatcher.v1 import dispatch_pb2, message_pb2
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio.targeting.v1 import audience_pb2
from tests.integration.dispatcher.neighbourhood import APP

Stub: TypeAlias = "rpc.DispatcherServiceAsyncStub"
COMPLETED = dispatch_pb2.DISPATCH_STATE_COMPLETED


def order(
    *,
    client_ref: str = "",
    app_id: str = APP,
    expression: str = "all()",
    title: str = "Hello",
    **fields: Any,
) -> pb.CreateDispatchRequest:
    fields.setdefault("audience", audience_pb2.Audience(expression=expression))
    return pb.CreateDispatchRequest(
        app_id=app_id,
        client_ref=client_ref or str(uuid4()),
        message=message_pb2.Message(title=title),
        **fields,
    )


async def finished(stub: Stub, dispatch_id: str) -> dispatch_pb2.Dispatch:
    """The dispatch's last state; in each one before, the books add up."""
    dispatch = dispatch_pb2.Dispatch()
    async for event in stub.WatchDispatch(pb.WatchDispatchRequest(dispatch_id=dispatch_id)):
        dispatch = event.dispatch
        assert add_up(dispatch.books)
    assert dispatch.HasField("finish_time")
    return dispatch


def add_up(books: dispatch_pb2.Books) -> bool:
    parts = (
        *(each.count for each in books.suppressed),
        *(each.count for each in books.rejected),
        books.deferred,
        books.queued,
        books.in_flight,
        books.accepted,
        books.expired,
        books.cancelled,
        books.unknown,
    )
    return books.resolved == sum(parts)
