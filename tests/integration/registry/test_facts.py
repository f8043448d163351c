"""Tags, touches, and facts that cannot be, over real gRPC: as the contract's comments say."""

import pytest

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import installation_pb2, predicate_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import ORIGIN, Registry, timestamp
from tests.integration.registry.subscriptions import subscription
from tests.unit.registry.builders import APP, key

Facts = installation_pb2.InstallationFacts
TagSet = installation_pb2.TagSet
TOUCHED, UNKNOWN = token_pb2.TOUCH_OUTCOME_TOUCHED, token_pb2.TOUCH_OUTCOME_UNKNOWN


def touch(registry: Registry, number: int, **seconds: float) -> pb.Touch:
    times = {name: timestamp(registry.clock, seconds=at) for name, at in seconds.items()}
    return pb.Touch(installation_id=key(number).bytes, **times)


async def touched(registry: Registry, *touches: pb.Touch, app: str = APP) -> list[int]:
    request = pb.TouchInstallationsRequest(app_id=app, touches=touches)
    return list((await registry.stub.TouchInstallations(request)).outcomes)


async def test_tags_are_told_changed_and_found(registry: Registry) -> None:
    await registry.register(1, facts=Facts(tags=TagSet(tags=["vip", "beta"])))
    await registry.register(2)
    updated = await registry.stub.UpdateInstallation(
        pb.UpdateInstallationRequest(
            app_id=APP,
            installation_id=str(key(1)),
            add_tags=TagSet(tags=["staff", "gone"]),
            remove_tags=TagSet(tags=["beta", "gone"]),
        )
    )
    assert list(updated.installation.facts.tags.tags) == ["staff", "vip"]
    assert updated.installation == await registry.installation(1)
    vips = predicate_pb2.Predicate(
        comparison=predicate_pb2.Comparison(
            field=predicate_pb2.PREDICATE_FIELD_TAGS,
            operator=predicate_pb2.PREDICATE_OPERATOR_HAS,
            values=[predicate_pb2.PredicateValue(text="vip")],
        )
    )
    request = pb.ListInstallationsRequest(app_id=APP, predicate=vips)
    found = (await registry.stub.ListInstallations(request)).installations
    assert [row.installation_id for row in found] == [str(key(1))]


async def test_an_installation_tells_its_vapid_key_and_since_when_its_token_is_dead(
    registry: Registry,
) -> None:
    token = "ab" * 32
    await registry.register(1, token)
    stored = await registry.installation(1)
    assert not stored.HasField("token_death_time")
    assert (stored.vapid_key_id, stored.HasField("last_open_time")) == ("", False)
    web_push = subscription(f"{ORIGIN}/push/1")
    web_push.vapid_key_id = "2026"
    await registry.register(
        3, platform=provider_pb2.PLATFORM_WEB, token=token_pb2.Token(web_push=web_push)
    )
    assert (await registry.installation(3)).vapid_key_id == "2026"
    registry.clock.advance(60)
    await registry.register(2, token)
    assert (await registry.installation(1)).token_death_time == timestamp(registry.clock)
    await registry.register(1)
    assert not (await registry.installation(1)).HasField("token_death_time")


async def test_touches_move_times_and_name_whom_they_do_not_know(registry: Registry) -> None:
    await registry.register(1)
    touches = [
        touch(registry, 1, seen_time=60, open_time=30),
        touch(registry, 9, seen_time=60),
        touch(registry, 1, open_time=20),
    ]
    for _ in range(2):
        assert await touched(registry, *touches) == [TOUCHED, UNKNOWN, TOUCHED]
        stored = await registry.installation(1)
        assert stored.facts.last_seen == timestamp(registry.clock, seconds=60)
        assert stored.last_open_time == timestamp(registry.clock, seconds=30)


@pytest.mark.parametrize("field", ["seen_time", "open_time"])
async def test_a_touch_far_ahead_is_refused_and_nothing_is_touched(
    registry: Registry, field: str
) -> None:
    await registry.register(1)
    good, ahead = (touch(registry, 1, **{field: seconds}) for seconds in (600, 600.001))
    with pytest.raises(RemoteError) as refused:
        await touched(registry, good, ahead)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.violations[0].field == f"touches[1].{field}"
    assert (await registry.installation(1)).facts.last_seen == timestamp(registry.clock)
    assert await touched(registry, good) == [TOUCHED]


async def test_touches_of_an_unknown_app_are_refused(registry: Registry) -> None:
    with pytest.raises(RemoteError) as refused:
        await touched(registry, touch(registry, 1, seen_time=0), app="nobody")
    assert refused.value.reason == "APP_NOT_FOUND"


def large() -> installation_pb2.InstallationFacts:
    facts = Facts()
    for number in range(33):
        facts.attributes[f"a{number}"].text = "x" * 500
    return facts


BAD = [
    (Facts(language="xx-XX"), "facts.language"),
    (Facts(country="UK"), "facts.country"),
    (Facts(time_zone="Mars/Olympus"), "facts.time_zone"),
    (large(), "facts.attributes"),
    (Facts(tags=TagSet(tags=["no blanks"])), "facts.tags.tags[0]"),
]


@pytest.mark.parametrize(("facts", "field"), BAD)
async def test_facts_that_cannot_be_are_refused_by_every_call(
    registry: Registry, facts: installation_pb2.InstallationFacts, field: str
) -> None:
    await registry.register(1)
    update = pb.UpdateInstallationRequest(app_id=APP, installation_id=str(key(1)), facts=facts)
    with pytest.raises(RemoteError) as refused:
        await registry.stub.UpdateInstallation(update)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.violations[0].field == field
    with pytest.raises(RemoteError) as refused:
        await registry.register(2, facts=facts)
    assert refused.value.violations[0].field == f"registration.{field}"


async def test_a_bad_row_is_named_and_the_rest_of_its_page_goes_in(registry: Registry) -> None:
    rows = [registry.row(number, facts=facts) for number, (facts, _) in enumerate(BAD, start=1)]
    pages = iter([pb.RegisterTokensRequest(app_id=APP, registrations=[*rows, registry.row(9)])])
    (page,) = [page async for page in registry.stub.RegisterTokens(pages)]
    assert [(error.row, error.field) for error in page.errors] == [
        (row, field) for row, (_, field) in enumerate(BAD)
    ]
    assert all(error.rule for error in page.errors)
    assert page.outcomes[-1] == token_pb2.REGISTRATION_OUTCOME_CREATED
