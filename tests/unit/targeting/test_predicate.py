"""Conditions as messages that the registry takes."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from protovalidate import Validator

from nuncio.registry.v1 import predicate_pb2 as pb
from nuncio_targeting.clients.predicate import predicate_of
from nuncio_targeting.domain.condition import (
    EVERYONE,
    AllOf,
    AnyOf,
    Comparison,
    Field,
    NoneOf,
    Operator,
    Version,
)

VALIDATOR = Validator()


def test_every_type_of_value_arrives_as_itself() -> None:
    moment = datetime(2026, 1, 31, 18, tzinfo=UTC)
    values = ("free", 1.5, True, moment, Version("2.3"))
    predicate = predicate_of(Comparison(Field.ATTRIBUTE, Operator.IN, values, "x"))
    assert list(predicate.comparison.values) == [
        pb.PredicateValue(text="free"),
        pb.PredicateValue(number=1.5),
        pb.PredicateValue(flag=True),
        pb.PredicateValue(time=Timestamp(seconds=int(moment.timestamp()))),
        pb.PredicateValue(version="2.3"),
    ]
    assert not VALIDATOR.collect_violations(predicate)


def test_a_tree_keeps_its_shape() -> None:
    present = Comparison(Field.USER_ID, Operator.PRESENT)
    predicate = predicate_of(AllOf((AnyOf((present, EVERYONE)), NoneOf(present))))
    any_of, none_of = predicate.all_of.operands
    assert any_of.any_of.operands[0].comparison.operator == pb.PREDICATE_OPERATOR_PRESENT
    assert any_of.any_of.operands[1].all_of == pb.AllOf()
    assert none_of.none_of.comparison.field == pb.PREDICATE_FIELD_USER_ID
    assert not VALIDATOR.collect_violations(predicate)
