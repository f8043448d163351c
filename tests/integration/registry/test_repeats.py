"""Registrations that repeat what is stored, and such as only seem to, over real gRPC."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import error_reason_pb2
from nuncio.registry.v1 import app_pb2, event_pb2, installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.repeating import Facts, exchanged, outcomes, register, said
from tests.integration.registry.running import Registry, timestamp
from tests.integration.registry.watching import watching
from tests.unit.registry.builders import APP, key

CREATED = token_pb2.REGISTRATION_OUTCOME_CREATED
REFRESHED = token_pb2.REGISTRATION_OUTCOME_REFRESHED
REASSIGNED = token_pb2.REGISTRATION_OUTCOME_REASSIGNED
STALE = token_pb2.REGISTRATION_OUTCOME_STALE
REFUSED = token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED
DENIED = installation_pb2.CONSENT_STATE_DENIED
# The feed waits for the oldest transaction of the server, and so for those of other tests.
pytestmark = pytest.mark.timeout(60)

FAR = Timestamp(seconds=4_000_000_000)


def times_moved(
    before: installation_pb2.Installation, after: installation_pb2.Installation
) -> installation_pb2.Installation:
    """What was before, with the times of after."""
    moved = installation_pb2.Installation()
    moved.CopyFrom(before)
    moved.register_time.CopyFrom(after.register_time)
    moved.facts.last_seen.CopyFrom(after.facts.last_seen)
    return moved


async def test_a_repetition_moves_times_and_is_no_event(registry: Registry) -> None:
    row = said(registry)
    await register(registry, row)
    before = await registry.installation()
    async with watching(registry, from_now=True) as feed:
        await feed.catch_up()
        registry.clock.advance(60)
        answer = await register(registry, row)
        assert answer.outcome == REFRESHED
        assert answer.register_time == timestamp(registry.clock)
        registry.clock.advance(60)
        now = timestamp(registry.clock)
        assert await outcomes(registry, [row], [row]) == [[REFRESHED], [REFRESHED]]
        after = await registry.installation()
        await register(registry, said(registry, 2))
        (event, _) = await feed.events(2)
        assert event.installation_id == str(key(2))
    assert after.register_time == after.facts.last_seen == now
    assert after == times_moved(before, after)


async def test_a_repetition_counts_for_invalidations_and_for_what_is_stale(
    registry: Registry,
) -> None:
    row = said(registry)
    await register(registry, row)
    (dead,) = await dead_tokens(registry)
    registry.clock.advance(60)
    await register(registry, row)
    request = pb.InvalidateTokensRequest(app_id=APP, tokens=[dead])
    (outcome,) = (await registry.stub.InvalidateTokens(request)).outcomes
    assert outcome == token_pb2.INVALIDATION_OUTCOME_KEPT_NEWER
    late = said(registry, observed_at=timestamp(registry.clock, seconds=-1))
    assert (await register(registry, late)).outcome == STALE
    row.observed_at.CopyFrom(timestamp(registry.clock, seconds=-1))
    assert (await register(registry, row)).outcome == STALE


async def dead_tokens(registry: Registry) -> list[pb.DeadToken]:
    """Every target as a token that died now."""
    (response,) = await registry.pages()
    ids, refs = response.page.installation_ids, response.page.token_refs
    return [
        pb.DeadToken(
            installation_id=ids[at : at + 16],
            token_ref=refs[at : at + 16],
            dead_since=timestamp(registry.clock),
            reason="Unregistered",
        )
        for at in range(0, len(ids), 16)
    ]


async def consent(registry: Registry) -> None:
    denied = installation_pb2.ConsentChange(purpose="news", state=DENIED)
    request = pb.SetConsentRequest(app_id=APP, installation_id=str(key(1)), changes=[denied])
    await registry.stub.SetConsent(request)


async def update(registry: Registry) -> None:
    facts = Facts(permission=installation_pb2.PERMISSION_DENIED)
    request = pb.UpdateInstallationRequest(app_id=APP, installation_id=str(key(1)), facts=facts)
    await registry.stub.UpdateInstallation(request)


async def identify(registry: Registry) -> None:
    request = pb.IdentifyInstallationRequest(app_id=APP, installation_id=str(key(1)), user_id="eve")
    await registry.stub.IdentifyInstallation(request)


async def forget(registry: Registry) -> None:
    request = pb.ForgetUserRequest(app_id=APP, installation_id=str(key(1)))
    await registry.stub.ForgetUser(request)


async def merge(registry: Registry) -> None:
    request = pb.MergeUsersRequest(app_id=APP, from_user_id="ada", into_user_id="eve")
    assert (await registry.stub.MergeUsers(request)).moved == 1


async def invalidate(registry: Registry) -> None:
    request = pb.InvalidateTokensRequest(app_id=APP, tokens=await dead_tokens(registry))
    await registry.stub.InvalidateTokens(request)


CHANGES: list[tuple[Callable[[Registry], Awaitable[None]], int]] = [
    (consent, event_pb2.INSTALLATION_EVENT_KIND_CONSENT_CHANGED),
    (update, event_pb2.INSTALLATION_EVENT_KIND_PERMISSION_CHANGED),
    (identify, event_pb2.INSTALLATION_EVENT_KIND_IDENTIFIED),
    (forget, event_pb2.INSTALLATION_EVENT_KIND_IDENTIFIED),
    (merge, event_pb2.INSTALLATION_EVENT_KIND_IDENTIFIED),
    (invalidate, event_pb2.INSTALLATION_EVENT_KIND_RESTORED),
]


@pytest.mark.parametrize("in_bulk", [False, True])
@pytest.mark.parametrize(("change", "event_kind"), CHANGES)
async def test_what_was_changed_meanwhile_is_told_anew(
    registry: Registry,
    change: Callable[[Registry], Awaitable[None]],
    event_kind: int,
    *,
    in_bulk: bool,
) -> None:
    row = said(registry)
    await register(registry, row)
    await register(registry, row)
    before = await registry.installation()
    await change(registry)
    assert await registry.installation() != before
    registry.clock.advance(1)
    async with watching(registry, from_now=True) as feed:
        await feed.catch_up()
        if in_bulk:
            assert await outcomes(registry, [row]) == [[REFRESHED]]
        else:
            assert (await register(registry, row)).outcome == REFRESHED
        (event,) = await feed.events(1)
    assert (event.kind, event.installation_id) == (event_kind, str(key(1)))
    after = await registry.installation()
    assert after == times_moved(before, after)


async def test_who_lost_its_token_takes_it_back(registry: Registry) -> None:
    first, second = said(registry, 1, "ab"), said(registry, 2, "ab")
    assert (await register(registry, first)).outcome == CREATED
    for row in (second, first, second):
        assert (await register(registry, row)).outcome == REASSIGNED
    assert (await register(registry, second)).outcome == REFRESHED
    assert await registry.selected() == [2]


async def test_an_installation_that_was_erased_is_new(registry: Registry) -> None:
    row = said(registry)
    await register(registry, row)
    request = pb.EraseInstallationRequest(app_id=APP, installation_id=str(key(1)))
    await registry.stub.EraseInstallation(request)
    assert (await register(registry, row)).outcome == CREATED


BAD: list[tuple[dict[str, Any], str]] = [
    ({"installation_id": "1"}, "installation_id"),
    ({"observed_at": FAR}, "observed_at"),
    ({"observed_at": Timestamp(nanos=-1)}, "observed_at"),
    ({"facts": Facts(last_seen=FAR)}, "facts.last_seen"),
    ({"facts": Facts(time_zone="Mars/Base")}, "facts.time_zone"),
    ({"token": token_pb2.Token(apns="abc")}, "token.apns"),
    ({"user_id": ""}, "user_id"),
]


async def test_bad_rows_are_named_when_the_app_is_known_well(registry: Registry) -> None:
    """Then it is asked first what they repeat."""
    await register(registry, said(registry))
    for fields, field in BAD:
        with pytest.raises(RemoteError) as refused:
            await register(registry, said(registry, **fields))
        assert (refused.value.kind, refused.value.reason) == (
            Kind.INVALID_ARGUMENT,
            "INVALID_FIELD",
        )
        assert refused.value.violations[0].field == f"registration.{field}"
        assert refused.value.violations[0].rule
    (response,) = await exchanged(registry, [said(registry, **fields) for fields, _ in BAD])
    assert list(response.outcomes) == [REFUSED] * len(BAD)
    assert [error.field for error in response.errors] == [field for _, field in BAD]


@pytest.mark.parametrize(
    "request_", [pb.RegisterTokenRequest(), pb.RegisterTokenRequest(app_id=APP)]
)
async def test_a_request_without_a_registration_is_refused(
    registry: Registry, request_: pb.RegisterTokenRequest
) -> None:
    await register(registry, said(registry))
    with pytest.raises(RemoteError) as refused:
        await registry.stub.RegisterToken(request_)
    assert refused.value.kind is Kind.INVALID_ARGUMENT


async def test_an_app_that_is_not_there_is_not_found(registry: Registry) -> None:
    with pytest.raises(RemoteError) as unknown:
        await register(registry, said(registry), app_id="nobody")
    assert (unknown.value.kind, unknown.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")


async def test_an_app_that_was_deleted_is_not_found(registry: Registry) -> None:
    """Though a moment ago all it said was a repetition."""
    await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id="other")))
    row = said(registry)
    for outcome in (CREATED, REFRESHED):
        assert (await register(registry, row, app_id="other")).outcome == outcome
    erased = pb.EraseInstallationRequest(app_id="other", installation_id=str(key(1)))
    await registry.stub.EraseInstallation(erased)
    await registry.stub.DeleteApp(pb.DeleteAppRequest(app_id="other"))
    with pytest.raises(RemoteError) as single:
        await register(registry, row, app_id="other")
    assert single.value.reason == "APP_NOT_FOUND"
    (bulk,) = await exchanged(registry, [row], app_id="other")
    assert list(bulk.outcomes) == [REFUSED]
    assert bulk.errors[0].reason == error_reason_pb2.ERROR_REASON_APP_NOT_FOUND
