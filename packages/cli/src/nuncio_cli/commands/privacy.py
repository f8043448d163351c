"""nuncio erasures, nuncio audit: what was erased, and who did what."""

from typing import Annotated

import typer

from nuncio.registry.v1.registry_service_pb2 import ListAuditEventsRequest, ListErasuresRequest
from nuncio_cli import output, privacy_view
from nuncio_cli.asking import ask_registry, rows
from nuncio_cli.documents import document
from nuncio_cli.options import AppId, AsJson, Limit
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.spans import Since, Until
from nuncio_cli.stubs import RegistryStub

erasures = typer.Typer(help="Proofs of what was erased on demand.", no_args_is_help=True)
audit = typer.Typer(help="Who read tokens or administered the registry.", no_args_is_help=True)


@erasures.callback()
def _keep_subcommands_of_erasures() -> None:
    """Proofs of what was erased on demand."""


@audit.callback()
def _keep_subcommands_of_audit() -> None:
    """Who read tokens or administered the registry."""


@erasures.command("list")
@reaching("registry")
def list_erasures(
    *,
    app_id: AppId,
    user: Annotated[str, typer.Option(help="Only those of this account.")] = "",
    installation: Annotated[str, typer.Option(help="Only those of this installation.")] = "",
    limit: Limit = 100,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """List proofs of erasure, newest first. They name nobody: give the id to find its proof.

    With --json: one object per line.

    Example: `nuncio erasures list --app shop --user u-17`.
    """
    if user and installation:
        raise typer.BadParameter("give either --user or --installation")
    request = ListErasuresRequest(app_id=app_id)
    if user:
        request.user_id = user
    elif installation:
        request.installation_id = installation

    async def work(stub: RegistryStub) -> None:
        found = [each async for each in rows(stub.ListErasures, request, "records", limit=limit)]
        if as_json:
            for record in found:
                output.emit(document(record))
        else:
            shown = [privacy_view.erasure_row(record) for record in found]
            output.table(privacy_view.ERASURE_COLUMNS, shown, empty="no proofs")

    ask_registry(work, where=where, as_json=as_json)


@audit.command("list")
@reaching("registry")
def list_audit(
    *,
    app_id: Annotated[
        str, typer.Option("--app", help="Only of this app. Default: of all.", show_default=False)
    ] = "",
    method: Annotated[
        str, typer.Option(help='Such as "EraseUser" or "rotate-keys"; a wrong one is told which.')
    ] = "",
    principal: Annotated[str, typer.Option(help="Who called.")] = "",
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """List reads of raw tokens and administrative calls, newest first.

    With --json: one object per line.

    Examples: `nuncio audit list --since 24h`, `nuncio audit list --app shop --method EraseUser`.
    """
    request = ListAuditEventsRequest(
        app_id=app_id, method=method, principal=principal, start_time=since, end_time=until
    )

    async def work(stub: RegistryStub) -> None:
        found = [each async for each in rows(stub.ListAuditEvents, request, "events", limit=limit)]
        if as_json:
            for event in found:
                output.emit(document(event))
        else:
            shown = [privacy_view.audit_row(event) for event in found]
            output.table(privacy_view.AUDIT_COLUMNS, shown, empty="no events")

    ask_registry(work, where=where, as_json=as_json)
