"""nuncio dispatch: show, watch."""

from typing import Annotated

import typer

from nuncio.dispatcher.v1.dispatch_pb2 import Dispatch
from nuncio.dispatcher.v1.dispatcher_service_pb2 import GetDispatchRequest
from nuncio_cli import following, output
from nuncio_cli.connect import clients
from nuncio_cli.errors import ExitCode
from nuncio_cli.options import AsJson
from nuncio_cli.reaching import Where, reaching

group = typer.Typer(help="Messages on their way, and their books.", no_args_is_help=True)
DispatchId = Annotated[str, typer.Argument(help="The dispatch's UUID.")]


@group.command()
@reaching("dispatcher")
def show(
    dispatch_id: DispatchId,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show a dispatch and its books as of now.

    Example: `nuncio dispatch show 5d1c…9e --json`.
    """

    async def work() -> None:
        async with clients(*where) as services:
            request = GetDispatchRequest(dispatch_id=dispatch_id)
            found = (await services.dispatcher.GetDispatch(request)).dispatch
        if as_json:
            output.emit(following.document(found))
        else:
            following.show(found)

    output.complete(work(), as_json=as_json)


@group.command()
@reaching("dispatcher")
def watch(
    dispatch_id: DispatchId,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Follow a dispatch to its end on a live bar; with --json one object per change.

    Says which of the app's lanes do not send, why, and what to do. Exit code 1 when it fails. A
    dispatcher that restarts is waited for.

    Example: `nuncio dispatch watch 5d1c…9e`.
    """

    async def work() -> None:
        async with clients(*where) as services:
            known = Dispatch(dispatch_id=dispatch_id)
            last = await following.watch(services.dispatcher, known, as_json=as_json)
        if not following.succeeded(last):
            raise typer.Exit(ExitCode.FAILED)

    output.complete(work(), as_json=as_json)
