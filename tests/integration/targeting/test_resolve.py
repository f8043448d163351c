"""ResolveAudience and ExplainAudience, with a real registry behind them."""

from uuid import UUID, uuid4

import pytest

from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.targeting.v1 import audience_pb2
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.targeting.house import (
    House,
    expression,
    ids_of,
    installations,
    suppressed_of,
    users,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


async def test_pages_come_in_key_order_with_all_columns(house: House, app: str) -> None:
    ids = sorted([await house.installed(app) for _ in range(5)])
    pages = await house.pages(app, expression("all()"), page_size=2)
    assert ids_of(pages) == ids
    for page in pages:
        count = page.page.count
        assert len(page.page.tokens) == len(page.page.registered_at) == count <= 2
        assert len(page.page.token_refs) == 16 * count
        assert bytes(page.page.platforms) == bytes([provider_pb2.PLATFORM_ANDROID]) * count
    assert pages[0].page.tokens[0].decode() == f"token-{ids[0]}"


async def test_the_stream_starts_again_after_any_page(house: House, app: str) -> None:
    ids = sorted([await house.installed(app) for _ in range(5)])
    pages = await house.pages(app, expression("all()"), page_size=2)
    for read in range(1, len(pages) + 1):
        rest = await house.pages(
            app, expression("all()"), page_size=2, cursor=pages[read - 1].cursor
        )
        assert ids_of(pages[:read]) + ids_of(rest) == ids


async def test_shards_meet_without_gap_or_overlap(house: House, app: str) -> None:
    ids = sorted([await house.installed(app) for _ in range(6)])
    border = bytes([0x80]) + bytes(15)
    low = target_pb2.KeyRange(high=border)
    high = target_pb2.KeyRange(low=border)
    for audience in (expression("all()"), installations(ids)):
        below = ids_of(await house.pages(app, audience, range=low))
        above = ids_of(await house.pages(app, audience, range=high))
        assert below == [each for each in ids if each.bytes < border]
        assert below + above == ids


async def test_who_may_not_be_reached_is_counted_by_reason(house: House, app: str) -> None:
    agreed = await house.installed(app)
    await house.consent(app, agreed, "marketing")
    await house.installed(app)
    await house.installed(app, permission="PERMISSION_DENIED")
    pages = await house.pages(app, expression("all()"), purpose="marketing")
    assert ids_of(pages) == [agreed]
    assert suppressed_of(pages) == {"NO_PERMISSION": 1, "NO_CONSENT": 1}


async def test_users_get_it_on_all_of_their_installations(house: House, app: str) -> None:
    hers = {await house.installed(app, user_id="anna") for _ in range(2)}
    his = await house.installed(app, user_id="ben")
    await house.installed(app, user_id="carl")
    await house.installed(app)
    found = await house.pages(app, users("anna", "ben", "anna", "nobody"))
    assert set(ids_of(found)) == {*hers, his}


@pytest.mark.parametrize("page_size", [0, 1, 2, 3])
async def test_named_installations_are_all_accounted_for(
    house: House, app: str, page_size: int
) -> None:
    known = [await house.installed(app) for _ in range(3)]
    denied = await house.installed(app, permission="PERMISSION_DENIED")
    unknown = [uuid4() for _ in range(4)]
    audience = installations([*known, *unknown, denied, *known])
    pages = await house.pages(app, audience, page_size=page_size)
    assert ids_of(pages) == sorted(known)
    assert suppressed_of(pages) == {"NOT_FOUND": 4, "NO_PERMISSION": 1}


async def test_unknown_installations_are_counted_once_wherever_reading_starts_again(
    house: House, app: str
) -> None:
    known = [await house.installed(app) for _ in range(3)]
    audience = installations([*known, *(uuid4() for _ in range(4))])
    pages = await house.pages(app, audience, page_size=2)
    for read in range(1, len(pages) + 1):
        rest = await house.pages(app, audience, page_size=2, cursor=pages[read - 1].cursor)
        assert ids_of([*pages[:read], *rest]) == sorted(known)
        assert suppressed_of([*pages[:read], *rest]) == {"NOT_FOUND": 4}


async def test_unknown_installations_are_counted_in_their_shard(house: House, app: str) -> None:
    low, high = UUID(int=1), UUID(int=2**127)
    audience = installations([low, high])
    upper = target_pb2.KeyRange(low=high.bytes)
    assert suppressed_of(await house.pages(app, audience, range=upper)) == {"NOT_FOUND": 1}


async def test_an_installation_of_another_app_is_not_found(house: House, app: str) -> None:
    elsewhere = await house.installed(await house.app())
    pages = await house.pages(app, installations([elsewhere]))
    assert ids_of(pages) == []
    assert suppressed_of(pages) == {"NOT_FOUND": 1}


async def test_an_explanation_adds_up(house: House, app: str) -> None:
    await house.installed(app, country="CH")
    await house.installed(app, country="CH", permission="PERMISSION_DENIED")
    await house.installed(app, country="DE")
    request = pb.ExplainAudienceRequest(app_id=app, audience=expression('country = "CH"'))
    explained = await house.targeting.ExplainAudience(request)
    assert explained.resolved == 2
    assert [(each.platform, each.count) for each in explained.reachable] == [
        (provider_pb2.PLATFORM_ANDROID, 1)
    ]
    assert [(each.reason, each.count) for each in explained.suppressed] == [
        (target_pb2.SUPPRESSION_REASON_NO_PERMISSION, 1)
    ]


async def test_an_explanation_counts_named_installations_that_are_unknown(
    house: House, app: str
) -> None:
    audience = installations([await house.installed(app), uuid4(), uuid4()])
    request = pb.ExplainAudienceRequest(app_id=app, audience=audience)
    explained = await house.targeting.ExplainAudience(request)
    assert explained.resolved == 3
    assert sum(each.count for each in explained.reachable) == 1
    assert [(each.reason, each.count) for each in explained.suppressed] == [
        (target_pb2.SUPPRESSION_REASON_NOT_FOUND, 2)
    ]


async def test_a_reader_that_leaves_does_no_harm(house: House, app: str) -> None:
    for _ in range(3):
        await house.installed(app)
    request = pb.ResolveAudienceRequest(app_id=app, audience=expression("all()"), page_size=1)
    call = house.targeting.ResolveAudience(request)
    await anext(aiter(call))
    call.cancel()
    assert len(ids_of(await house.pages(app, expression("all()")))) == 3


@pytest.mark.parametrize(
    "audience",
    [expression("all()"), users("anna"), installations([UUID(int=1)])],
    ids=["expression", "users", "installations"],
)
async def test_an_unknown_app_is_named(house: House, audience: audience_pb2.Audience) -> None:
    explain = pb.ExplainAudienceRequest(app_id="nobody", audience=audience)
    for call in (house.pages("nobody", audience), house.targeting.ExplainAudience(explain)):
        with pytest.raises(RemoteError) as raised:
            await call
        assert (raised.value.kind, raised.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")
        assert raised.value.metadata == {"appId": "nobody"}


async def test_a_wrong_expression_is_refused_with_its_place(house: House, app: str) -> None:
    explain = pb.ExplainAudienceRequest(app_id=app, audience=expression('contry = "CH"'))
    for call in (
        house.pages(app, expression('contry = "CH"')),
        house.targeting.ExplainAudience(explain),
    ):
        with pytest.raises(RemoteError) as raised:
            await call
        assert (raised.value.kind, raised.value.reason) == (
            Kind.INVALID_ARGUMENT,
            "AUDIENCE_INVALID",
        )
        assert raised.value.metadata == {
            "line": "1",
            "column": "1",
            "position": "0",
            "expected": "country",
        }


async def test_an_expression_that_is_too_large_is_refused_with_the_limit(
    house: House, app: str
) -> None:
    with pytest.raises(RemoteError) as raised:
        await house.pages(app, expression("(" * 40))
    assert raised.value.reason == "AUDIENCE_TOO_LARGE"
    assert raised.value.metadata == {"limit": "levels", "allowed": "39", "found": "40"}


async def test_a_segment_that_is_not_there_is_named(house: House, app: str) -> None:
    with pytest.raises(RemoteError) as raised:
        await house.pages(app, expression('segment("vip")'))
    assert (raised.value.kind, raised.value.reason) == (Kind.NOT_FOUND, "SEGMENT_NOT_FOUND")
    assert raised.value.metadata == {"appId": app, "segment": "vip"}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ResolveAudienceRequest(app_id="a"), "audience"),
        (pb.ResolveAudienceRequest(app_id="a", audience=audience_pb2.Audience()), "audience"),
        (pb.ResolveAudienceRequest(app_id="", audience=users("x")), "app_id"),
        (pb.ResolveAudienceRequest(app_id="a\0", audience=users("x")), "app_id"),
        (
            pb.ResolveAudienceRequest(app_id="a", audience=users("x", "\0")),
            "audience.users.user_ids[1]",
        ),
        (pb.ResolveAudienceRequest(app_id="a", audience=users("x"), page_size=1001), "page_size"),
        (
            pb.ResolveAudienceRequest(
                app_id="a",
                audience=audience_pb2.Audience(
                    installations=audience_pb2.InstallationSet(installation_ids=bytes(17))
                ),
            ),
            "audience.installations.installation_ids",
        ),
        (
            pb.ResolveAudienceRequest(
                app_id="a", audience=installations([UUID(int=1)]), cursor=b"short"
            ),
            "cursor",
        ),
        (
            pb.ResolveAudienceRequest(
                app_id="a", audience=users("x"), only=audience_pb2.InstallationSet()
            ),
            "only.installation_ids",
        ),
    ],
)
async def test_a_field_that_breaks_a_rule_is_named(
    house: House, request_: pb.ResolveAudienceRequest, field: str
) -> None:
    with pytest.raises(RemoteError) as raised:
        async for _ in house.targeting.ResolveAudience(request_):
            pass
    assert (raised.value.kind, raised.value.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELD")
    assert raised.value.metadata["field"].startswith(field)
