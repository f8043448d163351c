"""The dispatcher among its real neighbours: every RPC, as documented, over real gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from nuncio.common.v1 import error_reason_pb2, target_pb2
from nuncio.dispatcher.v1 import dispatch_pb2, message_pb2
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio.feedback.v1 import feedback_service_pb2 as feedback_pb
from nuncio.feedback.v1 import feedback_service_pb2_grpc as feedback_rpc
from nuncio.registry.v1 import registry_service_pb2 as registry_pb
from nuncio.registry.v1 import token_pb2
from nuncio.targeting.v1 import audience_pb2
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.errors import Kind
from nuncio_simulator.contract import Fault, FaultKind, ProviderName, Shares
from tests.integration.dispatcher.calls import COMPLETED, Stub, add_up, finished, order
from tests.integration.dispatcher.neighbourhood import (
    APP,
    DYING_APP,
    FAULTY_APP,
    HALF_APP,
    PROVIDERS,
    REFUSED_APP,
    SHARED_APP,
    SILENT_APPS,
    WHOLE_APP,
    Neighbourhood,
)
from tests.support.postgres import fresh_database
from tests.support.services import running_service

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stub(around: Neighbourhood) -> AsyncIterator[Stub]:
    """A dispatcher of its own process, with a new database."""
    async with (
        fresh_database("nuncio_dispatcher", "dispatcher") as database,
        running_service("dispatcher", database=database, **around.settings()) as target,
        connect(target) as channel,
    ):
        yield rpc.DispatcherServiceStub(channel)


async def read_until(
    stub: Stub, created: pb.CreateDispatchResponse, seen: Callable[[dispatch_pb2.Books], bool]
) -> dispatch_pb2.Books:
    """The first books that are as they should be, before the dispatch has finished."""
    wanted = pb.WatchDispatchRequest(dispatch_id=created.dispatch.dispatch_id)
    async for event in stub.WatchDispatch(wanted):
        assert add_up(event.dispatch.books)
        if seen(event.dispatch.books):
            return event.dispatch.books
    pytest.fail("the dispatch has finished")


async def refusal(call: Awaitable[object]) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await call
    return caught.value


async def test_a_dispatch_reaches_every_provider_and_closes_its_books(
    around: Neighbourhood, stub: Stub
) -> None:
    installed = {p: await around.install(p, 40, app_id=WHOLE_APP) for p in PROVIDERS}
    created = await stub.CreateDispatch(order(app_id=WHOLE_APP))
    assert created.created
    dispatch = await finished(stub, created.dispatch.dispatch_id)
    assert dispatch.state == COMPLETED
    assert (dispatch.books.resolved, dispatch.books.accepted) == (120, 120)
    for provider, addresses in installed.items():
        assert await around.accepted(provider, addresses) == [1] * 40


async def test_outcomes_reach_feedback(around: Neighbourhood, stub: Stub) -> None:
    created = await stub.CreateDispatch(order(campaign="reported"))
    await finished(stub, created.dispatch.dispatch_id)
    feedback = feedback_rpc.FeedbackServiceStub(around.feedback)
    wanted = feedback_pb.GetCampaignReportRequest(app_id=APP, campaign="reported")
    counts: Sequence[feedback_pb.OutcomeCount] = ()
    while sum(each.count for each in counts) < 120:
        counts = (await feedback.GetCampaignReport(wanted)).outcomes
    assert sorted(each.count for each in counts) == [40, 40, 40]


async def test_consent_is_asked_for_when_a_purpose_is_named(stub: Stub) -> None:
    created = await stub.CreateDispatch(order(purpose="marketing"))
    books = (await finished(stub, created.dispatch.dispatch_id)).books
    (suppressed,) = books.suppressed
    assert suppressed.reason == target_pb2.SUPPRESSION_REASON_NO_CONSENT
    assert (suppressed.count, books.accepted) == (120, 0)


async def test_repeating_an_order_gives_the_same_dispatch(stub: Stub) -> None:
    wanted = order()
    first = await stub.CreateDispatch(wanted)
    again = await stub.CreateDispatch(wanted)
    assert (first.created, again.created) == (True, False)
    assert again.dispatch.dispatch_id == first.dispatch.dispatch_id


async def test_orders_that_race_make_one_dispatch(stub: Stub) -> None:
    wanted = order()
    answers = await asyncio.gather(*(stub.CreateDispatch(wanted) for _ in range(5)))
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.dispatch.dispatch_id for answer in answers}) == 1


async def test_a_client_ref_with_other_content_is_refused(stub: Stub) -> None:
    first = await stub.CreateDispatch(order(client_ref="mine"))
    error = await refusal(stub.CreateDispatch(order(client_ref="mine", title="Other")))
    assert (error.kind, error.reason) == (Kind.ALREADY_EXISTS, "DISPATCH_EXISTS")
    assert error.metadata == {
        "appId": APP,
        "clientRef": "mine",
        "dispatchId": first.dispatch.dispatch_id,
    }


@pytest.mark.parametrize(
    ("wanted", "kind", "reason"),
    [
        (order(app_id="nobody"), Kind.NOT_FOUND, "APP_NOT_FOUND"),
        (
            order(
                app_id="nobody",
                audience=audience_pb2.Audience(users=audience_pb2.UserSet(user_ids=["u"])),
            ),
            Kind.NOT_FOUND,
            "APP_NOT_FOUND",
        ),
        (order(expression="platform ="), Kind.INVALID_ARGUMENT, "AUDIENCE_INVALID"),
        (order(expression='segment("nowhere")'), Kind.NOT_FOUND, "SEGMENT_NOT_FOUND"),
        (order(title="x" * 900, purpose="Not So"), Kind.INVALID_ARGUMENT, "INVALID_FIELD"),
        (order(title=""), Kind.INVALID_ARGUMENT, "MESSAGE_INVALID"),
    ],
    ids=["app", "app of named users", "expression", "segment", "purpose", "nothing said"],
)
async def test_a_wrong_order_is_refused_with_its_reason(
    stub: Stub, wanted: pb.CreateDispatchRequest, kind: Kind, reason: str
) -> None:
    error = await refusal(stub.CreateDispatch(wanted))
    assert (error.kind, error.reason) == (kind, reason)


async def test_a_wrong_expression_is_refused_with_its_place(stub: Stub) -> None:
    error = await refusal(stub.CreateDispatch(order(expression='platform = "ios" AND colour = 1')))
    assert error.reason == "AUDIENCE_INVALID"
    assert (error.metadata["line"], error.metadata["position"]) == ("1", "21")


async def test_a_message_that_a_provider_would_refuse_is_refused_first(stub: Stub) -> None:
    message = message_pb2.Message(title="t", body="ü" * 3_000)
    wanted = order()
    wanted.message.CopyFrom(message)
    error = await refusal(stub.CreateDispatch(wanted))
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "MESSAGE_INVALID")


async def test_an_expiry_in_the_past_is_refused(stub: Stub) -> None:
    wanted = order()
    wanted.expire_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=1))
    error = await refusal(stub.CreateDispatch(wanted))
    assert (error.reason, error.metadata["field"]) == ("INVALID_FIELD", "expire_time")


async def test_a_dispatch_lives_as_long_as_its_message_and_an_hour_at_least(stub: Stub) -> None:
    for life, expected in ((timedelta(0), timedelta(hours=1)), (timedelta(days=2),) * 2):
        wanted = order(expression='platform = "tvos"')
        wanted.message.time_to_live.FromTimedelta(life)
        found = (await stub.CreateDispatch(wanted)).dispatch
        assert found.expire_time.ToDatetime() - found.create_time.ToDatetime() == expected


async def test_an_unknown_dispatch_is_not_found(stub: Stub) -> None:
    dispatch_id = str(uuid4())
    read = stub.GetDispatch(pb.GetDispatchRequest(dispatch_id=dispatch_id))
    for call in (read, finished(stub, dispatch_id)):
        error = await refusal(call)
        assert (error.kind, error.reason) == (Kind.NOT_FOUND, "DISPATCH_NOT_FOUND")
        assert error.metadata == {"dispatchId": dispatch_id}


async def test_a_list_of_an_unknown_app_is_not_found(stub: Stub) -> None:
    error = await refusal(stub.ListDispatches(pb.ListDispatchesRequest(app_id="nowhere")))
    assert (error.kind, error.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")
    nothing = pb.ListDispatchesRequest(app_id=APP, campaign="never sent")
    assert await stub.ListDispatches(nothing) == pb.ListDispatchesResponse()


async def test_lists_go_from_page_to_page(stub: Stub) -> None:
    made = [
        (await stub.CreateDispatch(order(campaign="paged", expression='platform = "tvos"')))
        for _ in range(5)
    ]
    wanted = pb.ListDispatchesRequest(app_id=APP, campaign="paged", page_size=2)
    found: list[str] = []
    while not found or wanted.page_token:
        page = await stub.ListDispatches(wanted)
        found += [each.dispatch_id for each in page.dispatches]
        wanted.page_token = page.next_page_token
    assert found == [each.dispatch.dispatch_id for each in reversed(made)]


async def test_a_page_token_of_another_list_is_refused(stub: Stub) -> None:
    for _ in range(2):
        await stub.CreateDispatch(order(campaign="mixed", expression='platform = "tvos"'))
    wanted = pb.ListDispatchesRequest(app_id=APP, campaign="mixed", page_size=1)
    token = (await stub.ListDispatches(wanted)).next_page_token
    other = pb.ListDispatchesRequest(app_id=APP, campaign="other", page_token=token)
    assert (await refusal(stub.ListDispatches(other))).reason == "PAGE_TOKEN_MISMATCH"


async def test_a_stream_answers_every_command_to_its_end(stub: Stub) -> None:
    earlier = (await stub.CreateDispatch(order())).dispatch.dispatch_id
    unknown = pb.WatchDispatchRequest(dispatch_id=str(uuid4()))
    commands = [
        pb.DispatchRequest(command_id="make", create=order()),
        pb.DispatchRequest(command_id="follow", watch=pb.WatchDispatchRequest(dispatch_id=earlier)),
        pb.DispatchRequest(command_id="lost", watch=unknown),
        pb.DispatchRequest(command_id="wrong", create=order(expression="platform =")),
        pb.DispatchRequest(command_id="bad", create=order(purpose="Not So")),
    ]
    events: dict[str, list[pb.DispatchResponse]] = {}
    async for event in stub.Dispatch(iter(commands)):
        events.setdefault(event.command_id, []).append(event)

    kinds = {name: [e.WhichOneof("event") for e in given] for name, given in events.items()}
    assert kinds["make"][0] == "created"
    assert kinds["make"][-1] == kinds["follow"][-1] == "finished"
    assert set(kinds["make"][1:-1]) <= {"progress"}
    assert events["make"][-1].finished.books.accepted == 120
    reasons = {name: events[name][0].refused.reason for name in ("lost", "wrong", "bad")}
    assert reasons == {
        "lost": error_reason_pb2.ERROR_REASON_DISPATCH_NOT_FOUND,
        "wrong": error_reason_pb2.ERROR_REASON_AUDIENCE_INVALID,
        "bad": error_reason_pb2.ERROR_REASON_INVALID_FIELD,
    }
    assert all(len(events[name]) == 1 for name in reasons)


async def test_what_a_provider_refuses_for_now_is_accepted_in_the_end(
    around: Neighbourhood, stub: Stub
) -> None:
    faults = {
        ProviderName.APNS: {"kind": FaultKind.ANSWER, "status": 503, "count": 7},
        ProviderName.FCM: {"kind": FaultKind.RETRY_AFTER, "retry_after": 1, "count": 5},
        ProviderName.WEBPUSH: {"kind": FaultKind.REFUSED_STREAM, "count": 3},
    }
    for provider in PROVIDERS:
        tokens = await around.install(provider, 40, app_id=FAULTY_APP)
        fault = {"provider": provider, "tokens": tokens} | faults[provider]
        await around.simulator.admin.fault(Fault.model_validate(fault))
    created = await stub.CreateDispatch(order(app_id=FAULTY_APP))
    books = (await finished(stub, created.dispatch.dispatch_id)).books
    assert books.accepted == books.resolved == 120
    assert books.retried == 12


@pytest.mark.parametrize(
    ("policy", "app_id", "accepted", "unknown"),
    [
        (dispatch_pb2.DELIVERY_POLICY_AT_MOST_ONCE, SILENT_APPS[0], 39, 1),
        (dispatch_pb2.DELIVERY_POLICY_AT_LEAST_ONCE, SILENT_APPS[1], 40, 0),
    ],
)
async def test_a_request_without_an_answer_is_what_the_policy_makes_of_it(
    around: Neighbourhood,
    stub: Stub,
    *,
    policy: dispatch_pb2.DeliveryPolicy.ValueType,
    app_id: str,
    accepted: int,
    unknown: int,
) -> None:
    tokens = await around.install(ProviderName.APNS, 40, app_id=app_id)
    silence = Fault(
        provider=ProviderName.APNS,
        kind=FaultKind.NO_ANSWER,
        count=1,
        tokens=tokens,
        after_accept=True,
    )
    await around.simulator.admin.fault(silence)
    created = await stub.CreateDispatch(order(app_id=app_id, delivery_policy=policy))
    books = (await finished(stub, created.dispatch.dispatch_id)).books
    assert (books.accepted, books.unknown) == (accepted, unknown)


async def test_a_missing_credential_holds_up_its_own_lane_only(
    around: Neighbourhood, stub: Stub
) -> None:
    for provider in PROVIDERS:
        await around.install(provider, 40, app_id=HALF_APP)
    file = around.credentials / f"{HALF_APP}.toml"
    whole = file.read_text()
    file.write_text(whole.partition("[web_push]")[0])
    # Without that, lanes that were looked at within the last second stay a moment longer.
    await stub.ReloadCredentials(pb.ReloadCredentialsRequest())
    created = await stub.CreateDispatch(order(app_id=HALF_APP))
    books, restored = dispatch_pb2.Books(), False
    watched = pb.WatchDispatchRequest(dispatch_id=created.dispatch.dispatch_id)
    async for event in stub.WatchDispatch(watched):
        books = event.dispatch.books
        if (books.accepted, books.queued) == (80, 40) and not restored:
            file.write_text(whole)
            restored = True
    assert restored
    assert books.accepted == 120


async def test_a_credential_that_is_refused_costs_no_token_and_holds_up_no_other_lane(
    around: Neighbourhood, stub: Stub
) -> None:
    tokens = {p: await around.install(p, 40, app_id=REFUSED_APP) for p in PROVIDERS}
    refusal = Fault(
        provider=ProviderName.APNS, kind=FaultKind.CREDENTIAL, tokens=tokens[ProviderName.APNS]
    )
    fault_id = await around.simulator.admin.fault(refusal)
    created = await stub.CreateDispatch(order(app_id=REFUSED_APP))
    async with asyncio.timeout(10):
        books = await read_until(stub, created, lambda b: b.accepted == 80 and b.queued == 40)
    assert (books.resolved, list(books.rejected)) == (120, [])
    states = {each.token_state for each in await around.installations(REFUSED_APP)}
    assert states == {token_pb2.TOKEN_STATE_ACTIVE}

    await around.simulator.admin.clear_faults(fault_id)
    books = (await finished(stub, created.dispatch.dispatch_id)).books
    assert books.accepted == 120
    assert await around.accepted(ProviderName.APNS, tokens[ProviderName.APNS]) == [1] * 40


async def test_a_message_to_a_user_does_not_reach_who_logs_in_before_it_is_sent_again(
    around: Neighbourhood, stub: Stub
) -> None:
    tokens = await around.install(ProviderName.APNS, 2, app_id=SHARED_APP)
    kept, handed_over = await around.installations(SHARED_APP)
    for each in (kept, handed_over):
        await around.login(each.installation_id, "ann", app_id=SHARED_APP)
    trouble = Fault(provider=ProviderName.APNS, kind=FaultKind.ANSWER, status=503, tokens=tokens)
    fault_id = await around.simulator.admin.fault(trouble)
    ann = audience_pb2.Audience(users=audience_pb2.UserSet(user_ids=["ann"]))
    created = await stub.CreateDispatch(order(app_id=SHARED_APP, audience=ann))
    await read_until(stub, created, lambda books: books.queued == 2)
    await around.login(handed_over.installation_id, "bob", app_id=SHARED_APP)
    books = await read_until(stub, created, lambda books: len(books.suppressed) > 0)
    assert [(each.reason, each.count) for each in books.suppressed] == [
        (target_pb2.SUPPRESSION_REASON_NOT_FOUND, 1)
    ]
    await around.simulator.admin.clear_faults(fault_id)
    books = (await finished(stub, created.dispatch.dispatch_id)).books
    assert (books.resolved, books.accepted) == (2, 1)
    assert sum(await around.accepted(ProviderName.APNS, tokens)) == 1


async def test_dead_tokens_are_not_targets_of_a_later_dispatch(
    around: Neighbourhood, stub: Stub
) -> None:
    dying = Shares(dead=1, dead_before=0, throttled=0, slow=0)
    await around.install(ProviderName.FCM, 10, app_id=DYING_APP, shares=dying)
    start = datetime.now(UTC)
    created = await stub.CreateDispatch(order(app_id=DYING_APP, campaign="dying"))
    books = (await finished(stub, created.dispatch.dispatch_id)).books
    assert [(each.count, each.token_dead) for each in books.rejected] == [(10, True)]
    while books.rejected:  # Until feedback has carried the news to the registry.
        created = await stub.CreateDispatch(order(app_id=DYING_APP))
        books = (await finished(stub, created.dispatch.dispatch_id)).books
    assert [(each.count, each.reason) for each in books.suppressed] == [
        (10, target_pb2.SUPPRESSION_REASON_INACTIVE_TOKEN)
    ]
    # The registry knows which lane said so, and for which campaign.
    wanted = registry_pb.RestoreTokensRequest(
        app_id=DYING_APP, lane=f"fcm/{DYING_APP}/production", campaign="dying"
    )
    wanted.start_time.FromDatetime(start)
    assert (await around.registry.RestoreTokens(wanted)).restored == 10
