"""nuncio.targeting.v1.TargetingService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio.targeting.v1 import targeting_service_pb2_grpc as rpc
from nuncio_runtime.paging import page_size
from nuncio_targeting.api import convert
from nuncio_targeting.domain.explain import Explain
from nuncio_targeting.domain.resolve import Resolve
from nuncio_targeting.domain.segments import SavedSegments
from nuncio_targeting.domain.validate import Validate

Context = grpc.aio.ServicerContext[Any, Any]


class TargetingServicer(rpc.TargetingServiceServicer):
    """Answers the calls of the contract. predicate_of: writes a condition for the registry."""

    def __init__(
        self,
        *,
        resolve: Resolve,
        explain: Explain,
        validate: Validate,
        segments: SavedSegments,
        predicate_of: convert.PredicateOf,
    ) -> None:
        self._resolve = resolve
        self._explain = explain
        self._validate = validate
        self._segments = segments
        self._predicate_of = predicate_of

    async def ResolveAudience(
        self, request: pb.ResolveAudienceRequest, _context: Context
    ) -> AsyncIterator[pb.ResolveAudienceResponse]:
        """Pass pages on as fast as the caller reads them."""
        async with aclosing(self._resolve.pages(convert.resolution_from(request))) as pages:
            async for page in pages:
                yield convert.resolved_page(page, request)

    async def ExplainAudience(
        self, request: pb.ExplainAudienceRequest, _context: Context
    ) -> pb.ExplainAudienceResponse:
        """Count an audience."""
        audience = convert.audience_from(request.audience)
        reach = await self._explain.reach(request.app_id, audience, purpose=request.purpose)
        return convert.explained(reach)

    async def ValidateAudience(
        self, request: pb.ValidateAudienceRequest, _context: Context
    ) -> pb.ValidateAudienceResponse:
        """Check an expression."""
        validation = await self._validate.validation(request.app_id, request.expression)
        return convert.validated(validation, predicate_of=self._predicate_of)

    async def CreateSegment(
        self, request: pb.CreateSegmentRequest, _context: Context
    ) -> pb.CreateSegmentResponse:
        """Save a new segment."""
        content = convert.content_from(request.segment)
        stored = await self._segments.create(request.app_id, request.segment.name, content)
        return pb.CreateSegmentResponse(segment=convert.segment_to(stored))

    async def GetSegment(
        self, request: pb.GetSegmentRequest, _context: Context
    ) -> pb.GetSegmentResponse:
        """Read a segment."""
        stored = await self._segments.get(request.app_id, request.name)
        return pb.GetSegmentResponse(segment=convert.segment_to(stored))

    async def ListSegments(
        self, request: pb.ListSegmentsRequest, _context: Context
    ) -> pb.ListSegmentsResponse:
        """Read one page of an app's segments."""
        limit = page_size(request.page_size)
        stored = await self._segments.list(
            request.app_id, after=convert.name_before(request), limit=limit
        )
        return convert.listed(stored, request, limit=limit)

    async def UpdateSegment(
        self, request: pb.UpdateSegmentRequest, _context: Context
    ) -> pb.UpdateSegmentResponse:
        """Replace a segment's content."""
        content = convert.content_from(request.segment)
        stored = await self._segments.update(request.app_id, request.segment.name, content)
        return pb.UpdateSegmentResponse(segment=convert.segment_to(stored))

    async def DeleteSegment(
        self, request: pb.DeleteSegmentRequest, _context: Context
    ) -> pb.DeleteSegmentResponse:
        """Delete a segment."""
        await self._segments.delete(request.app_id, request.name)
        return pb.DeleteSegmentResponse()
