"""Every RPC of the contract over real gRPC, with every error that it documents."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import grpc
import pytest

from nuncio.common.v1.provider_pb2 import Platform, Provider
from nuncio.feedback.v1 import feedback_service_pb2 as pb
from nuncio.feedback.v1 import outcome_pb2
from nuncio.registry.v1 import registry_service_pb2 as registry_pb
from nuncio.registry.v1.token_pb2 import InvalidationOutcome
from nuncio_feedback.domain.model import Verdict
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.errors import Kind, ServiceError
from nuncio_runtime.postgres import dsn_of
from tests.integration.feedback.neighbours import Client, registry_double, running_feedback
from tests.support.postgres import fresh_database
from tests.support.services import service_process
from tests.unit.feedback.pages import Row, page_of, wire

APP = "com.example.app"
SENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DEAD = Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT)
NOWHERE = "127.0.0.1:1"
INVALIDATED = InvalidationOutcome.INVALIDATION_OUTCOME_INVALIDATED
PENDING = InvalidationOutcome.INVALIDATION_OUTCOME_UNSPECIFIED
UNKNOWN = InvalidationOutcome.INVALIDATION_OUTCOME_UNKNOWN


class AppNotFoundError(ServiceError):
    """There is no such app."""

    kind = Kind.NOT_FOUND
    reason = "APP_NOT_FOUND"


@pytest.fixture
async def database() -> AsyncIterator[DatabaseSettings]:
    async with fresh_database("nuncio_feedback", "feedback") as settings:
        yield settings


@pytest.fixture
async def client(database: DatabaseSettings) -> AsyncIterator[Client]:
    """Feedback without a registry: what needs none is to work without one."""
    async with running_feedback(database, registry=NOWHERE) as channel:
        yield Client(channel)


async def invalidate(
    request: registry_pb.InvalidateTokensRequest,
) -> registry_pb.InvalidateTokensResponse:
    return registry_pb.InvalidateTokensResponse(outcomes=[INVALIDATED] * len(request.tokens))


@asynccontextmanager
async def refused(*fields: str) -> AsyncIterator[None]:
    with pytest.raises(RemoteError) as refusal:
        yield
    assert (refusal.value.kind, refusal.value.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.value.metadata["field"] in fields


async def test_pages_are_acknowledged_in_order(client: Client) -> None:
    pages = [page_of(Row(sent_at=SENT), page_id=f"page {n}") for n in range(40)]
    assert await client.report(*pages) == [page.page_id for page in pages]
    [kind] = (await client.campaign()).outcomes
    assert kind == pb.OutcomeCount(
        platform=Platform.PLATFORM_IOS,
        provider=Provider.PROVIDER_APNS,
        verdict=outcome_pb2.Verdict.VERDICT_ACCEPTED,
        count=40,
    )


async def test_tests_are_reported_apart_and_cost_no_token(client: Client) -> None:
    await client.report(page_of(Row(sent_at=SENT), DEAD, page_id="test", test=True))
    await client.report(page_of(Row(sent_at=SENT), page_id="real"))
    report = await client.campaign()
    accepted, dead = outcome_pb2.VERDICT_ACCEPTED, outcome_pb2.VERDICT_TOKEN_DEAD
    assert [(kind.test, kind.verdict, kind.count) for kind in report.outcomes] == [
        (False, accepted, 1),
        (True, accepted, 1),
        (True, dead, 1),
    ]
    assert not report.invalidations


async def test_each_page_is_acknowledged_before_the_next_one_is_sent(client: Client) -> None:
    call = client.stub.ReportOutcomes()
    for number in range(3):
        page = page_of(Row(sent_at=SENT), page_id=f"page {number}")
        await call.write(pb.ReportOutcomesRequest(page=wire(page)))
        assert await call.read() == pb.ReportOutcomesResponse(page_id=page.page_id)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_page_that_is_reported_twice_counts_once(client: Client) -> None:
    page = page_of(Row(sent_at=SENT), DEAD)
    assert await client.report(page, page) == ["page", "page"]
    assert await client.report(page) == ["page"]
    report = await client.campaign()
    assert [kind.count for kind in report.outcomes] == [1, 1]
    assert [kind.count for kind in report.invalidations] == [1]


async def test_a_malformed_page_ends_the_stream_after_the_acks_before_it(client: Client) -> None:
    good, bad = page_of(Row(), page_id="good"), page_of(Row(verdict=9), page_id="bad")
    call = client.stub.ReportOutcomes()
    await call.write(pb.ReportOutcomesRequest(page=wire(good)))
    await call.write(pb.ReportOutcomesRequest(page=wire(bad)))
    assert await call.read() == pb.ReportOutcomesResponse(page_id="good")
    async with refused("page.verdicts"):
        await call.read()
    assert sum(kind.count for kind in (await client.campaign()).outcomes) == 1


def changed(**fields: object) -> pb.ReportOutcomesRequest:
    page = wire(page_of(Row()))
    for name, value in fields.items():
        page.ClearField(name)  # type: ignore[arg-type]
        page.MergeFrom(type(page)(**{name: value}))  # type: ignore[arg-type]
    return pb.ReportOutcomesRequest(page=page)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ReportOutcomesRequest(), "page"),
        (changed(page_id=""), "page.page_id"),
        (changed(dispatch_id="spring"), "page.dispatch_id"),
        (changed(app_id=""), "page.app_id"),
        (changed(app_id="a\0"), "page.app_id"),
        (changed(count=1001), "page.count"),
        (changed(count=2), "page.installation_ids"),
        (changed(reasons=[7]), "page.reasons"),
        (changed(sent_at=[-5]), "page.sent_at"),
    ],
)
async def test_bad_pages_are_refused_by_field(
    client: Client, request_: pb.ReportOutcomesRequest, field: str
) -> None:
    async with refused(field):
        async for _ in client.stub.ReportOutcomes(stream_of([request_])):
            pass


async def stream_of(
    requests: Iterable[pb.ReportOutcomesRequest],
) -> AsyncIterator[pb.ReportOutcomesRequest]:
    for request in requests:
        yield request


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GetCampaignReportRequest(campaign="spring"), "app_id"),
        (pb.GetCampaignReportRequest(app_id=APP), ""),
        (pb.GetCampaignReportRequest(app_id=APP, dispatch_id="x"), "dispatch_id"),
        (pb.GetCampaignReportRequest(app_id=APP, campaign="a\0"), "campaign"),
        (pb.GetCampaignReportRequest(app_id=APP, campaign="a" * 129), "campaign"),
    ],
)
async def test_bad_report_requests_are_refused_by_field(
    client: Client, request_: pb.GetCampaignReportRequest, field: str
) -> None:
    async with refused(field):
        await client.stub.GetCampaignReport(request_)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListInvalidationsRequest(), "app_id"),
        (pb.ListInvalidationsRequest(app_id=APP, dispatch_id="x"), "dispatch_id"),
        (pb.ListInvalidationsRequest(app_id=APP, page_size=-1), "page_size"),
    ],
)
async def test_bad_list_requests_are_refused_by_field(
    client: Client, request_: pb.ListInvalidationsRequest, field: str
) -> None:
    async with refused(field):
        await client.stub.ListInvalidations(request_)


async def test_a_campaign_without_outcomes_has_an_empty_report(client: Client) -> None:
    assert await client.campaign("never sent") == pb.GetCampaignReportResponse()


async def test_a_report_can_be_about_one_dispatch(client: Client) -> None:
    await client.report(
        *(
            page_of(Row(sent_at=SENT), page_id=f"page {n}", dispatch_id=UUID(int=n))
            for n in range(3)
        )
    )
    report = await client.stub.GetCampaignReport(
        pb.GetCampaignReportRequest(app_id=APP, dispatch_id=str(UUID(int=1)))
    )
    assert [kind.count for kind in report.outcomes] == [1]


async def test_invalidations_are_listed_page_by_page_newest_first(client: Client) -> None:
    rows = [
        Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT, dead_since=SENT)
        for _ in range(7)
    ]
    for number, row in enumerate(rows):
        await client.report(page_of(row, page_id=f"page {number}"))
    found, token = list[pb.Invalidation](), ""
    while True:
        page = await client.stub.ListInvalidations(
            pb.ListInvalidationsRequest(app_id=APP, page_size=3, page_token=token)
        )
        found += page.invalidations
        token = page.next_page_token
        if not token:
            break
    assert [one.installation_id for one in found] == [str(r.installation_id) for r in rows[::-1]]
    assert {one.app_id for one in found} == {APP}
    assert {one.dead_since.ToDatetime(UTC) for one in found} == {SENT}
    assert {(one.reason, one.provider, one.outcome) for one in found} == {
        ("Unregistered", 1, PENDING)
    }


async def test_a_page_token_of_another_list_is_refused(client: Client) -> None:
    for number in range(2):
        await client.report(page_of(DEAD, page_id=f"page {number}"))
    page = await client.stub.ListInvalidations(pb.ListInvalidationsRequest(app_id=APP, page_size=1))
    for request in (
        pb.ListInvalidationsRequest(app_id="other", page_token=page.next_page_token),
        pb.ListInvalidationsRequest(app_id=APP, page_token="nonsense"),
    ):
        with pytest.raises(RemoteError) as refusal:
            await client.stub.ListInvalidations(request)
        assert refusal.value.reason == "PAGE_TOKEN_MISMATCH"


async def test_the_registry_is_told_what_the_provider_said(database: DatabaseSettings) -> None:
    asked: list[registry_pb.InvalidateTokensRequest] = []

    async def answer(
        request: registry_pb.InvalidateTokensRequest,
    ) -> registry_pb.InvalidateTokensResponse:
        asked.append(request)
        return await invalidate(request)

    died = SENT - timedelta(hours=1, microseconds=-1)
    row = Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT, dead_since=died)
    async with (
        registry_double(answer) as registry,
        running_feedback(database, registry=registry) as channel,
    ):
        client = Client(channel)
        await client.report(page_of(Row(sent_at=SENT), row))
        await client.settled(INVALIDATED)
    [request] = asked
    [token] = request.tokens
    assert (request.app_id, token.reason) == (APP, "Unregistered")
    assert token.installation_id == row.installation_id.bytes
    assert token.token_ref == row.token_ref
    assert token.dead_since.ToDatetime(UTC) == died


async def test_an_app_that_the_registry_does_not_know_is_not_asked_for_again(
    database: DatabaseSettings,
) -> None:
    async def answer(
        _: registry_pb.InvalidateTokensRequest,
    ) -> registry_pb.InvalidateTokensResponse:
        raise AppNotFoundError

    async with (
        registry_double(answer) as registry,
        running_feedback(database, registry=registry) as channel,
    ):
        client = Client(channel)
        await client.report(page_of(DEAD, DEAD))
        report = await client.settled(UNKNOWN)
    assert [kind.count for kind in report.invalidations] == [2]


async def test_a_short_answer_settles_nothing_until_a_whole_one_comes(
    database: DatabaseSettings,
) -> None:
    script = [[INVALIDATED], [INVALIDATED, PENDING]]

    async def answer(
        _: registry_pb.InvalidateTokensRequest,
    ) -> registry_pb.InvalidateTokensResponse:
        return registry_pb.InvalidateTokensResponse(outcomes=script.pop(0))

    async with (
        registry_double(answer) as registry,
        running_feedback(database, registry=registry) as channel,
    ):
        client = Client(channel)
        await client.report(page_of(DEAD, DEAD))
        await client.settled(INVALIDATED, UNKNOWN)
    assert not script


async def test_a_restart_of_feedback_loses_nothing(database: DatabaseSettings) -> None:
    async with running_feedback(database, registry=NOWHERE) as channel:
        await Client(channel).report(page_of(DEAD))
        await Client(channel).settled(PENDING)
    async with (
        registry_double(invalidate) as registry,
        running_feedback(database, registry=registry) as channel,
    ):
        await Client(channel).settled(INVALIDATED)


async def test_a_registry_that_comes_back_is_told_what_it_missed(
    database: DatabaseSettings,
) -> None:
    async with registry_double(invalidate) as target:
        port = int(target.rpartition(":")[2])
    async with running_feedback(database, registry=target) as channel:
        client = Client(channel)
        await client.report(page_of(DEAD))
        await client.settled(PENDING)
        async with registry_double(invalidate, port=port):
            await client.settled(INVALIDATED)


async def test_a_storage_that_fails_during_the_question_loses_nothing(
    database: DatabaseSettings,
) -> None:
    asked: list[registry_pb.InvalidateTokensRequest] = []
    asked_again = asyncio.Event()

    async def answer(
        request: registry_pb.InvalidateTokensRequest,
    ) -> registry_pb.InvalidateTokensResponse:
        asked.append(request)
        if len(asked) == 1:
            await cut_connections(database)
        else:
            asked_again.set()
        return await invalidate(request)

    async with (
        registry_double(answer) as registry,
        running_feedback(database, registry=registry) as channel,
    ):
        client = Client(channel)
        await client.report(page_of(DEAD))
        await asked_again.wait()
        await client.settled(INVALIDATED)
    assert asked == asked[:1] * 2


async def cut_connections(database: DatabaseSettings) -> None:
    """End every connection to the test's database but the one that asks for it."""
    connection = await asyncpg.connect(dsn_of(database))
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_the_process_serves_and_ends_cleanly(database: DatabaseSettings) -> None:
    async with service_process("feedback", database=database, REGISTRY__TARGET=NOWHERE) as process:
        async with connect(process.target) as channel:
            assert await Client(channel).report(page_of(DEAD)) == ["page"]
        assert await process.stop() == 0
