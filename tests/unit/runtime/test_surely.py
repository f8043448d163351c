"""The quick look at messages never says yes where the validator would have found something."""

import math
import random
from collections.abc import Iterator
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from buf.validate import validate_pb2 as rules
from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.dispatcher.v1 import message_pb2
from nuncio.dispatcher.v1.dispatcher_service_pb2 import CreateDispatchRequest
from nuncio.feedback.v1.feedback_service_pb2 import ReportOutcomesRequest
from nuncio.feedback.v1.outcome_pb2 import OutcomePage
from nuncio.registry.v1 import installation_pb2, predicate_pb2
from nuncio.registry.v1 import registry_service_pb2 as registry
from nuncio.registry.v1.app_pb2 import App
from nuncio.registry.v1.token_pb2 import Token, WebPushSubscription
from nuncio.targeting.v1.audience_pb2 import Audience
from nuncio_runtime.interceptors.surely import surely_valid
from tests.unit.runtime.edges import at_random, at_the_edges, good, is_right, new

ID: Final = "0b7e4cf8-9d0a-4b9e-8f5e-4dbd0f0a6c11"
NOW: Final = Timestamp(seconds=1_767_225_600)


def contracts() -> Iterator[Descriptor]:
    """The type of every request, and of all that requests contain."""
    stubs = Path(target_pb2.__file__).parents[2]
    files = sorted(stubs.glob("*/v1/*_pb2.py"))
    assert files
    left: list[Descriptor] = []
    for file in files:
        module = import_module(f"nuncio.{file.parts[-3]}.v1.{file.stem}")
        types = module.DESCRIPTOR.message_types_by_name
        left += (each for name, each in types.items() if name.endswith("Request"))
    seen = set()
    while left:
        found = left.pop()
        if found.full_name in seen or found.full_name.startswith("google."):
            continue
        seen.add(found.full_name)
        if not found.GetOptions().map_entry:
            yield found
        left += (field.message_type for field in found.fields if field.message_type is not None)


TYPES: Final = {each.full_name: each for each in contracts()}

# Fields that the quick look leaves to the validator whenever they are set.
LEFT: Final = {
    "nuncio.dispatcher.v1.ApnsOverrides.payload": "google.protobuf.Struct",
    "nuncio.dispatcher.v1.ApnsOverrides.priority": "in",
    "nuncio.dispatcher.v1.DispatchRequest.create": "CreateDispatchRequest",
    "nuncio.dispatcher.v1.LiveActivity.attributes": "google.protobuf.Struct",
    "nuncio.dispatcher.v1.LiveActivity.content_state": "google.protobuf.Struct",
    "nuncio.dispatcher.v1.LiveActivity.input_push_token": "const",
    "nuncio.registry.v1.SelectTargetsRequest.range": "KeyRange",
    "nuncio.targeting.v1.Audience.installations": "InstallationSet",
    "nuncio.targeting.v1.ResolveAudienceRequest.only": "InstallationSet",
    "nuncio.targeting.v1.ResolveAudienceRequest.range": "KeyRange",
}
# Types of which it leaves every message to the validator.
ALWAYS_LEFT: Final = {
    "nuncio.common.v1.KeyRange": "cel of low and high",
    "nuncio.dispatcher.v1.CreateDispatchRequest": "Message",
    "nuncio.dispatcher.v1.FcmOverrides": "google.protobuf.Struct",
    "nuncio.dispatcher.v1.Message": "cel of the keys of data",
    "nuncio.dispatcher.v1.SendDirectRequest": "ignore of request_id, Message",
    "nuncio.feedback.v1.GetCampaignReportRequest": "cel",
    "nuncio.targeting.v1.InstallationSet": "cel of installation_ids",
}


@pytest.mark.parametrize("name", TYPES)
def test_at_the_edges_of_every_rule_it_is_not_surer_than_the_validator(name: str) -> None:
    assert is_right(good(TYPES[name]))
    too_sure = [
        (field, str(message)[:200])
        for field, message in at_the_edges(TYPES[name])
        if surely_valid(message) and not is_right(message)
    ]
    assert too_sure == []


@pytest.mark.parametrize("name", TYPES)
def test_for_messages_at_random_it_is_not_surer_than_the_validator(name: str) -> None:
    dice = random.Random(name)  # noqa: S311 - nothing here is secret
    messages = [at_random(TYPES[name], dice) for _ in range(50)]
    too_sure = [each for each in messages if surely_valid(each) and not is_right(each)]
    assert too_sure == []


@pytest.mark.parametrize("name", TYPES)
def test_empty_messages_are_left_when_something_is_required(name: str) -> None:
    empty = new(TYPES[name])
    assert is_right(empty) or not surely_valid(empty)


def test_what_is_left_to_the_validator_is_known() -> None:
    always, fields = set(), set()
    for name, descriptor in TYPES.items():
        right = [(field, each) for field, each in at_the_edges(descriptor) if is_right(each)]
        if right and not any(surely_valid(message) for _, message in right):
            always.add(name)
            continue
        have = [(field, each) for field, each in right if field in _set_in(each)]
        sure = {field for field, message in have if surely_valid(message)}
        fields |= {f"{name}.{field}" for field, _ in have if field not in sure}
    assert always == ALWAYS_LEFT.keys()
    assert fields == LEFT.keys()


