"""What a crash in the middle of sending leaves behind is settled by whoever comes next."""

import pytest

from nuncio.dispatcher.v1 import dispatch_pb2
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio_runtime.client import connect
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from tests.integration.dispatcher.calls import COMPLETED, finished, order
from tests.integration.dispatcher.neighbourhood import CRASH_APPS, Neighbourhood
from tests.support.postgres import fresh_database
from tests.support.services import service_process

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(60)]


AT_MOST_ONCE = dispatch_pb2.DELIVERY_POLICY_AT_MOST_ONCE
AT_LEAST_ONCE = dispatch_pb2.DELIVERY_POLICY_AT_LEAST_ONCE


@pytest.mark.parametrize(
    ("policy", "app_id"), [(AT_MOST_ONCE, CRASH_APPS[0]), (AT_LEAST_ONCE, CRASH_APPS[1])]
)
async def test_kill_9_in_the_middle_loses_nothing(
    around: Neighbourhood, policy: dispatch_pb2.DeliveryPolicy.ValueType, app_id: str
) -> None:
    admin = around.simulator.admin
    tokens = await around.install(ProviderName.APNS, 40, app_id=app_id)
    slow = Fault(
        provider=ProviderName.APNS,
        kind=FaultKind.LATENCY,
        latency_ms=1_500,
        share=0.5,
        tokens=tokens,
    )
    fault_id = await admin.fault(slow)
    async with fresh_database("nuncio_dispatcher", "dispatcher") as database:
        settings = around.settings()
        async with service_process("dispatcher", database=database, **settings) as process:
            async with connect(process.target) as channel:
                wanted = order(app_id=app_id, delivery_policy=policy)
                created = await rpc.DispatcherServiceStub(channel).CreateDispatch(wanted)
                while not any(await around.accepted(ProviderName.APNS, tokens)):
                    pass
            await process.kill()
        await admin.clear_faults(fault_id)
        async with (
            service_process("dispatcher", database=database, **settings) as process,
            connect(process.target) as channel,
        ):
            stub = rpc.DispatcherServiceStub(channel)
            dispatch = await finished(stub, created.dispatch.dispatch_id)

    assert dispatch.state == COMPLETED
    books = dispatch.books
    times = await around.accepted(ProviderName.APNS, tokens)
    if policy == AT_MOST_ONCE:
        assert max(times) == 1
        assert books.accepted + books.unknown == books.resolved == 40
        assert books.unknown > 0
    else:
        assert len(times) == books.accepted == books.resolved == 40
        repeats = sum(times) - len(times)
        assert 0 < repeats <= books.retried  # Never more than the page in doubt.
