"""What is read from a registration: every field in its place, every value in its type."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.convert import change_of
from nuncio_registry.api.rows import registration_of, repeat_of
from nuncio_registry.api.values import attributes_of, time_of, timestamp_of
from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    Environment,
    Facts,
    Permission,
    Platform,
    Provider,
    Registration,
    Value,
    Version,
)
from nuncio_registry.domain.ports.registration import NewRow
from nuncio_registry.domain.tokens import plain_token, subscription_token
from nuncio_registry.storage.rows import registration_row
from nuncio_runtime.errors import InvalidField
from tests.unit.registry.builders import NOW, key

MESSAGE = installation_pb2.InstallationFacts(
    permission=installation_pb2.PERMISSION_PROVISIONAL,
    language="pt_br",
    country="CH",
    time_zone="Europe/Zurich",
    app_version="1.0",
    os_version="2.0",
    device_model="model",
    sdk_version="3.0",
    topics=installation_pb2.TopicSet(topics=["b", "a"]),
    attributes={"plan": installation_pb2.AttributeValue(text="free")},
    last_seen=timestamp_of(NOW),
    tags=installation_pb2.TagSet(tags=["d", "c"]),
)
FACTS = Facts(
    permission=Permission.PROVISIONAL,
    language="pt-BR",
    country="CH",
    time_zone="Europe/Zurich",
    app_version="1.0",
    os_version="2.0",
    device_model="model",
    sdk_version="3.0",
    topics=("a", "b"),
    attributes={"plan": "free"},
    last_seen=NOW,
    tags=("c", "d"),
)
VALUES: list[tuple[installation_pb2.AttributeValue, Value]] = [
    (installation_pb2.AttributeValue(text=""), ""),
    (installation_pb2.AttributeValue(text="free"), "free"),
    (installation_pb2.AttributeValue(number=0), 0.0),
    (installation_pb2.AttributeValue(number=0.1), 0.1),
    (installation_pb2.AttributeValue(flag=False), False),
    (installation_pb2.AttributeValue(flag=True), True),
    (installation_pb2.AttributeValue(time=timestamp_of(NOW)), NOW),
    (installation_pb2.AttributeValue(version="1.2"), Version("1.2")),
]


def full_row() -> pb.Registration:
    return pb.Registration(
        installation_id=str(key(1)),
        platform=provider_pb2.PLATFORM_IOS,
        environment=provider_pb2.ENVIRONMENT_SANDBOX,
        token=token_pb2.Token(apns="ab"),
        user_id="user",
        facts=MESSAGE,
        consents=[
            installation_pb2.ConsentChange(
                purpose=purpose,
                state=installation_pb2.ConsentState.ValueType(state),
                source="source",
                prompt_strategy="strategy",
                policy_version="policy",
                actor="actor",
            )
            for purpose, state in (("b", 1), ("a", 2), ("c", 2), ("aa", 1))
        ],
        observed_at=timestamp_of(NOW),
    )


def content_hash(content: bytes) -> bytes:
    assert content
    return b"hash"


def read(row: pb.Registration) -> Registration:
    return registration_of((row, repeat_of(row, content_hash)))


def test_a_full_row_is_read_field_by_field() -> None:
    assert read(full_row()) == Registration(
        installation_id=key(1),
        platform=Platform.IOS,
        provider=Provider.APNS,
        environment=Environment.SANDBOX,
        token=plain_token("ab"),
        user_id="user",
        facts=FACTS,
        consents=tuple(
            ConsentChange(purpose, state, "source", "strategy", "policy", "actor")
            for purpose, state in (
                ("b", ConsentState.GRANTED),
                ("a", ConsentState.DENIED),
                ("c", ConsentState.DENIED),
                ("aa", ConsentState.GRANTED),
            )
        ),
        observed_at=NOW,
        content_hash=b"hash",
    )


def test_a_bare_row_tells_nothing_but_its_token() -> None:
    subscription = token_pb2.WebPushSubscription(
        endpoint="https://push.test/1", p256dh=b"p" * 65, auth=b"a" * 16, vapid_key_id="key"
    )
    row = pb.Registration(
        installation_id=str(key(1)),
        platform=provider_pb2.PLATFORM_WEB,
        token=token_pb2.Token(web_push=subscription),
    )
    assert read(row) == Registration(
        installation_id=key(1),
        platform=Platform.WEB,
        provider=Provider.WEB_PUSH,
        environment=Environment.PRODUCTION,
        token=subscription_token(endpoint="https://push.test/1", p256dh=b"p" * 65, auth=b"a" * 16),
        vapid_key_id="key",
        content_hash=b"hash",
    )


def test_sets_that_are_empty_are_told() -> None:
    row = full_row()
    row.facts.Clear()
    row.facts.topics.SetInParent()
    row.facts.tags.SetInParent()
    row.facts.device_model = row.facts.sdk_version = ""
    assert read(row).facts == Facts(topics=(), tags=(), device_model="", sdk_version="")


def test_an_update_tells_the_same_facts() -> None:
    assert change_of(pb.UpdateInstallationRequest(facts=MESSAGE)).facts == FACTS
    assert change_of(pb.UpdateInstallationRequest()).facts == Facts()


@pytest.mark.parametrize(("told", "value"), VALUES, ids=str)
def test_an_attribute_is_of_the_type_it_was_told_in(
    told: installation_pb2.AttributeValue, value: Value
) -> None:
    (found,) = attributes_of({"name": told}, "field").values()
    assert found == value
    assert type(found) is type(value)


def test_an_impossible_time_is_named_by_its_attribute() -> None:
    bad = installation_pb2.AttributeValue(time=Timestamp(seconds=10**15))
    with pytest.raises(InvalidField) as refused:
        attributes_of({"fine": VALUES[0][0], "since": bad}, "facts.attributes")
    assert [v.field for v in refused.value.violations] == ['facts.attributes["since"].time']


@pytest.mark.parametrize(
    ("time", "value"),
    [
        (Timestamp(seconds=-62_135_596_800), datetime(1, 1, 1, tzinfo=UTC)),
        (
            Timestamp(seconds=253_402_300_799, nanos=999_999_999),
            datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ),
        (
            Timestamp(seconds=-1, nanos=1_999),
            datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
        ),
        (Timestamp(), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
    ids=str,
)
def test_times_reach_from_year_1_to_9999(time: Timestamp, value: datetime) -> None:
    assert time_of(time, "field") == value


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ([("b", 1), ("a", 2), ("c", 2), ("aa", 1)], ("aa b", "a c")),
        # NULL would say that nobody was asked.
        ([("a", 1)], ("a", "")),
        ([("a", 2)], ("", "a")),
        ([], (None, None)),
    ],
)
def test_purposes_are_written_sorted_by_what_was_said(
    said: list[tuple[str, int]], written: tuple[str | None, str | None]
) -> None:
    row = read(full_row())._replace(
        consents=tuple(ConsentChange(purpose, ConsentState(state)) for purpose, state in said)
    )
    new = NewRow(0, is_new=True, takes_token=True)
    *_, granted, denied, _, _ = registration_row(row, new, b"h")
    assert (granted, denied) == written
