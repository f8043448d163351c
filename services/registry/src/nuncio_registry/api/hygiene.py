"""The call about what the policies would do."""

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context


class HygieneCalls(Calls):
    """Hygiene."""

    async def PreviewHygiene(
        self, request: pb.PreviewHygieneRequest, context: Context
    ) -> pb.PreviewHygieneResponse:
        counts = await self._use.preview.counts(request.app_id, convert.policies_of(request))
        return pb.PreviewHygieneResponse(
            counts=[
                pb.HygieneCount(
                    platform=provider_pb2.Platform.ValueType(platform), **counted._asdict()
                )
                for platform, counted in counts.items()
            ]
        )
