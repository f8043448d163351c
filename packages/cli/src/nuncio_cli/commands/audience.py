"""nuncio audience: count."""

from typing import Annotated, Any

import typer

from nuncio.common.v1.provider_pb2 import Platform
from nuncio.targeting.v1.audience_pb2 import Audience
from nuncio.targeting.v1.targeting_service_pb2 import (
    ExplainAudienceRequest,
    ExplainAudienceResponse,
)
from nuncio_cli import output
from nuncio_cli.connect import clients, patiently
from nuncio_cli.demo.funnel import suppressions
from nuncio_cli.names import word
from nuncio_cli.options import AppId, AsJson
from nuncio_cli.pointing import pointing_at
from nuncio_cli.reaching import Where, reaching

group = typer.Typer(help="Whom messages reach.", no_args_is_help=True)


@group.callback()
def _keep_subcommands() -> None:
    """Whom messages reach."""


@group.command()
@reaching("targeting")
def count(
    expression: Annotated[str, typer.Argument(help="See docs/audience-language.md.")],
    *,
    app_id: AppId,
    purpose: Annotated[
        str, typer.Option(help="Purpose that consent is asked for. Default: not asked for.")
    ] = "",
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Count whom a message to an audience would reach, and whom not and why.

    Example: `nuncio audience count 'topics:"news" AND country = "CH"' --app shop
    --purpose marketing`.
    """
    request = ExplainAudienceRequest(
        app_id=app_id, audience=Audience(expression=expression), purpose=purpose
    )

    async def work() -> None:
        async with clients(*where) as services:
            with pointing_at(expression, quiet=as_json):
                answer = await patiently(lambda: services.targeting.ExplainAudience(request))
        _show(answer, as_json=as_json)

    output.complete(work(), as_json=as_json)


def _show(answer: ExplainAudienceResponse, *, as_json: bool) -> None:
    reachable = {word(Platform, p.platform, "PLATFORM_"): p.count for p in answer.reachable}
    suppressed = suppressions(answer.suppressed)
    if as_json:
        document: dict[str, Any] = {
            "resolved": answer.resolved,
            "reachable": sum(reachable.values()),
            "reachable_by_platform": reachable,
            "suppressed_by_reason": suppressed,
        }
        output.emit(document)
        return
    rows = [
        ("named", answer.resolved, ""),
        *(("  left out", count, reason) for reason, count in suppressed.items()),
        ("reachable", sum(reachable.values()), ""),
        *(("  on", count, platform) for platform, count in reachable.items()),
    ]
    output.table(("audience", "#", ""), rows)
