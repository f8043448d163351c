"""Understanding audiences: expressions with all the segments that they stand on, and lists."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from nuncio_runtime.clock import Clock
from nuncio_targeting.domain.condition import Comparison, Condition, Field, Operator
from nuncio_targeting.domain.errors import (
    AudienceInvalid,
    Problem,
    SegmentNotFound,
)
from nuncio_targeting.domain.language.ast import Expression, Place
from nuncio_targeting.domain.language.compile import compiled, references
from nuncio_targeting.domain.language.limits import (
    MAX_SEGMENT_CHARACTERS,
    MAX_SEGMENT_DEPTH,
    keep_within,
)
from nuncio_targeting.domain.language.parse import parse
from nuncio_targeting.domain.language.simplify import simplified
from nuncio_targeting.domain.model import Audience, Installations, Users
from nuncio_targeting.domain.ports import Segments


class Understood(NamedTuple):
    """An expression and what it comes down to."""

    expression: Expression
    condition: Condition


class _Reference(NamedTuple):
    """A segment's name where it is used. segment: in whose expression; empty: the asked one."""

    name: str
    place: Place
    segment: str


class Audiences:
    """Turns expressions into conditions. Times count from the moment of the call."""

    def __init__(self, segments: Segments, clock: Clock) -> None:
        self._segments = segments
        self._clock = clock

    async def condition(self, app_id: str, audience: Audience) -> Condition:
        """What an audience asks of an installation. Raises what `understand` raises."""
        match audience:
            case Installations(ids):
                return named(ids)
            case Users(user_ids):
                return Comparison(Field.USER_ID, Operator.IN, user_ids)
        return (await self.understand(app_id, audience.text)).condition

    async def understand(self, app_id: str, text: str, *, name: str = "") -> Understood:
        """Parse, check and expand an expression. name: of the segment whose content it becomes.

        Raises AudienceInvalid, AudienceTooLarge, SegmentCycle and SegmentNotFound.
        """
        expression = parse(text)
        segments = await self._reached(app_id, expression, name=name)
        condition = compiled(expression, now=self._clock.now(), segments=segments, name=name)
        return Understood(expression, simplified(condition))

    async def _reached(
        self, app_id: str, expression: Expression, *, name: str
    ) -> Mapping[str, Expression]:
        """All segments that the expression refers to, directly or not: one query a level."""
        known = {name: expression} if name else {}
        missing = _references({"": expression}, known=known)
        levels = characters = 0
        while missing:
            levels += 1
            keep_within("levels of segments", MAX_SEGMENT_DEPTH, found=levels)
            texts = await self._texts(app_id, missing)
            characters += sum(map(len, texts.values()))
            keep_within("characters of segments", MAX_SEGMENT_CHARACTERS, found=characters)
            found = {name: _parse_segment(name, text) for name, text in texts.items()}
            known |= found
            missing = _references(found, known=known)
        return known

    async def _texts(self, app_id: str, wanted: Mapping[str, _Reference]) -> Mapping[str, str]:
        contents = await self._segments.contents(app_id, wanted.keys())
        for reference in wanted.values():
            if reference.name not in contents:
                raise _not_found(app_id, reference)
        return {name: content.expression for name, content in contents.items()}


def named(ids: Iterable[UUID]) -> Condition:
    """Holds for these installations; there is at least one."""
    return Comparison(Field.INSTALLATION_ID, Operator.IN, tuple(str(each) for each in ids))


def _references(
    sources: Mapping[str, Expression], *, known: Mapping[str, Expression]
) -> dict[str, _Reference]:
    """What the sources refer to and is not known yet, each name once."""
    return {
        name: _Reference(name, place, source)
        for source, expression in sources.items()
        for name, place in references(expression)
        if name not in known
    }


def _parse_segment(name: str, text: str) -> Expression:
    """The expression of a stored segment; an older release may have known words that are gone."""
    try:
        return parse(text)
    except AudienceInvalid as error:
        raise error.in_segment(name) from None


def _not_found(app_id: str, reference: _Reference) -> SegmentNotFound:
    problem = Problem(
        f"there is no segment {reference.name}",
        "the name of a segment",
        *reference.place,
        reference.segment,
    )
    return SegmentNotFound(app_id=app_id, segment=reference.name, problem=problem)
