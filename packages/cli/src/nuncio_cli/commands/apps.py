"""nuncio apps: create, show, list, update, delete."""

from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from nuncio.registry.v1.app_pb2 import App
from nuncio.registry.v1.registry_service_pb2 import (
    CreateAppRequest,
    DeleteAppRequest,
    GetAppRequest,
    ListAppsRequest,
    UpdateAppRequest,
)
from nuncio_cli import output
from nuncio_cli.asking import ask_registry, rows
from nuncio_cli.connect import patiently
from nuncio_cli.documents import document
from nuncio_cli.options import AsJson
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.spans import span_option, span_text
from nuncio_cli.stubs import RegistryStub

group = typer.Typer(help="What tokens are scoped to, and their policies.", no_args_is_help=True)

NewAppId = Annotated[str, typer.Argument(help="A bundle id, package name or origin's name.")]
AppArgument = Annotated[str, typer.Argument(help="The app.")]
StaleAfter = Annotated[
    Duration | None, span_option("Unseen for this long, it is sent nothing. At first: 30d.")
]
ExpireAfter = Annotated[
    Duration | None, span_option("Unseen for this long, its token expires. At first: 270d.")
]
Retention = Annotated[
    Duration | None,
    span_option("Without a live token for this long, it is deleted. At first: 90d."),
]


@group.command()
@reaching("registry")
def create(
    app_id: NewAppId,
    *,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    stale_after: StaleAfter = None,
    expire_after: ExpireAfter = None,
    retention: Retention = None,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Create an app; doing it again changes nothing, and doing it otherwise says what differs.

    Policies are spans of time for which an installation is not seen, such as 30d or 36h; a plain
    number means days. See docs/hygiene.md.

    Example: `nuncio apps create com.example.shop --name "Shop" --stale-after 60d`.
    """
    app = App(
        app_id=app_id,
        display_name=name,
        stale_after=stale_after,
        expire_after=expire_after,
        retention=retention,
    )

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.CreateApp(CreateAppRequest(app=app)))
        if as_json:
            output.emit(document(answer.app))
        else:
            output.say(f"{answer.app.app_id} is there")

    ask_registry(work, where=where, as_json=as_json)


@group.command()
@reaching("registry")
def show(
    app_id: AppArgument,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show an app and its policies.

    Example: `nuncio apps show com.example.shop`.
    """

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.GetApp(GetAppRequest(app_id=app_id)))
        _show(answer.app, as_json=as_json)

    ask_registry(work, where=where, as_json=as_json)


@group.command("list")
@reaching("registry")
def list_apps(
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """List all apps. With --json: one object per line.

    Example: `nuncio apps list`.
    """

    async def work(stub: RegistryStub) -> None:
        apps = [app async for app in rows(stub.ListApps, ListAppsRequest(), "apps")]
        if as_json:
            for app in apps:
                output.emit(document(app))
        else:
            columns = ("app", "name", "stale after", "expires after", "deleted after")
            shown = [(a.app_id, a.display_name, *_policies(a)) for a in apps]
            output.table(columns, shown, empty="no apps")

    ask_registry(work, where=where, as_json=as_json)


@group.command()
@reaching("registry")
def update(
    app_id: AppArgument,
    *,
    name: Annotated[str | None, typer.Option(help="For people.", show_default=False)] = None,
    stale_after: StaleAfter = None,
    expire_after: ExpireAfter = None,
    retention: Retention = None,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Change an app's name and policies; what is not given stays.

    `nuncio hygiene preview` counts what other policies would do.

    Example: `nuncio apps update com.example.shop --stale-after 45d --retention 30d`.
    """
    if name is None and stale_after is None and expire_after is None and retention is None:
        raise typer.BadParameter("nothing to change: give --name or a policy")
    request = UpdateAppRequest(
        app_id=app_id,
        display_name=name,
        stale_after=stale_after,
        expire_after=expire_after,
        retention=retention,
    )

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.UpdateApp(request))
        _show(answer.app, as_json=as_json)

    ask_registry(work, where=where, as_json=as_json)


@group.command()
@reaching("registry")
def delete(
    app_id: AppArgument,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Delete an app that has no installations; doing it again changes nothing.

    Example: `nuncio apps delete com.example.shop`.
    """

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.DeleteApp(DeleteAppRequest(app_id=app_id)))
        if as_json:
            output.emit(document(answer))
        else:
            output.say(f"{app_id} is gone" if answer.deleted else f"there is no {app_id}")

    ask_registry(work, where=where, as_json=as_json)


def _show(app: App, *, as_json: bool) -> None:
    if as_json:
        output.emit(document(app))
        return
    stale, expired, deleted = _policies(app)
    found = {
        "app": app.app_id,
        "name": app.display_name,
        "stale after": stale,
        "expires after": expired,
        "deleted after": deleted,
        "created": app.create_time.ToJsonString(),
    }
    output.table(("", ""), list(found.items()))


def _policies(app: App) -> tuple[str, str, str]:
    stale, expire, retention = (
        span_text(policy.ToTimedelta())
        for policy in (app.stale_after, app.expire_after, app.retention)
    )
    return stale, expire, retention
