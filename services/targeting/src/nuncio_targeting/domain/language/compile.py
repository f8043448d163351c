"""From tree to condition: types checked, segments expanded, times made absolute, limits kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from nuncio_targeting.domain.condition import (
    EVERYONE,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    NoneOf,
)
from nuncio_targeting.domain.errors import (
    AudienceInvalid,
    Problem,
    SegmentCycle,
)
from nuncio_targeting.domain.language.ast import (
    And,
    Call,
    Expression,
    Not,
    Or,
    Place,
    Restriction,
    Text,
)
from nuncio_targeting.domain.language.compare import comparison, membership
from nuncio_targeting.domain.language.fields import nearest
from nuncio_targeting.domain.language.limits import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_SEGMENT_DEPTH,
    MAX_VALUES,
    keep_within,
)
from nuncio_targeting.domain.language.literals import wrong

FUNCTIONS = ("all", "in", "segment")


def compiled(
    expression: Expression,
    *,
    now: datetime,
    segments: Mapping[str, Expression],
    name: str = "",
) -> Condition:
    """What the expression asks of an installation.

    now: what `ago` counts from. segments: at least those that the expression refers to, directly
    or not. name: of the segment that the expression belongs to, if any. Raises AudienceInvalid
    with all problems at once, AudienceTooLarge and SegmentCycle.
    """
    compiler = _Compiler(now, segments)
    condition = compiler.condition(expression, _Scope(path=(name,) if name else ()))
    if compiler.problems:
        raise AudienceInvalid(*compiler.problems)
    return condition


def references(expression: Expression) -> Iterator[tuple[str, Place]]:
    """The segments that an expression names itself, with the places of the names."""
    match expression:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from references(operand)
        case Not(operand):
            yield from references(operand)
        case Call("segment", (Text(name, place),)):
            yield name, place


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where in the audience a node stands.

    depth: of the node, from 1. path: the segments around it, the outermost first. segment: whose
    expression it is in; empty: the one that was asked about.
    """

    depth: int = 1
    path: tuple[str, ...] = ()
    segment: str = ""

    def below(self) -> "_Scope":
        return replace(self, depth=self.depth + 1)

    def within(self, segment: str) -> "_Scope":
        return replace(self, path=(*self.path, segment), segment=segment)


class _Compiler:
    def __init__(self, now: datetime, segments: Mapping[str, Expression]) -> None:
        self.problems: list[Problem] = []
        self._now = now
        self._segments = segments
        self._nodes = 0
        self._values = 0

    def condition(self, node: Expression, scope: _Scope) -> Condition:
        self._count(scope.depth)
        match node:
            case And(operands):
                return AllOf(tuple(self.condition(each, scope.below()) for each in operands))
            case Or(operands):
                return AnyOf(tuple(self.condition(each, scope.below()) for each in operands))
            case Not(operand):
                return NoneOf(self.condition(operand, scope.below()))
            case Call("segment", (Text(name, place),)):
                return self._segment(name, place, scope)
            case Call() | Restriction():
                return self._leaf(node, scope)

    def _segment(self, name: str, place: Place, scope: _Scope) -> Condition:
        """The segment's own condition stands in for its name."""
        if name in scope.path:
            circle = (*scope.path[scope.path.index(name) :], name)
            expected = "a segment that does not lead back here"
            message = f"segments refer to each other in a circle: {' -> '.join(circle)}"
            raise SegmentCycle(circle, problem=Problem(message, expected, *place, scope.segment))
        inner = scope.within(name)
        keep_within("levels of segments", MAX_SEGMENT_DEPTH, found=len(inner.path))
        return self.condition(self._segments[name], inner)

    def _leaf(self, node: Call | Restriction, scope: _Scope) -> Condition:
        try:
            condition = self._checked(node)
        except AudienceInvalid as error:
            self.problems += error.in_segment(scope.segment).problems
            return EVERYONE
        if isinstance(condition, NoneOf):
            self._count(scope.depth + 1)
        return condition

    def _checked(self, node: Call | Restriction) -> Condition:
        if isinstance(node, Restriction):
            return self._valued(comparison(node, now=self._now))
        match node:
            case Call("all", ()):
                return EVERYONE
            case Call("in"):
                return self._valued(membership(node, now=self._now))
            case Call("all"):
                raise wrong(node.place, "all takes no argument", "all()")
            case Call("segment"):
                raise wrong(node.place, "segment takes one name", 'segment("name")')
        expected = nearest(node.name, FUNCTIONS) or ", ".join(FUNCTIONS)
        raise wrong(node.place, f"there is no condition {node.name}", expected)

    def _valued(self, condition: Condition) -> Condition:
        if isinstance(condition, Comparison):
            self._values += len(condition.values)
            keep_within("values", MAX_VALUES, found=self._values)
        return condition

    def _count(self, depth: int) -> None:
        self._nodes += 1
        keep_within("nodes", MAX_NODES, found=self._nodes)
        keep_within("levels", MAX_DEPTH, found=depth)
