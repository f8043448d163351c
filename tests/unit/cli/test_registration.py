"""From the fields of a row to a registration."""

import base64
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.common.v1.provider_pb2 import (
    ENVIRONMENT_PRODUCTION,
    ENVIRONMENT_SANDBOX,
    PLATFORM_ANDROID,
    PLATFORM_IOS,
    PLATFORM_WEB,
)
from nuncio.registry.v1.installation_pb2 import CONSENT_STATE_DENIED, CONSENT_STATE_GRANTED
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio_cli.imports.mapping import FIELDS, AttributeType
from nuncio_cli.imports.registration import registration_from, timestamp
from nuncio_cli.imports.rows import BadValueError, Value

APNS: dict[str, Value] = {"platform": "ios", "token": "ab" * 32}


def made(
    fields: dict[str, Value],
    *,
    app_id: str = "shop",
    types: dict[str, AttributeType] | None = None,
) -> Registration:
    return registration_from(fields, app_id=app_id, attribute_types=types or {})


def test_the_provider_follows_from_the_platform() -> None:
    assert made(APNS).platform == PLATFORM_IOS
    assert made(APNS).token.WhichOneof("kind") == "apns"
    android = made({"platform": "android", "token": "t"})
    assert (android.platform, android.token.fcm) == (PLATFORM_ANDROID, "t")


def test_a_named_provider_wins_over_the_platform() -> None:
    assert made({**APNS, "provider": "fcm"}).token.WhichOneof("kind") == "fcm"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["", "="])
def test_web_push_keys_are_read_in_both_alphabets_padded_or_not(
    encode: Callable[[bytes], bytes], padding: str
) -> None:
    p256dh, auth = b"\x04" + b"\xfb\xff" * 32, b"\xfe\xfb" * 8
    fields: dict[str, Value] = {
        "platform": "web",
        "endpoint": "https://push.example.com/1",
        "p256dh": encode(p256dh).decode().rstrip("=") + padding,
        "auth": encode(auth).decode().rstrip("=") + padding * 2,
    }
    registration = made(fields)
    assert registration.platform == PLATFORM_WEB
    assert registration.token.web_push.p256dh == p256dh
    assert registration.token.web_push.auth == auth


def test_the_environment_is_production_unless_it_says_sandbox() -> None:
    assert made(APNS).environment == ENVIRONMENT_PRODUCTION
    assert made({**APNS, "environment": "Sandbox"}).environment == ENVIRONMENT_SANDBOX


def test_without_an_id_the_same_token_gives_the_same_one_in_an_app_only() -> None:
    first, again = made(APNS), made(APNS)
    assert first.installation_id == again.installation_id
    assert uuid.UUID(first.installation_id).version == 5
    assert made(APNS, app_id="other").installation_id != first.installation_id
    assert made({**APNS, "provider": "fcm"}).installation_id != first.installation_id


def test_both_cases_of_an_apns_token_give_the_same_id() -> None:
    assert made({**APNS, "token": "AB" * 32}).installation_id == made(APNS).installation_id
    firebase: dict[str, Value] = {"platform": "android", "token": "ab"}
    upper = made({**firebase, "token": "AB"})
    assert upper.installation_id != made(firebase).installation_id


def test_a_row_is_as_old_as_it_says_or_else_as_its_file() -> None:
    of_file = timestamp("2026-01-01", "observed_at")
    row = registration_from(APNS, app_id="shop", attribute_types={}, observed_at=of_file)
    assert row.observed_at == of_file
    fields: dict[str, Value] = {**APNS, "observed_at": "2025-01-01"}
    row = registration_from(fields, app_id="shop", attribute_types={}, observed_at=of_file)
    assert row.observed_at == timestamp("2025-01-01", "observed_at")


VALUES = st.one_of(
    st.text(),
    st.integers(-(2**63), 2**64),
    st.floats(),
    st.booleans(),
    st.lists(st.text(), max_size=3),
    st.datetimes(timezones=st.timezones()).map(str),
    st.sampled_from(["ios", "web", "fcm", "granted", "0001-01-01T00:00:00+14:00", "é" * 88]),
)
FIELD_NAMES = st.sampled_from([*sorted(FIELDS), "attributes.a", "attributes.ü", "consents.ads"])
TYPES: list[AttributeType] = ["text", "number", "flag", "time", "version"]


@given(
    platform=st.sampled_from(["ios", "android", "web"]),
    fields=st.dictionaries(FIELD_NAMES, VALUES, max_size=8),
    kind=st.sampled_from(TYPES),
)
def test_a_row_gives_a_registration_or_one_bad_value(
    platform: str, fields: dict[str, Value], kind: AttributeType
) -> None:
    with suppress(BadValueError):
        registration = made({"platform": platform, **fields}, types={"a": kind})
        assert registration.SerializeToString()


def test_attributes_have_the_type_they_are_given_or_bring_along() -> None:
    registration = made(
        {
            **APNS,
            "attributes.plan": "free",
            "attributes.orders": "7",
            "attributes.beta": True,
            "attributes.score": 1.5,
            "attributes.since": "2026-01-31",
            "attributes.build": "2.3.1",
        },
        types={"orders": "number", "since": "time", "build": "version"},
    )
    attributes = registration.facts.attributes
    assert attributes["plan"].text == "free"
    assert attributes["orders"].number == 7
    assert attributes["beta"].flag
    assert attributes["score"].number == 1.5
    assert attributes["since"].time.ToDatetime(UTC) == datetime(2026, 1, 31, tzinfo=UTC)
    assert attributes["build"].version == "2.3.1"


def test_consents_and_topics_are_taken_over() -> None:
    registration = made(
        {**APNS, "consents.marketing": "yes", "consents.surveys": "0", "topics": ["b", "a", "b"]}
    )
    states = {change.purpose: change.state for change in registration.consents}
    assert states == {"marketing": CONSENT_STATE_GRANTED, "surveys": CONSENT_STATE_DENIED}
    assert list(registration.facts.topics.topics) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T12:00:00+02:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21 10:00:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21 10:00:00 UTC", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
    ],
)
def test_times_are_iso_8601_or_unix(text: Value, expected: datetime) -> None:
    assert timestamp(text, "last_seen").ToDatetime(UTC) == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"token": "x"}, "platform"),
        ({**APNS, "platform": "amiga"}, "platform"),
        ({**APNS, "provider": "pigeon"}, "provider"),
        ({**APNS, "environment": "staging"}, "environment"),
        ({"platform": "ios"}, "token"),
        ({"platform": "web", "endpoint": "https://e", "auth": "AA"}, "p256dh"),
        ({"platform": "web", "endpoint": "https://e", "p256dh": "?", "auth": "AA"}, "p256dh"),
        ({"platform": "web", "endpoint": "https://e", "p256dh": "é", "auth": "AA"}, "p256dh"),
        ({**APNS, "permission": "maybe"}, "permission"),
        ({**APNS, "last_seen": "yesterday"}, "last_seen"),
        ({**APNS, "last_seen": "0001-01-01T00:00:00+14:00"}, "last_seen"),
        ({**APNS, "consents.ads": "perhaps"}, "consents.ads"),
        ({**APNS, "attributes.n": ["a"]}, "attributes.n"),
        ({**APNS, "topics": True}, "topics"),
        ({**APNS, "language": ["de"]}, "language"),
    ],
)
def test_what_cannot_be_put_into_form_names_its_field(fields: dict[str, Value], field: str) -> None:
    with pytest.raises(BadValueError) as raised:
        made(fields)
    assert raised.value.field == field
    assert "?" not in raised.value.rule
