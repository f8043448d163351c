"""nuncio installations: list, show, consents, erase; watch is in a module of its own."""

from typing import Annotated

import typer

from nuncio.registry.v1.installation_pb2 import ConsentEvent, ConsentState
from nuncio.registry.v1.predicate_pb2 import Predicate
from nuncio.registry.v1.registry_service_pb2 import (
    EraseInstallationRequest,
    GetInstallationRequest,
    ListConsentEventsRequest,
    ListInstallationsRequest,
)
from nuncio.targeting.v1.audience_pb2 import AudienceProblem
from nuncio.targeting.v1.targeting_service_pb2 import ValidateAudienceRequest
from nuncio_cli import installation_view, output
from nuncio_cli.asking import ask_registry, rows
from nuncio_cli.connect import clients, patiently
from nuncio_cli.documents import document
from nuncio_cli.erasing import erase_for_good
from nuncio_cli.errors import AudienceInvalid
from nuncio_cli.names import word
from nuncio_cli.options import AppId, AsJson, InstallationId, Limit, Yes
from nuncio_cli.pointing import pointing_at
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.stubs import RegistryStub, TargetingStub

group = typer.Typer(help="Copies of an app, as the registry knows them.", no_args_is_help=True)


@group.command("list")
@reaching("targeting", "registry")
def list_installations(
    audience: Annotated[
        str, typer.Argument(help="Which; see docs/audience-language.md. Default: all.")
    ] = "",
    *,
    app_id: AppId,
    limit: Limit = 100,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """List installations by their id, those without a live token included.

    The audience is read by targeting, and asked of the registry. With --json: one object per line.

    Examples: `nuncio installations list --app shop --limit 20`,
    `nuncio installations list 'tags:"vip" AND country = "CH"' --app shop --limit 0 --json`.
    """

    async def work() -> None:
        async with clients(*where) as services:
            request = ListInstallationsRequest(app_id=app_id)
            if audience:
                with pointing_at(audience, quiet=as_json):
                    predicate = await _predicate(services.targeting, app_id, audience)
                request.predicate.CopyFrom(predicate)
            if not as_json:
                output.say(installation_view.HEADING)
            call = services.registry.ListInstallations
            async for installation in rows(call, request, "installations", limit=limit):
                if as_json:
                    output.emit(document(installation))
                else:
                    output.say(installation_view.line(installation))

    output.complete(work(), as_json=as_json)


@group.command()
@reaching("registry")
def show(
    installation_id: InstallationId,
    *,
    app_id: AppId,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show an installation. The token itself is never shown.

    Example: `nuncio installations show 0b5e…c1 --app shop`.
    """
    request = GetInstallationRequest(app_id=app_id, installation_id=installation_id)

    async def work(stub: RegistryStub) -> None:
        found = (await patiently(lambda: stub.GetInstallation(request))).installation
        if as_json:
            output.emit(document(found))
        else:
            installation_view.show(found)

    ask_registry(work, where=where, as_json=as_json)


@group.command()
@reaching("registry")
def consents(
    installation_id: InstallationId,
    *,
    app_id: AppId,
    limit: Limit = 100,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show the consent ledger of an installation, newest first.

    With --json: one object per line.

    Example: `nuncio installations consents 0b5e…c1 --app shop`.
    """
    request = ListConsentEventsRequest(app_id=app_id, installation_id=installation_id)

    async def work(stub: RegistryStub) -> None:
        call = stub.ListConsentEvents
        found = [event async for event in rows(call, request, "events", limit=limit)]
        if as_json:
            for event in found:
                output.emit(document(event))
        else:
            columns = ("when", "purpose", "state", "source", "asked by", "policy", "actor")
            output.table(columns, [_ledger_row(event) for event in found], empty="no entries")

    ask_registry(work, where=where, as_json=as_json)


@group.command()
@reaching("registry")
def erase(
    installation_id: InstallationId,
    *,
    app_id: AppId,
    yes: Yes = False,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Erase everything that is kept of an installation, and show the proof.

    Cannot be undone. Doing it again finds nothing. See docs/privacy.md.

    Example: `nuncio installations erase 0b5e…c1 --app shop`.
    """
    request = EraseInstallationRequest(app_id=app_id, installation_id=installation_id)
    erase_for_good(
        "Erase the installation with its whole history?",
        lambda stub: stub.EraseInstallation(request),
        yes=yes,
        where=where,
        as_json=as_json,
    )


async def _predicate(targeting: TargetingStub, app_id: str, expression: str) -> Predicate:
    """What the registry is asked for. Raises AudienceInvalid, as targeting words it."""
    request = ValidateAudienceRequest(app_id=app_id, expression=expression)
    answer = await patiently(lambda: targeting.ValidateAudience(request))
    for problem in answer.problems:
        raise _refusal(problem)
    return answer.predicate


def _refusal(problem: AudienceProblem) -> AudienceInvalid:
    """The error that targeting has where a problem is one: the same text, the same metadata."""
    place = f"line {problem.line}, column {problem.column}"
    if problem.segment:
        place = f"segment {problem.segment}, {place}"
    expected = f"; expected {problem.expected}" if problem.expected else ""
    refusal = AudienceInvalid(
        detail=f"{place}: {problem.message}{expected}",
        line=str(problem.line),
        column=str(problem.column),
        position=str(problem.position),
        expected=problem.expected,
    )
    if problem.segment:
        refusal.metadata["segment"] = problem.segment
    return refusal


def _ledger_row(event: ConsentEvent) -> tuple[str, ...]:
    return (
        event.record_time.ToJsonString(),
        event.purpose,
        word(ConsentState, event.state, "CONSENT_STATE_"),
        event.source,
        event.prompt_strategy,
        event.policy_version,
        event.actor,
    )
