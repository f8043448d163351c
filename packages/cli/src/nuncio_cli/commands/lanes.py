"""nuncio lanes; nuncio credentials: check, reload."""

from typing import Annotated, Any

import typer

from nuncio.common.v1 import provider_pb2
from nuncio.dispatcher.v1 import lane_pb2
from nuncio.dispatcher.v1.dispatcher_service_pb2 import (
    CheckCredentialRequest,
    ReloadCredentialsRequest,
)
from nuncio_cli import lane_view, output
from nuncio_cli.connect import clients, patiently
from nuncio_cli.errors import ExitCode
from nuncio_cli.held_up import all_lanes
from nuncio_cli.names import word
from nuncio_cli.options import AsJson
from nuncio_cli.reaching import Where, reaching

credentials = typer.Typer(
    help="What proves apps to the providers: try it out, read it again.", no_args_is_help=True
)

AppFilter = Annotated[str, typer.Option("--app", help="Only those of one app.")]
ProviderName = Annotated[
    str,
    typer.Option(
        "--provider",
        help="Only the credentials for one provider: apns, fcm or web_push.",
        show_default=False,
    ),
]
EnvironmentName = Annotated[
    str,
    typer.Option(
        "--environment",
        help="Only those for one environment: production or sandbox.",
        show_default=False,
    ),
]


@reaching("dispatcher")
def lanes(
    *,
    app_id: AppFilter = "",
    where: Where,
    as_json: AsJson = False,
) -> None:
    """List the lanes to the providers: whether they send, and if not, why and until when.

    A dispatcher tells of its own lanes; where there are several, ask each with --dispatcher. With
    --json: one object per line.

    Example: `nuncio lanes --app com.example.shop`.
    """

    async def work() -> None:
        async with clients(*where) as services:
            found = await all_lanes(services.dispatcher, app_id)
        if as_json:
            for lane in found:
                output.emit(lane_view.document(lane))
        else:
            output.table(lane_view.COLUMNS, [lane_view.row(lane) for lane in found])

    output.complete(work(), as_json=as_json)


@credentials.command()
@reaching("dispatcher")
def check(
    app_id: Annotated[str, typer.Argument(help="The app.")],
    *,
    provider: ProviderName = "",
    environment: EnvironmentName = "",
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Try an app's credentials out, step by step, up to the provider's word. Sends to nobody.

    Exit code 1 when a step failed. Apple counts requests about a token that cannot exist as
    errors, so run it after a change, not every minute.

    Example: `nuncio credentials check com.example.shop --provider apns`.
    """
    request = CheckCredentialRequest(
        app_id=app_id,
        provider=provider_pb2.Provider.ValueType(
            _chosen(provider_pb2.Provider, provider, "PROVIDER_", "--provider")
        ),
        environment=provider_pb2.Environment.ValueType(
            _chosen(provider_pb2.Environment, environment, "ENVIRONMENT_", "--environment")
        ),
    )

    async def work() -> None:
        async with clients(*where) as services:
            answer = await services.dispatcher.CheckCredential(request)
        if as_json:
            output.emit({"checks": [lane_view.check_document(each) for each in answer.checks]})
        else:
            for found in answer.checks:
                lane_view.show_check(found)
        results = [step.result for found in answer.checks for step in found.steps]
        if lane_pb2.CHECK_RESULT_FAILED in results:
            raise typer.Exit(ExitCode.FAILED)

    output.complete(work(), as_json=as_json)


@credentials.command()
@reaching("dispatcher")
def reload(
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Make the dispatcher look at the credential files now, and say what changed.

    It does so by itself within a second, whenever it sends; this is to be sure.

    Example: `nuncio credentials reload`.
    """

    async def work() -> None:
        async with clients(*where) as services:
            request = ReloadCredentialsRequest()
            answer = await patiently(lambda: services.dispatcher.ReloadCredentials(request))
        if as_json:
            names = ("made", "let_go", "unchanged", "problems")
            output.emit({name: list(getattr(answer, name)) for name in names})
            return
        for lane in answer.made:
            output.say(f"made       {lane}", style="green")
        for lane in answer.let_go:
            output.say(f"let go     {lane}", style="yellow")
        for problem in answer.problems:
            output.say(f"problem    {problem}", style="red")
        output.say(f"unchanged: {output.number(len(answer.unchanged))}")

    output.complete(work(), as_json=as_json)


def _chosen(enum: Any, name: str, prefix: str, option: str) -> int:
    """The number of a name that people type; 0 for none."""
    if not name:
        return 0
    value = enum.DESCRIPTOR.values_by_name.get(f"{prefix}{name.upper().replace('-', '_')}")
    if value is None or not value.number:
        known = [word(enum, number, prefix) for number in enum.values() if number]
        message = f"must be one of {', '.join(known)}"
        raise typer.BadParameter(message, param_hint=option)
    return int(value.number)