def _set_in(message: Message) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


SUBSCRIPTION: Final = WebPushSubscription(
    endpoint=f"https://updates.push.services.mozilla.com/wpush/v2/{'0a' * 64}",
    p256dh=b"\x04" + bytes(64),
    auth=bytes(16),
)


def registration(platform: provider_pb2.Platform.ValueType, token: Token) -> registry.Registration:
    return registry.Registration(
        installation_id=ID,
        platform=platform,
        environment=provider_pb2.ENVIRONMENT_PRODUCTION,
        token=token,
        user_id="user-17",
        facts=installation_pb2.InstallationFacts(
            permission=installation_pb2.PERMISSION_GRANTED,
            language="de-CH",
            country="CH",
            time_zone="Europe/Zurich",
            app_version="5.3.1",
            os_version="18.2",
            device_model="Pixel 8",
            sdk_version="2.0.0",
            topics=installation_pb2.TopicSet(topics=["news", "sport/ski"]),
            attributes={
                "plan": installation_pb2.AttributeValue(text="free"),
                "orders": installation_pb2.AttributeValue(number=3.0),
                "beta": installation_pb2.AttributeValue(flag=False),
            },
            last_seen=NOW,
        ),
        consents=[
            installation_pb2.ConsentChange(
                purpose="marketing",
                state=installation_pb2.CONSENT_STATE_GRANTED,
                source="onboarding",
                prompt_strategy="pre_prompt",
            )
        ],
    )


REGISTRATIONS: Final = (
    registration(provider_pb2.PLATFORM_IOS, Token(apns="0a" * 32)),
    registration(provider_pb2.PLATFORM_ANDROID, Token(fcm=f"{'0a' * 11}:APA91b{'0a' * 67}")),
    registration(provider_pb2.PLATFORM_WEB, Token(web_push=SUBSCRIPTION)),
)


def comparison(**value: object) -> predicate_pb2.Predicate:
    return predicate_pb2.Predicate(
        comparison=predicate_pb2.Comparison(
            field=predicate_pb2.PREDICATE_FIELD_ATTRIBUTE,
            attribute="plan",
            operator=predicate_pb2.PREDICATE_OPERATOR_IN,
            values=[predicate_pb2.PredicateValue(**value)],  # type: ignore[arg-type]
        )
    )


TREE: Final = predicate_pb2.Predicate(
    all_of=predicate_pb2.AllOf(
        operands=[
            predicate_pb2.Predicate(
                any_of=predicate_pb2.AnyOf(
                    operands=[comparison(text="free"), comparison(flag=True)]
                )
            ),
            predicate_pb2.Predicate(none_of=comparison(version="2.3")),
            predicate_pb2.Predicate(all_of=predicate_pb2.AllOf()),
            comparison(number=1.5),
            comparison(time=NOW),
        ]
    )
)

DEAD: Final = registry.DeadToken(
    installation_id=bytes(16),
    token_ref=bytes(16),
    dead_since=NOW,
    reason="Unregistered",
    lane="apns/production",
)

PAGE: Final = OutcomePage(
    page_id="7",
    dispatch_id=ID,
    app_id="shop",
    campaign="spring",
    count=2,
    installation_ids=bytes(32),
    token_refs=bytes(32),
    platforms=b"\1\2",
    providers=b"\1\2",
    verdicts=b"\1\2",
    reasons=[0, 1],
    reason_names=["", "Unregistered"],
    sent_at=[1, 2],
    dead_since=[0, 2],
    lanes=[0, 0],
    lane_names=["apns/production"],
)


