"""The domain's numbers are those of the contract."""

from nuncio.common.v1 import target_pb2
from nuncio.registry.v1 import predicate_pb2
from nuncio_targeting.domain.condition import Field, Operator
from nuncio_targeting.domain.model import Suppression


def test_fields_have_the_numbers_of_the_contract() -> None:
    numbers = {f"PREDICATE_FIELD_{each.name}": each.value for each in Field}
    assert numbers.items() == dict(predicate_pb2.PredicateField.items()).items() - {
        ("PREDICATE_FIELD_UNSPECIFIED", 0)
    }


def test_operators_have_the_numbers_of_the_contract() -> None:
    numbers = {f"PREDICATE_OPERATOR_{each.name}": each.value for each in Operator}
    assert numbers.items() == dict(predicate_pb2.PredicateOperator.items()).items() - {
        ("PREDICATE_OPERATOR_UNSPECIFIED", 0)
    }


def test_reasons_have_the_numbers_of_the_contract() -> None:
    for reason in Suppression:
        name = f"SUPPRESSION_REASON_{reason.name}"
        assert int(target_pb2.SuppressionReason.Value(name)) == reason.value
