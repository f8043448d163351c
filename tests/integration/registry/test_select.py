"""SelectTargets and CountTargets over real gRPC."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.registry.v1 import app_pb2, installation_pb2, predicate_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from nuncio_runtime.metrics import REGISTRY
from tests.integration.registry.running import (
    ORIGIN,
    Registry,
    numbers,
    running_registry,
    timestamp,
)
from tests.integration.registry.subscriptions import subscription
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, key

GRANTED = installation_pb2.CONSENT_STATE_GRANTED


def has_topic(topic: str) -> predicate_pb2.Predicate:
    return predicate_pb2.Predicate(
        comparison=predicate_pb2.Comparison(
            field=predicate_pb2.PREDICATE_FIELD_TOPICS,
            operator=predicate_pb2.PREDICATE_OPERATOR_HAS,
            values=[predicate_pb2.PredicateValue(text=topic)],
        )
    )


def suppressed(counts: Iterable[target_pb2.SuppressedCount]) -> dict[str, int]:
    name = target_pb2.SuppressionReason.Name
    return {name(c.reason).removeprefix("SUPPRESSION_REASON_"): c.count for c in counts}


async def test_a_page_has_all_columns_of_its_targets(registry: Registry) -> None:
    await registry.register(1, "ab" * 32)
    web = subscription(f"{ORIGIN}/push/1")
    web.vapid_key_id = "spring"
    await registry.register(
        2, platform=provider_pb2.PLATFORM_WEB, token=token_pb2.Token(web_push=web)
    )
    await registry.register(
        3, platform=provider_pb2.PLATFORM_ANDROID, token=token_pb2.Token(fcm="fcm:token_1")
    )
    (response,) = await registry.pages()
    page = response.page
    assert page.count == 3
    assert numbers(page) == [1, 2, 3]
    assert list(page.tokens) == [b"ab" * 32, web.endpoint.encode(), b"fcm:token_1"]
    assert page.web_push_keys == web.p256dh + web.auth
    assert list(page.vapid_key_ids) == [web.vapid_key_id]
    assert page.platforms == bytes((1, 3, 2))
    assert page.providers == bytes((1, 3, 2))
    assert page.environments == bytes((1, 1, 1))
    assert len(page.token_refs) == 48
    assert list(page.registered_at) == [timestamp(registry.clock).ToMicroseconds()] * 3
    assert response.cursor == key(3).bytes


async def test_a_selection_starts_again_after_any_page(registry: Registry) -> None:
    for number in range(1, 8):
        await registry.register(number)
    pages = await registry.pages(page_size=2)
    assert [numbers(page.page) for page in pages] == [[1, 2], [3, 4], [5, 6], [7]]
    for done, page in enumerate(pages, start=1):
        left = [number for later in pages[done:] for number in numbers(later.page)]
        assert await registry.selected(page_size=2, cursor=page.cursor) == left


async def test_a_range_has_its_low_key_and_not_its_high_one(registry: Registry) -> None:
    for number in range(1, 6):
        await registry.register(number)
    part = target_pb2.KeyRange(low=key(2).bytes, high=key(4).bytes)
    assert await registry.selected(range=part) == [2, 3]
    assert await registry.selected(range=part, cursor=key(2).bytes) == [3]
    assert await registry.selected(range=target_pb2.KeyRange(high=key(0).bytes)) == []
    assert await registry.selected(cursor=b"\xff" * 16) == []


async def test_who_may_not_be_reached_is_counted_under_the_first_reason(registry: Registry) -> None:
    denied = installation_pb2.InstallationFacts(permission=installation_pb2.PERMISSION_DENIED)
    granted = installation_pb2.InstallationFacts(permission=installation_pb2.PERMISSION_GRANTED)
    unasked = installation_pb2.InstallationFacts()
    agreed = [installation_pb2.ConsentChange(purpose="news", state=GRANTED)]
    await registry.register(1, "aa" * 32, facts=denied)
    await registry.register(2, "aa" * 32, consents=agreed)  # Replaces 1.
    await registry.register(3, facts=denied, consents=agreed)
    await registry.register(4, facts=unasked, consents=agreed)
    await registry.register(5, facts=granted)
    old = timestamp(registry.clock, seconds=-timedelta(days=31).total_seconds())
    granted.last_seen.CopyFrom(old)
    await registry.register(6, facts=granted, consents=agreed)
    android = token_pb2.Token(fcm="android")
    await registry.register(
        7, token=android, facts=unasked, consents=agreed, platform=provider_pb2.PLATFORM_ANDROID
    )
    (response,) = await registry.pages(purpose="news")
    assert numbers(response.page) == [2, 7]
    expected = {"INACTIVE_TOKEN": 1, "NO_PERMISSION": 2, "NO_CONSENT": 1, "STALE": 1}
    assert suppressed(response.suppressed) == expected
    counted = await registry.stub.CountTargets(pb.CountTargetsRequest(app_id=APP, purpose="news"))
    assert suppressed(counted.suppressed) == expected
    assert counted.matched == 7
    assert [(c.platform, c.count) for c in counted.reachable] == [(1, 1), (2, 1)]


async def test_tokens_whose_key_is_lost_are_counted_and_end_nothing(tmp_path: Path) -> None:
    before = REGISTRY.get_sample_value("registry_unreadable_tokens_total") or 0
    async with fresh_database("nuncio_registry", "registry") as database:
        async with running_registry(database, tmp_path) as registry:
            await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
            await registry.register(1)
        (tmp_path / "seal-1.key").unlink()
        async with running_registry(database, tmp_path) as registry:
            (response,) = await registry.pages()
    assert response.page.count == 0
    assert suppressed(response.suppressed) == {"INACTIVE_TOKEN": 1}
    assert REGISTRY.get_sample_value("registry_unreadable_tokens_total") == before + 1


async def test_a_page_without_targets_is_still_a_page(registry: Registry) -> None:
    for number in range(1, 4):
        await registry.register(number)
    pages = await registry.pages(purpose="news", page_size=2)
    assert [page.page.count for page in pages] == [0, 0]
    assert [suppressed(page.suppressed) for page in pages] == [{"NO_CONSENT": 2}, {"NO_CONSENT": 1}]


async def test_nothing_that_matches_gives_no_page(registry: Registry) -> None:
    await registry.register(1)
    assert await registry.pages(predicate=has_topic("sport")) == []


async def test_withdrawn_consent_holds_for_the_next_page(registry: Registry) -> None:
    agreed = installation_pb2.ConsentChange(purpose="news", state=GRANTED)
    for number in range(1, 7):
        await registry.register(number, consents=[agreed])
    first = (await registry.pages(purpose="news", page_size=2))[0]
    withdrawn = installation_pb2.ConsentChange(
        purpose="news", state=installation_pb2.CONSENT_STATE_DENIED
    )
    await registry.stub.SetConsent(
        pb.SetConsentRequest(app_id=APP, installation_id=str(key(4)), changes=[withdrawn])
    )
    assert await registry.selected(purpose="news", cursor=first.cursor) == [3, 5, 6]


async def test_a_consumer_may_leave_in_the_middle(registry: Registry) -> None:
    for number in range(1, 8):
        await registry.register(number)
    call = registry.stub.SelectTargets(pb.SelectTargetsRequest(app_id=APP, page_size=1))
    async for _ in call:
        break
    call.cancel()
    async with asyncio.timeout(5):
        assert await registry.selected() == [1, 2, 3, 4, 5, 6, 7]


async def test_a_predicate_narrows_selection_count_and_list_alike(registry: Registry) -> None:
    for number in range(1, 5):
        topics = installation_pb2.TopicSet(topics=["sport"] if number % 2 else [])
        facts = installation_pb2.InstallationFacts(
            permission=installation_pb2.PERMISSION_GRANTED, topics=topics
        )
        await registry.register(number, facts=facts)
    sport = has_topic("sport")
    assert await registry.selected(predicate=sport) == [1, 3]
    counted = await registry.stub.CountTargets(pb.CountTargetsRequest(app_id=APP, predicate=sport))
    listed = await registry.stub.ListInstallations(
        pb.ListInstallationsRequest(app_id=APP, predicate=sport)
    )
    assert counted.matched == 2
    ids = [installation.installation_id for installation in listed.installations]
    assert ids == [str(key(1)), str(key(3))]


BAD_REQUESTS = [
    (pb.SelectTargetsRequest(app_id=APP, cursor=b"short"), "cursor"),
    (pb.SelectTargetsRequest(app_id=APP, page_size=1001), "page_size"),
    (pb.SelectTargetsRequest(app_id=APP, purpose="a\0"), "purpose"),
    (pb.SelectTargetsRequest(app_id=APP, range=target_pb2.KeyRange(low=b"x")), "range.low"),
    (
        pb.SelectTargetsRequest(app_id=APP, predicate=predicate_pb2.Predicate()),
        "predicate.node",
    ),
    (
        pb.SelectTargetsRequest(
            app_id=APP,
            predicate=predicate_pb2.Predicate(
                all_of=predicate_pb2.AllOf(
                    operands=[
                        has_topic("news"),
                        predicate_pb2.Predicate(
                            comparison=predicate_pb2.Comparison(
                                field=predicate_pb2.PREDICATE_FIELD_COUNTRY,
                                operator=predicate_pb2.PREDICATE_OPERATOR_IN,
                                values=[predicate_pb2.PredicateValue(number=1)],
                            )
                        ),
                    ]
                )
            ),
        ),
        "predicate.all_of.operands[1].comparison.values[0]",
    ),
]


async def test_bad_selections_name_field_and_rule(registry: Registry) -> None:
    for request, field in BAD_REQUESTS:
        with pytest.raises(RemoteError) as refused:
            await anext(aiter(registry.stub.SelectTargets(request)))
        assert refused.value.kind is Kind.INVALID_ARGUMENT
        assert refused.value.reason == "INVALID_FIELD"
        assert refused.value.violations[0].field == field
        assert refused.value.violations[0].rule


async def test_an_unknown_app_has_nothing_to_select(registry: Registry) -> None:
    with pytest.raises(RemoteError) as refused:
        await anext(aiter(registry.stub.SelectTargets(pb.SelectTargetsRequest(app_id="nobody"))))
    assert (refused.value.kind, refused.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")
    assert refused.value.metadata == {"appId": "nobody"}
