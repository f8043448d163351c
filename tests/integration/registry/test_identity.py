"""Merge and reachability over real gRPC: as the contract's comments say."""

import pytest

from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.domain.identity import MERGE_BATCH
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry, timestamp
from tests.unit.registry.builders import APP

DAY = 86_400.0
Facts = installation_pb2.InstallationFacts


async def merge(registry: Registry, old: str, new: str, *, app: str = APP) -> int:
    request = pb.MergeUsersRequest(app_id=app, from_user_id=old, into_user_id=new)
    return (await registry.stub.MergeUsers(request)).moved


async def reachability(
    registry: Registry, *users: str, purpose: str = "", app: str = APP
) -> list[installation_pb2.UserReachability]:
    request = pb.GetUserReachabilityRequest(app_id=app, user_ids=users, purpose=purpose)
    return list((await registry.stub.GetUserReachability(request)).users)


async def test_two_accounts_become_one_however_many_installations_they_have(
    registry: Registry,
) -> None:
    numbers = range(1, MERGE_BATCH + 2)
    for start in (1, MERGE_BATCH):
        rows = [
            registry.row(number, user_id="old")
            for number in range(start, min(start + MERGE_BATCH, numbers.stop))
        ]
        pages = iter([pb.RegisterTokensRequest(app_id=APP, registrations=rows)])
        async for _ in registry.stub.RegisterTokens(pages):
            pass
    await registry.register(5000, user_id="bob")
    assert await merge(registry, "old", "ada") == len(numbers)
    assert await merge(registry, "old", "ada") == 0
    for number, user in ((1, "ada"), (numbers[-1], "ada"), (5000, "bob")):
        assert (await registry.installation(number)).user_id == user


async def test_a_user_is_not_merged_into_itself(registry: Registry) -> None:
    with pytest.raises(RemoteError) as refused:
        await merge(registry, "ada", "ada")
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.violations[0].field == "into_user_id"
    assert "ada" not in str(refused.value)


async def test_an_unknown_app_is_named(registry: Registry) -> None:
    for call in (
        merge(registry, "a", "b", app="nobody"),
        reachability(registry, "a", app="nobody"),
    ):
        with pytest.raises(RemoteError) as refused:
            await call
        assert (refused.value.kind, refused.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")


async def test_reachability_answers_each_user_in_order(registry: Registry) -> None:
    agreed = installation_pb2.ConsentChange(
        purpose="news", state=installation_pb2.CONSENT_STATE_GRANTED
    )
    await registry.register(1, user_id="ada", consents=[agreed])
    await registry.register(2, user_id="ada")
    await registry.register(
        3,
        user_id="ada",
        platform=provider_pb2.PLATFORM_ANDROID,
        token=token_pb2.Token(fcm="token"),
        facts=Facts(permission=installation_pb2.PERMISSION_DENIED),
    )
    nobody, ada = await reachability(registry, "nobody", "ada", purpose="news")
    assert nobody == installation_pb2.UserReachability(user_id="nobody")
    seen = timestamp(registry.clock)
    assert ada == installation_pb2.UserReachability(
        user_id="ada",
        reachable=True,
        channels=[
            installation_pb2.ReachabilityChannel(
                provider=provider_pb2.PROVIDER_APNS,
                platform=provider_pb2.PLATFORM_IOS,
                reachable=1,
                suppressed=[
                    target_pb2.SuppressedCount(
                        reason=target_pb2.SUPPRESSION_REASON_NO_CONSENT, count=1
                    )
                ],
                last_seen=seen,
            ),
            installation_pb2.ReachabilityChannel(
                provider=provider_pb2.PROVIDER_FCM,
                platform=provider_pb2.PLATFORM_ANDROID,
                suppressed=[
                    target_pb2.SuppressedCount(
                        reason=target_pb2.SUPPRESSION_REASON_NO_PERMISSION, count=1
                    )
                ],
                last_seen=seen,
            ),
        ],
    )


async def test_who_was_not_seen_for_long_is_stale_and_counts_without_a_purpose(
    registry: Registry,
) -> None:
    await registry.register(1, user_id="ada")
    (ada,) = await reachability(registry, "ada")
    assert (ada.reachable, ada.channels[0].reachable) == (True, 1)
    registry.clock.advance(31 * DAY)
    (ada,) = await reachability(registry, "ada")
    assert not ada.reachable
    (suppressed,) = ada.channels[0].suppressed
    assert (suppressed.reason, suppressed.count) == (target_pb2.SUPPRESSION_REASON_STALE, 1)


async def test_after_an_account_switch_the_installation_reaches_only_the_new_user(
    registry: Registry,
) -> None:
    await registry.register(1, user_id="ada")
    await registry.register(1, user_id="bob")
    ada, bob = await reachability(registry, "ada", "bob")
    assert (ada.reachable, bob.reachable) == (False, True)


@pytest.mark.parametrize("users", [(), ("a", "a"), ("",), tuple(map(str, range(101)))])
async def test_bad_lists_of_users_are_refused(registry: Registry, users: tuple[str, ...]) -> None:
    with pytest.raises(RemoteError) as refused:
        await reachability(registry, *users)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.violations[0].field.startswith("user_ids")
