"""What expressions find: the promises of docs/audience-language.md, kept with the registry."""

from typing import Any

import pytest

from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from tests.integration.targeting.house import House

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]

FULL: dict[str, Any] = {
    "language": "pt-BR",
    "country": "BR",
    "time_zone": "America/Sao_Paulo",
    "app_version": "2.10.0",
    "os_version": "15",
    "device_model": "Pixel 9",
    "topics": {"topics": ["news", "sport/football"]},
    "attributes": {
        "plan": {"text": "free"},
        "age": {"number": 41},
        "vip": {"flag": True},
        "until": {"time": "2026-12-01T00:00:00Z"},
        "firmware": {"version": "4.2"},
    },
}


@pytest.mark.parametrize(
    "text",
    [
        "all()",
        'platform = "android" AND environment = "production" AND permission = "granted"',
        'language = "pt"',
        'language = "pt-br"',
        'in(country, "CH", "BR")',
        'time_zone = "America/Sao_Paulo"',
        'app_version > "2.9" AND app_version = "2.10" AND app_version < "3"',
        'os_version >= "15"',
        'device_model = "Pixel 9"',
        'topics:"sport/football"',
        'consents:"marketing"',
        'user_id = "anna" AND user_id:*',
        'last_seen > ago("1h") AND created > ago("1h") AND token_changed > ago("1h")',
        "NOT last_opened:*",
        'attributes.plan = "free" AND attributes.plan != "paid"',
        "attributes.age >= 41 AND attributes.age < 41.5 AND in(attributes.age, 40, 41)",
        "attributes.vip = true",
        'attributes.until > date("2026-11-30")',
        'attributes.firmware > version("4.1.9")',
    ],
)
async def test_a_full_installation_is_found(house: House, app: str, text: str) -> None:
    one = await house.installed(app, user_id="anna", **FULL)
    await house.consent(app, one, "marketing")
    assert await house.found(app, text) == {one}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('attributes.plan = "free"', False),
        ('attributes.plan != "free"', True),
        ('NOT attributes.plan = "free"', True),
        ("attributes.plan:*", False),
        ("NOT attributes.plan:*", True),
        ("attributes.age < 18", False),
        ("NOT attributes.age < 18", True),
        ('app_version < "2"', False),
        ('NOT app_version < "2"', True),
        ('language = "de" OR country = "CH"', False),
        ('topics:"news"', False),
        ('NOT topics:"news"', True),
        ('NOT consents:"marketing"', True),
        ("user_id:*", False),
    ],
)
async def test_what_a_missing_value_means(
    house: House, app: str, text: str, *, holds: bool
) -> None:
    bare = await house.installed(app)
    assert await house.found(app, text) == ({bare} if holds else set())


@pytest.mark.parametrize("text", ["attributes.plan = 1", "attributes.plan > 1"])
async def test_an_attribute_of_another_type_compares_as_missing(
    house: House, app: str, text: str
) -> None:
    await house.installed(app, **FULL)
    assert await house.found(app, text) == set()


async def test_values_joined_by_or_reach_the_registry_as_one_list(house: House, app: str) -> None:
    text = " OR ".join(f'country = "{a}{b}"' for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ")
    validated = await house.targeting.ValidateAudience(
        pb.ValidateAudienceRequest(app_id=app, expression=text)
    )
    assert len(validated.predicate.comparison.values) == 100


async def test_a_right_expression_is_shown_in_its_canonical_form(house: House, app: str) -> None:
    await house.segment(app, "vip", "attributes.vip = true")
    validated = await house.targeting.ValidateAudience(
        pb.ValidateAudienceRequest(
            app_id=app, expression="""  -(platform='ios')  AND (segment("vip"))"""
        )
    )
    assert not validated.problems
    assert validated.canonical == 'NOT platform = "ios" AND segment("vip")'
    none_of, vip = validated.predicate.all_of.operands
    assert none_of.none_of.comparison.values[0].text == "ios"
    assert vip.comparison.attribute == "vip"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "it is empty"),
        ("a = 1 OR b = 2 AND c = 3", 16, "AND and OR are mixed"),
        ('segment("nobody")', 9, "there is no segment nobody"),
        ("(" * 40, 1, "the expression is too large: 40 levels"),
    ],
)
async def test_problems_are_part_of_the_answer(
    house: House, app: str, text: str, column: int, message: str
) -> None:
    validated = await house.targeting.ValidateAudience(
        pb.ValidateAudienceRequest(app_id=app, expression=text)
    )
    (problem,) = validated.problems
    assert (problem.segment, problem.line, problem.column) == ("", 1, column)
    assert problem.message.startswith(message)
    assert not validated.canonical
    assert not validated.HasField("predicate")


async def test_validating_for_an_unknown_app_fails(house: House) -> None:
    request = pb.ValidateAudienceRequest(app_id="nobody", expression="all()")
    with pytest.raises(RemoteError) as raised:
        await house.targeting.ValidateAudience(request)
    assert raised.value.reason == "APP_NOT_FOUND"
