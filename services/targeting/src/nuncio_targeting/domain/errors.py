"""Everything that targeting refuses, with its wire shape."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from nuncio_runtime.errors import Kind, ServiceError

RETRY_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an expression, and where.

    line and column count from 1, position from 0. segment: whose expression it is; empty: the
    expression that was asked about.
    """

    message: str
    expected: str = ""
    position: int = 0
    line: int = 1
    column: int = 1
    segment: str = ""


class TargetingError(ServiceError):
    """Targeting could not do what was asked."""


class AudienceError(TargetingError):
    """The audience cannot be resolved.

    `problems` says the same as data, at least one.
    """

    problems: tuple[Problem, ...]


class AudienceInvalid(AudienceError):
    """The audience expression is wrong."""

    kind = Kind.INVALID_ARGUMENT
    reason = "AUDIENCE_INVALID"

    def __init__(self, *problems: Problem) -> None:
        first = problems[0]
        place = f"line {first.line}, column {first.column}"
        if first.segment:
            place = f"segment {first.segment}, {place}"
        super().__init__(
            detail=f"{place}: {first.message}; expected {first.expected}",
            line=str(first.line),
            column=str(first.column),
            position=str(first.position),
            expected=first.expected,
        )
        if first.segment:
            self.metadata["segment"] = first.segment
        self.problems = problems

    def in_segment(self, name: str) -> "AudienceInvalid":
        """The same, said of the expression of a segment."""
        return AudienceInvalid(*(replace(problem, segment=name) for problem in self.problems))


class AudienceTooLarge(AudienceError):
    """The audience is larger than the limits allow."""

    kind = Kind.INVALID_ARGUMENT
    reason = "AUDIENCE_TOO_LARGE"

    def __init__(self, *, limit: str, allowed: int, found: int) -> None:
        super().__init__(
            detail=f"{found} {limit}, {allowed} are allowed",
            limit=limit,
            allowed=str(allowed),
            found=str(found),
        )
        expected = f"at most {allowed} {limit}"
        self.problems = (Problem(f"the expression is too large: {found} {limit}", expected),)


class SegmentCycle(AudienceError):
    """Segments refer to each other in a circle."""

    kind = Kind.INVALID_ARGUMENT
    reason = "SEGMENT_CYCLE"

    def __init__(self, circle: Sequence[str], *, problem: Problem) -> None:
        super().__init__(detail=" -> ".join(circle), segments=",".join(circle))
        self.problems = (problem,)


class SegmentNotFound(AudienceError):
    """There is no such segment."""

    kind = Kind.NOT_FOUND
    reason = "SEGMENT_NOT_FOUND"

    def __init__(self, *, app_id: str, segment: str, problem: Problem | None = None) -> None:
        super().__init__(detail=segment, appId=app_id, segment=segment)
        self.problems = (problem or Problem(f"there is no segment {segment}"),)


class SegmentExists(TargetingError):
    """A segment with this name exists and differs."""

    kind = Kind.ALREADY_EXISTS
    reason = "SEGMENT_EXISTS"

    def __init__(self, *, app_id: str, segment: str) -> None:
        super().__init__(detail=segment, appId=app_id, segment=segment)


class SegmentInUse(TargetingError):
    """Other segments refer to this one."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SEGMENT_IN_USE"

    def __init__(self, *, app_id: str, segment: str, used_by: Sequence[str]) -> None:
        names = ",".join(used_by)
        super().__init__(detail=names, appId=app_id, segment=segment, usedBy=names)


class UpstreamUnavailable(TargetingError):
    """An upstream service cannot be reached now."""

    kind = Kind.UNAVAILABLE
    reason = "UPSTREAM_UNAVAILABLE"

    def __init__(self, *, service: str, retry_after: timedelta | None = None) -> None:
        super().__init__(detail=service, retry_after=retry_after or RETRY_AFTER, service=service)
