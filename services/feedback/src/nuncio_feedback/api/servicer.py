"""nuncio.feedback.v1.FeedbackService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from nuncio.feedback.v1 import feedback_service_pb2 as pb
from nuncio.feedback.v1 import feedback_service_pb2_grpc as rpc
from nuncio_feedback.api import convert
from nuncio_feedback.domain.in_order import in_order
from nuncio_feedback.domain.lessons import ReadLessons
from nuncio_feedback.domain.record import RecordOutcomes
from nuncio_runtime.paging import page_size

Context = grpc.aio.ServicerContext[Any, Any]


class FeedbackServicer(rpc.FeedbackServiceServicer):
    """Answers the calls of the contract. depth: pages of one stream that are stored at once."""

    def __init__(self, record: RecordOutcomes, lessons: ReadLessons, *, depth: int) -> None:
        self._record = record
        self._lessons = lessons
        self._depth = depth

    async def ReportOutcomes(
        self, request_iterator: AsyncIterator[pb.ReportOutcomesRequest], _context: Context
    ) -> AsyncIterator[pb.ReportOutcomesResponse]:
        """Acknowledge each page once it is stored, in the order of the pages."""
        async with aclosing(in_order(request_iterator, self._store, depth=self._depth)) as stored:
            async for page_id in stored:
                yield pb.ReportOutcomesResponse(page_id=page_id)

    async def GetCampaignReport(
        self, request: pb.GetCampaignReportRequest, _context: Context
    ) -> pb.GetCampaignReportResponse:
        """Count what a campaign came to."""
        return convert.report_response(await self._lessons.report(convert.report_scope(request)))

    async def ListInvalidations(
        self, request: pb.ListInvalidationsRequest, _context: Context
    ) -> pb.ListInvalidationsResponse:
        """Give one page of what was called dead."""
        scope = convert.list_scope(request)
        found, end = await self._lessons.invalidations(
            scope,
            after=convert.position(request.page_token, scope=scope),
            size=page_size(request.page_size),
        )
        return pb.ListInvalidationsResponse(
            invalidations=[convert.invalidation(one, app_id=scope.app_id) for one in found],
            next_page_token=convert.page_token(end, scope=scope),
        )

    async def _store(self, request: pb.ReportOutcomesRequest) -> str:
        page = convert.outcome_page(request.page)
        await self._record(page)
        return page.page_id
