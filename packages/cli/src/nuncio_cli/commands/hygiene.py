"""nuncio hygiene: preview."""

from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from nuncio.common.v1.provider_pb2 import Platform
from nuncio.registry.v1.registry_service_pb2 import PreviewHygieneRequest, PreviewHygieneResponse
from nuncio_cli import output
from nuncio_cli.asking import ask_registry
from nuncio_cli.connect import patiently
from nuncio_cli.documents import document
from nuncio_cli.names import word
from nuncio_cli.options import AppId, AsJson
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.spans import span_option
from nuncio_cli.stubs import RegistryStub

group = typer.Typer(help="What policies do to installations.", no_args_is_help=True)


StaleAfter = Annotated[
    Duration | None,
    span_option("Stale when unseen for this long, such as 60d. Default: as the app has it."),
]
ExpireAfter = Annotated[
    Duration | None,
    span_option("Expiring when unseen for this long. Default: as the app has it."),
]
Retention = Annotated[
    Duration | None,
    span_option("Deleted when without a live token for this long. Default: as the app has it."),
]


@group.callback()
def _keep_subcommands() -> None:
    """What policies do to installations."""


@group.command()
@reaching("registry")
def preview(
    *,
    app_id: AppId,
    stale_after: StaleAfter = None,
    expire_after: ExpireAfter = None,
    retention: Retention = None,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Count what an app's policies would do now, or what others would. Changes nothing.

    See docs/hygiene.md.

    Examples: `nuncio hygiene preview --app shop`,
    `nuncio hygiene preview --app shop --expire-after 180d`.
    """
    request = PreviewHygieneRequest(
        app_id=app_id, stale_after=stale_after, expire_after=expire_after, retention=retention
    )

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.PreviewHygiene(request))
        if as_json:
            output.emit(document(answer))
        else:
            _show(answer)

    ask_registry(work, where=where, as_json=as_json)


def _show(answer: PreviewHygieneResponse) -> None:
    counts = {
        word(Platform, each.platform, "PLATFORM_"): (
            each.active,
            each.stale,
            each.expiring,
            each.deleting,
        )
        for each in answer.counts
    }
    sums = [sum(numbers) for numbers in zip(*counts.values(), strict=True)]
    columns = ("platform", "live#", "of them stale#", "of them expiring#", "dead, to be deleted#")
    rows = [(platform, *numbers) for platform, numbers in counts.items()]
    output.table(columns, [*rows, ("all", *sums)] if rows else [])
