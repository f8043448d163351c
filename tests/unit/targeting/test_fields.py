"""Tags, provider, SDK version and state of the token in audiences, down to the contract."""

import pytest

from nuncio.registry.v1 import predicate_pb2
from nuncio_targeting.clients.predicate import predicate_of
from nuncio_targeting.domain.condition import Field
from nuncio_targeting.domain.language.fields import FIELDS
from tests.unit.targeting.test_compile import compile_text, problems_of

IN, HAS = predicate_pb2.PREDICATE_OPERATOR_IN, predicate_pb2.PREDICATE_OPERATOR_HAS
TAGS = predicate_pb2.PREDICATE_FIELD_TAGS
PROVIDER = predicate_pb2.PREDICATE_FIELD_PROVIDER
SDK_VERSION = predicate_pb2.PREDICATE_FIELD_SDK_VERSION
TOKEN_STATE = predicate_pb2.PREDICATE_FIELD_TOKEN_STATE


@pytest.mark.parametrize(
    ("text", "field", "operator", "values"),
    [
        ('tags:"vip"', TAGS, HAS, ["vip"]),
        ('provider = "web_push"', PROVIDER, IN, ["web_push"]),
        ('in(provider, "apns", "fcm")', PROVIDER, IN, ["apns", "fcm"]),
        ('sdk_version = "4.2-rc1"', SDK_VERSION, IN, ["4.2-rc1"]),
        ('token_state = "expired"', TOKEN_STATE, IN, ["expired"]),
    ],
)
def test_the_registry_is_asked_for_what_the_text_says(
    text: str,
    field: predicate_pb2.PredicateField.ValueType,
    operator: predicate_pb2.PredicateOperator.ValueType,
    values: list[str],
) -> None:
    comparison = predicate_of(compile_text(text)).comparison
    assert (comparison.field, comparison.operator) == (field, operator)
    assert [value.text for value in comparison.values] == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('provider = "APNS"', '"apns"'),
        ('token_state = "dead"', "active"),
        ('tags:"no blanks"', "1 to 100 letters"),
        (f'sdk_version = "{"x" * 51}"', "1 to 50 characters"),
        ('sdk_version > "4"', "="),
        ('tags = "vip"', ":"),
    ],
)
def test_a_value_that_nobody_can_have_is_named(text: str, expected: str) -> None:
    (problem,) = problems_of(text)
    assert expected in problem.expected


def test_every_field_of_the_contract_can_be_asked_for() -> None:
    assert {rule.field for rule in FIELDS.values()} | {Field.ATTRIBUTE} == set(Field)
