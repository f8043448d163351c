"""Feedback over gRPC."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Final

import grpc

from nuncio.feedback.v1 import feedback_service_pb2 as pb
from nuncio.feedback.v1 import feedback_service_pb2_grpc as rpc
from nuncio.feedback.v1 import outcome_pb2
from nuncio_dispatcher.clients.upstream import faults_of, next_of
from nuncio_dispatcher.domain.lane_names import lanes_of
from nuncio_dispatcher.domain.pages import Outcomes

SERVICE: Final = "feedback"


class GrpcFeedback:
    """Keeps the port `Feedback`. timeout: of each acknowledgement."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: timedelta) -> None:
        self._stub = rpc.FeedbackServiceStub(channel)
        self._timeout = timeout.total_seconds()

    async def report(self, pages: Sequence[Outcomes]) -> AsyncGenerator[str, None]:
        """See the port. The pages are few, so all are written before the first answer is read."""
        call = self._stub.ReportOutcomes()
        try:
            for page in pages:
                with faults_of(SERVICE):
                    async with asyncio.timeout(self._timeout):
                        await call.write(pb.ReportOutcomesRequest(page=outcome_page(page)))
            await call.done_writing()
            while (answer := await next_of(call, SERVICE, timeout=self._timeout)) is not None:
                yield answer.page_id
        finally:
            call.cancel()


def outcome_page(page: Outcomes) -> outcome_pb2.OutcomePage:
    """A page as the contract has it."""
    lanes, lane_names = lanes_of(page)
    return outcome_pb2.OutcomePage(
        page_id=page.page_id,
        dispatch_id=str(page.of.dispatch_id),
        app_id=page.of.app_id,
        campaign=page.of.campaign,
        test=page.of.test,
        count=len(page.rows),
        installation_ids=page.rows.installation_ids,
        token_refs=page.rows.token_refs,
        platforms=page.rows.platforms,
        providers=page.rows.providers,
        verdicts=page.verdicts,
        reasons=page.reasons,
        reason_names=page.reason_names,
        sent_at=page.sent_at,
        dead_since=page.dead_since,
        lanes=lanes,
        lane_names=lane_names,
    )
