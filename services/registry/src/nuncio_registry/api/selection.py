"""The calls that read installations by the million."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.convert import optional_predicate_of
from nuncio_registry.domain.select import TargetPage
from nuncio_registry.metrics import SELECTED, UNREADABLE

TARGETS_PER_PAGE: Final = 1000


class SelectionCalls(Calls):
    """Targets, as pages and as counts."""

    async def SelectTargets(
        self, request: pb.SelectTargetsRequest, context: Context
    ) -> AsyncIterator[pb.SelectTargetsResponse]:
        pages = self._use.select.pages(
            request.app_id,
            optional_predicate_of(request),
            purpose=request.purpose,
            span=convert.span_of(request),
            page_size=request.page_size or TARGETS_PER_PAGE,
        )
        async with aclosing(pages):
            async for page in pages:
                _count_selected(page)
                yield convert.page_from(page)

    async def CountTargets(
        self, request: pb.CountTargetsRequest, context: Context
    ) -> pb.CountTargetsResponse:
        reachable, suppressed = await self._use.survey.count(
            request.app_id, optional_predicate_of(request), request.purpose
        )
        return pb.CountTargetsResponse(
            matched=sum(reachable.values()) + sum(suppressed.values()),
            reachable=[
                pb.PlatformCount(
                    platform=provider_pb2.Platform.ValueType(platform), count=reachable[platform]
                )
                for platform in sorted(reachable)
            ],
            suppressed=convert.suppressed_from(suppressed),
        )


def _count_selected(page: TargetPage) -> None:
    SELECTED.labels("TARGET").inc(len(page.tokens))
    UNREADABLE.inc(page.unreadable)
    for reason, count in page.suppressed.items():
        SELECTED.labels(reason.name).inc(count)
