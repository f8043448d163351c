"""nuncio tokens restore: taking invalidations back."""

from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1.registry_service_pb2 import RestoreTokensRequest, RestoreTokensResponse
from nuncio_cli import output
from nuncio_cli.asking import ask_registry
from nuncio_cli.connect import patiently
from nuncio_cli.documents import document
from nuncio_cli.options import AppId, AsJson
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.spans import Until, moment_option
from nuncio_cli.stubs import RegistryStub


@reaching("registry")
def restore(
    *,
    app_id: AppId,
    since: Annotated[
        Timestamp,
        moment_option("Those recorded at this time or later: ISO 8601, or 2h for 2 hours ago."),
    ],
    until: Until = None,
    reasons: Annotated[
        list[str] | None,
        typer.Option("--reason", help="Only those for this reason; may be repeated."),
    ] = None,
    lane: Annotated[str, typer.Option(help="Only those of this lane.")] = "",
    campaign: Annotated[str, typer.Option(help="Only those of this campaign.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; change nothing.")] = False,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Make tokens live again that were called dead wrongly, as with a wrong credential or topic.

    Tokens that were replaced meanwhile stay as they are. Safe to repeat. See docs/invalidation.md.

    Examples: `nuncio tokens restore --app shop --since 2h --lane apns/shop/production --dry-run`,
    `nuncio tokens restore --app shop --since 2026-03-31T12:00:00Z --reason Unregistered`.
    """
    request = RestoreTokensRequest(
        app_id=app_id,
        start_time=since,
        end_time=until,
        reasons=reasons or [],
        lane=lane,
        campaign=campaign,
        dry_run=dry_run,
    )

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.RestoreTokens(request))
        if as_json:
            output.emit({**document(answer), "dry_run": dry_run})
        else:
            _show(answer, dry_run=dry_run)

    ask_registry(work, where=where, as_json=as_json)


def _show(answer: RestoreTokensResponse, *, dry_run: bool) -> None:
    rows = [
        ("matched", answer.matched),
        ("  would be restored" if dry_run else "  restored", answer.restored),
        ("  registered again since, or live", answer.registered_again),
        ("  another installation has or had the token since", answer.owned_by_another),
        ("  installation is gone", answer.gone),
    ]
    output.table(("invalidations", "#"), rows)