@pytest.mark.parametrize(
    "message",
    [
        *(registry.RegisterTokenRequest(app_id="shop", registration=row) for row in REGISTRATIONS),
        registry.RegisterTokensRequest(app_id="shop", registrations=REGISTRATIONS * 300),
        registry.SelectTargetsRequest(
            app_id="shop", predicate=TREE, purpose="marketing", cursor=bytes(16), page_size=1000
        ),
        registry.InvalidateTokensRequest(app_id="shop", tokens=[DEAD] * 1000),
        ReportOutcomesRequest(page=PAGE),
        TREE,
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_arrives_most_is_surely_valid(message: Message) -> None:
    assert surely_valid(message)


@pytest.mark.parametrize(
    "message",
    [
        registry.SelectTargetsRequest(app_id="shop", range=target_pb2.KeyRange(low=bytes(16))),
        CreateDispatchRequest(
            app_id="shop",
            client_ref="spring-1",
            message=message_pb2.Message(title="Spring"),
            audience=Audience(expression="topics:news"),
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_good_messages_with_a_rule_in_cel_are_left(message: Message) -> None:
    assert is_right(message)
    assert not surely_valid(message)


@pytest.mark.parametrize(
    ("message", "valid"),
    [
        (Duration(seconds=3600), True),
        (Duration(seconds=3601, nanos=-(10**9)), True),
        (Duration(seconds=3599, nanos=999_999_999), False),
        (Duration(seconds=3601, nanos=-2 * 10**9), False),
    ],
)
def test_nanoseconds_of_more_than_a_second_count(message: Duration, *, valid: bool) -> None:
    app = App(app_id="shop", stale_after=message)
    assert is_right(app) == valid
    assert surely_valid(app) == valid


TEXT: Final = FieldDescriptorProto.TYPE_STRING
BYTES: Final = FieldDescriptorProto.TYPE_BYTES
INT: Final = FieldDescriptorProto.TYPE_INT32
DOUBLE: Final = FieldDescriptorProto.TYPE_DOUBLE
ONE: Final = FieldDescriptorProto.LABEL_OPTIONAL
MANY: Final = FieldDescriptorProto.LABEL_REPEATED
_numbers = count()


def made_with(
    rule: rules.FieldRules,
    kind: FieldDescriptorProto.Type.ValueType = TEXT,
    label: FieldDescriptorProto.Label.ValueType = ONE,
    *,
    choice: bool = False,
    named: str = "a",
) -> Descriptor:
    """A new type whose field has the rule; of a oneof with `b`, for a choice."""
    name = f"surely{next(_numbers)}"
    file = FileDescriptorProto(
        name=f"{name}.proto",
        package=name,
        syntax="proto3",
        dependency=[rules.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="Made")
    field = message.field.add(name=named, number=1, type=kind, label=label)
    field.options.Extensions[rules.field].CopyFrom(rule)
    if choice:
        message.oneof_decl.add(name="kind")
        field.oneof_index = 0
        message.field.add(name="b", number=2, type=TEXT, label=ONE, oneof_index=0)
    Default().AddSerializedFile(file.SerializeToString())
    return Default().FindMessageTypeByName(f"{name}.Made")


@pytest.mark.parametrize(
    "descriptor",
    [
        made_with(rules.FieldRules(cel=[rules.Rule(id="x", expression="this == 'x'")])),
        made_with(rules.FieldRules(cel_expression=["this == 'x'"])),
        made_with(rules.FieldRules(required=True)),
        made_with(rules.FieldRules(required=True), label=MANY),
        made_with(rules.FieldRules(required=True), choice=True),
        made_with(rules.FieldRules(string=rules.StringRules(const="x"))),
        made_with(rules.FieldRules(string=rules.StringRules(suffix="x"))),
        made_with(rules.FieldRules(string=rules.StringRules(max_bytes=1))),
        made_with(rules.FieldRules(string=rules.StringRules(uuid=True, pattern="^x"))),
        made_with(rules.FieldRules(string=rules.StringRules(pattern=r"^\s$"))),
        made_with(rules.FieldRules(bytes=rules.BytesRules(len=3, min_len=4)), BYTES),
        made_with(rules.FieldRules(bytes=rules.BytesRules(suffix=b"x")), BYTES),
        made_with(rules.FieldRules(int32=rules.Int32Rules(gt=0)), INT),
        made_with(rules.FieldRules(int32=rules.Int32Rules(not_in=[0])), INT),
        made_with(rules.FieldRules(int32=rules.Int32Rules(gte=3, lte=1)), INT),
        made_with(rules.FieldRules(string=rules.StringRules(min_len=3)), named="from"),
        made_with(rules.FieldRules(double=rules.DoubleRules(gte=math.inf)), DOUBLE),
        made_with(rules.FieldRules(double=rules.DoubleRules(lte=-math.inf)), DOUBLE),
    ],
)
def test_rules_that_no_contract_has_are_left(descriptor: Descriptor) -> None:
    """Each has some value that the validator refuses, and none of these is surely valid."""
    edges = [new(descriptor), *(message for _, message in at_the_edges(descriptor))]
    broken = [message for message in edges if not is_right(message)]
    assert broken
    assert not any(map(surely_valid, broken))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 30, 31, 32, 33, 62, 64, 66, 398, 400, 401, 402])
def test_apns_tokens_are_hexadecimal_digits_in_pairs(length: int) -> None:
    """The look at them has words of its own for the contract's pattern."""
    for text in ("0" * length, "aF" * (length // 2) + "g" * (length % 2), "0" * length + "\n"):
        token = Token(apns=text)
        assert surely_valid(token) == is_right(token)


def test_the_rule_holds_for_more_different_texts_than_are_kept_in_mind() -> None:
    for number in range(10_050):
        assert surely_valid(installation_pb2.TopicSet(topics=[f"sport/{number}"]))
    assert not surely_valid(installation_pb2.TopicSet(topics=["sport/1", "sport 1"]))


def test_what_is_right_for_one_field_is_not_taken_for_right_in_another() -> None:
    country = installation_pb2.InstallationFacts(country="CH", app_version="1.0")
    assert surely_valid(country)
    assert not surely_valid(installation_pb2.InstallationFacts(country="1.0"))
    assert not surely_valid(installation_pb2.InstallationFacts(app_version="CH"))
