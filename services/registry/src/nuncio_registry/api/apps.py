"""The calls about apps."""

from typing import Final

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.cursors import app_id_of, app_id_token
from nuncio_runtime.paging import page_size

_APPS: Final = b"apps"


class AppCalls(Calls):
    """Apps and their policies."""

    async def CreateApp(
        self, request: pb.CreateAppRequest, context: Context
    ) -> pb.CreateAppResponse:
        app = await self._use.apps.create(
            app_id=request.app.app_id,
            display_name=request.app.display_name,
            policies=convert.policies_of(request.app, "app."),
        )
        return pb.CreateAppResponse(app=convert.app_from(app))

    async def GetApp(self, request: pb.GetAppRequest, context: Context) -> pb.GetAppResponse:
        return pb.GetAppResponse(app=convert.app_from(await self._use.apps.get(request.app_id)))

    async def ListApps(self, request: pb.ListAppsRequest, context: Context) -> pb.ListAppsResponse:
        after = app_id_of(request.page_token, _APPS)
        size = page_size(request.page_size)
        apps = await self._use.apps.page(after=after, limit=size + 1)
        response = pb.ListAppsResponse(apps=map(convert.app_from, apps[:size]))
        if len(apps) > size:
            response.next_page_token = app_id_token(apps[size - 1].app_id, _APPS)
        return response

    async def UpdateApp(
        self, request: pb.UpdateAppRequest, context: Context
    ) -> pb.UpdateAppResponse:
        app = await self._use.apps.update(
            request.app_id,
            display_name=request.display_name if request.HasField("display_name") else None,
            policies=convert.policies_of(request),
        )
        return pb.UpdateAppResponse(app=convert.app_from(app))

    async def DeleteApp(
        self, request: pb.DeleteAppRequest, context: Context
    ) -> pb.DeleteAppResponse:
        return pb.DeleteAppResponse(deleted=await self._use.apps.delete(request.app_id))
