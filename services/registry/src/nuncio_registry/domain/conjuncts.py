"""What every installation of a selection has to fulfil: the conditions joined by AND at the top."""

from collections.abc import Iterator
from uuid import UUID

from nuncio_registry.domain.predicate import AllOf, Comparison, Field, Operator, Predicate


def conjuncts(predicate: Predicate | None) -> Iterator[Predicate]:
    """The conditions of which none may fail, nested ones included."""
    match predicate:
        case None:
            return
        case AllOf(operands):
            for operand in operands:
                yield from conjuncts(operand)
        case _:
            yield predicate


def named_installations(predicate: Predicate | None) -> list[UUID] | None:
    """The only ids that can match, in key order; None when they are not named."""
    lists = [set(map(UUID, values)) for values in _lists(predicate, Field.INSTALLATION_ID)]
    return sorted(set.intersection(*lists)) if lists else None


def named_users(predicate: Predicate | None) -> list[str] | None:
    """The only users whose installations can match; None when they are not named."""
    lists = [set(values) for values in _lists(predicate, Field.USER_ID)]
    return sorted(set.intersection(*lists)) if lists else None


def besides_installations(predicate: Predicate | None) -> Predicate | None:
    """What is asked of `named_installations` besides being named."""
    rest = tuple(each for each in conjuncts(predicate) if not _is_list(each, Field.INSTALLATION_ID))
    return AllOf(rest) if rest else None


def _lists(predicate: Predicate | None, field: Field) -> list[list[str]]:
    return [
        list(map(str, each.values))
        for each in conjuncts(predicate)
        if isinstance(each, Comparison) and _is_list(each, field)
    ]


def _is_list(node: Predicate, field: Field) -> bool:
    return isinstance(node, Comparison) and (node.field, node.operator) == (field, Operator.IN)
