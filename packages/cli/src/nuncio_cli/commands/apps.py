"""nuncio apps: create, list."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from nuncio.registry.v1.app_pb2 import App
from nuncio.registry.v1.registry_service_pb2 import CreateAppRequest, ListAppsRequest
from nuncio_cli import output
from nuncio_cli.connect import Clients, clients, find_addresses, patiently
from nuncio_cli.options import AsJson, CaFile, DataFolder, RegistryAddress

group = typer.Typer(help="What tokens are scoped to.", no_args_is_help=True)


@group.command()
def create(
    app_id: Annotated[str, typer.Argument(help="A bundle id, package name or origin's name.")],
    *,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    stale_after: Annotated[
        int, typer.Option(min=0, help="Days unseen after which nothing is sent. 0: 30 days.")
    ] = 0,
    registry: RegistryAddress = "",
    data: DataFolder = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Create an app; doing it again changes nothing.

    Example: `nuncio apps create com.example.shop --name "Shop" --stale-after 60`.
    """
    app = App(app_id=app_id, display_name=name)
    if stale_after:
        app.stale_after.FromTimedelta(timedelta(days=stale_after))
    request = CreateAppRequest(app=app)
    addresses = find_addresses(data, registry=registry)

    async def work() -> None:
        async with clients(addresses, ca_file=ca_file) as services:
            answer = await patiently(lambda: services.registry.CreateApp(request))
        if as_json:
            output.emit(_document(answer.app))
        else:
            output.say(f"{answer.app.app_id} is there")

    output.complete(work(), as_json=as_json)


@group.command("list")
def list_apps(
    *,
    registry: RegistryAddress = "",
    data: DataFolder = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List all apps. With --json: one object per line."""
    addresses = find_addresses(data, registry=registry)

    async def work() -> None:
        async with clients(addresses, ca_file=ca_file) as services:
            apps = await _all_apps(services)
        if as_json:
            for app in apps:
                output.emit(_document(app))
        else:
            rows = [(a.app_id, a.display_name, _days(a)) for a in apps]
            output.table(("app", "name", "stale after"), rows)

    output.complete(work(), as_json=as_json)


async def _all_apps(services: Clients) -> list[App]:
    apps: list[App] = []
    request = ListAppsRequest(page_size=1000)
    while True:
        page = await services.registry.ListApps(request)
        apps += page.apps
        if not page.next_page_token:
            return apps
        request.page_token = page.next_page_token


def _document(app: App) -> dict[str, Any]:
    return {
        "app_id": app.app_id,
        "display_name": app.display_name,
        "stale_after_seconds": app.stale_after.ToTimedelta().total_seconds(),
        "create_time": app.create_time.ToJsonString(),
    }


def _days(app: App) -> str:
    return f"{app.stale_after.ToTimedelta() / timedelta(days=1):g} days"
