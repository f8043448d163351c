"""Conditions as the registry reads them."""

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1 import predicate_pb2 as pb
from nuncio_targeting.domain.condition import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    NoneOf,
    Value,
    Version,
)


def predicate_of(condition: Condition) -> pb.Predicate:
    """The same condition as a message."""
    match condition:
        case AllOf(operands):
            return pb.Predicate(all_of=pb.AllOf(operands=map(predicate_of, operands)))
        case AnyOf(operands):
            return pb.Predicate(any_of=pb.AnyOf(operands=map(predicate_of, operands)))
        case NoneOf(operand):
            return pb.Predicate(none_of=predicate_of(operand))
        case Comparison():
            return pb.Predicate(comparison=_comparison(condition))


def _comparison(comparison: Comparison) -> pb.Comparison:
    # The domain's numbers are those of the contract.
    return pb.Comparison(
        field=pb.PredicateField.ValueType(comparison.field),
        attribute=comparison.attribute,
        operator=pb.PredicateOperator.ValueType(comparison.operator),
        values=map(_value, comparison.values),
    )


def _value(value: Value) -> pb.PredicateValue:
    match value:
        case str():
            return pb.PredicateValue(text=value)
        case bool():
            return pb.PredicateValue(flag=value)
        case float():
            return pb.PredicateValue(number=value)
        case Version(text):
            return pb.PredicateValue(version=text)
    time = Timestamp()
    time.FromDatetime(value)
    return pb.PredicateValue(time=time)
