"""From the contract to the domain and back."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, TypeAlias, cast
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.registry.v1 import predicate_pb2, registry_service_pb2
from nuncio.targeting.v1 import audience_pb2
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio_runtime.cursors import text_of
from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.paging import decode_page_token, encode_page_token
from nuncio_targeting.domain.condition import Condition
from nuncio_targeting.domain.errors import Problem
from nuncio_targeting.domain.model import (
    Audience,
    Counts,
    Expression,
    Installations,
    Keys,
    Page,
    Reach,
    Segment,
    SegmentContent,
    Users,
)
from nuncio_targeting.domain.resolve import MAX_PAGE_SIZE, Resolution
from nuncio_targeting.domain.validate import Validation

PredicateOf: TypeAlias = Callable[[Condition], predicate_pb2.Predicate]

KEY_BYTES: Final = 16

_NAME_CHARACTERS: Final = 64  # As in the contract.

_BINDING_BYTES: Final = 8


def resolution_from(request: pb.ResolveAudienceRequest) -> Resolution:
    """What is to be resolved. Raises InvalidField for a cursor that came from something else."""
    audience = audience_from(request.audience)
    return Resolution(
        app_id=request.app_id,
        audience=audience,
        only=_installations(request.only) if request.HasField("only") else None,
        purpose=request.purpose,
        keys=Keys(request.range.low, request.range.high),
        cursor=_key_before(request, named=isinstance(audience, Installations)),
        page_size=request.page_size or MAX_PAGE_SIZE,
    )


def audience_from(audience: audience_pb2.Audience) -> Audience:
    """Whom a message is for."""
    match audience.WhichOneof("kind"):
        case "installations":
            return _installations(audience.installations)
        case "users":
            return Users(tuple(dict.fromkeys(audience.users.user_ids)))
    return Expression(audience.expression)


def resolved_page(page: Page, request: pb.ResolveAudienceRequest) -> pb.ResolveAudienceResponse:
    """A page of targets, as the registry gave it."""
    return pb.ResolveAudienceResponse(
        page=cast("target_pb2.TargetPage", page.targets),
        suppressed=_suppressed(page.suppressed),
        cursor=page.cursor + _binding(request),
    )


def explained(reach: Reach) -> pb.ExplainAudienceResponse:
    """The counts of an audience."""
    return pb.ExplainAudienceResponse(
        resolved=reach.resolved,
        reachable=(
            registry_service_pb2.PlatformCount(
                platform=provider_pb2.Platform.ValueType(platform), count=count
            )
            for platform, count in reach.reachable.items()
        ),
        suppressed=_suppressed(reach.suppressed),
    )


def validated(validation: Validation, *, predicate_of: PredicateOf) -> pb.ValidateAudienceResponse:
    """What is wrong with an expression, or what it comes down to."""
    condition = validation.condition
    return pb.ValidateAudienceResponse(
        problems=map(_problem, validation.problems),
        canonical=validation.canonical,
        predicate=None if condition is None else predicate_of(condition),
    )


def content_from(segment: audience_pb2.Segment) -> SegmentContent:
    """What a caller says of a segment."""
    return SegmentContent(segment.expression, segment.description)


def segment_to(segment: Segment) -> audience_pb2.Segment:
    """A segment as stored."""
    return audience_pb2.Segment(
        name=segment.name,
        expression=segment.content.expression,
        description=segment.content.description,
        create_time=_time(segment.created_at),
        update_time=_time(segment.updated_at),
    )


def name_before(request: pb.ListSegmentsRequest) -> str:
    """The name that the page starts after; empty: it is the first. Raises PageTokenMismatch."""
    cursor = decode_page_token(request.page_token, filter_digest=request.app_id.encode())
    return text_of(cursor or b"", most=_NAME_CHARACTERS)


def listed(
    segments: Sequence[Segment], request: pb.ListSegmentsRequest, *, limit: int
) -> pb.ListSegmentsResponse:
    """One page of a list. A page that is full may have another one behind it."""
    more = len(segments) == limit
    return pb.ListSegmentsResponse(
        segments=map(segment_to, segments),
        next_page_token=_page_token(segments[-1].name, request) if more else "",
    )


def _page_token(name: str, request: pb.ListSegmentsRequest) -> str:
    return encode_page_token(name.encode(), filter_digest=request.app_id.encode())


def _installations(named: audience_pb2.InstallationSet) -> Installations:
    """The UUIDs of a packed run, in key order, none of them twice."""
    packed = named.installation_ids
    keys = {packed[start : start + KEY_BYTES] for start in range(0, len(packed), KEY_BYTES)}
    return Installations(tuple(UUID(bytes=key) for key in sorted(keys)))


def _key_before(request: pb.ResolveAudienceRequest, *, named: bool) -> bytes:
    """The cursor without what binds it. named: whether the audience names installations."""
    cursor, binding = request.cursor, _binding(request)
    fits = cursor.endswith(binding) and len(cursor) == KEY_BYTES + len(binding)
    if cursor and (named or binding) and not fits:
        raise InvalidField(FieldViolation("cursor", "must be the cursor of a page, or empty"))
    return cursor.removesuffix(binding)


def _binding(request: pb.ResolveAudienceRequest) -> bytes:
    """What a cursor ends with: a digest of `only`, nothing without it."""
    if not request.HasField("only"):
        return b""
    packed = request.only.installation_ids
    return hashlib.blake2b(packed, digest_size=_BINDING_BYTES).digest()


def _suppressed(counts: Counts) -> Iterable[target_pb2.SuppressedCount]:
    return (
        target_pb2.SuppressedCount(
            reason=target_pb2.SuppressionReason.ValueType(reason), count=count
        )
        for reason, count in counts.items()
    )


def _problem(problem: Problem) -> audience_pb2.AudienceProblem:
    return audience_pb2.AudienceProblem(
        line=problem.line,
        column=problem.column,
        position=problem.position,
        message=problem.message,
        expected=problem.expected,
        segment=problem.segment,
    )


def _time(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
