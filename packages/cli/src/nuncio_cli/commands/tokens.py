"""nuncio tokens: import, show; restore is in a module of its own."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1.installation_pb2 import Installation
from nuncio.registry.v1.predicate_pb2 import (
    PREDICATE_FIELD_USER_ID,
    PREDICATE_OPERATOR_IN,
    Comparison,
    Predicate,
    PredicateValue,
)
from nuncio.registry.v1.registry_service_pb2 import GetInstallationRequest, ListInstallationsRequest
from nuncio_cli import installation_view, output
from nuncio_cli.connect import clients
from nuncio_cli.errors import ExitCode
from nuncio_cli.imports.formats import STDIN, Format, guess_format, rejects_of
from nuncio_cli.imports.job import (
    ImportJob,
    Summary,
    import_file,
    observed_as_told,
    observed_now_or_at,
)
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rows import BadValueError
from nuncio_cli.options import AppId, AsJson
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.stubs import RegistryStub

group = typer.Typer(help="Push tokens and their installations.", no_args_is_help=True)


def token_file(text: str) -> Path:
    """The file of an argument; "-" is standard input. Raises BadParameter."""
    file = STDIN if text == "-" else Path(text)
    fault = "is a directory" if file.is_dir() else "" if file.exists() else "does not exist"
    if fault:
        message = f"'{file}' {fault}."
        raise typer.BadParameter(message)
    return file


TokenFile = Annotated[
    Path,
    typer.Argument(
        parser=token_file,
        metavar="FILE",
        help="The file, or - for standard input; what is packed with gzip is unpacked.",
    ),
]
Layout = Annotated[
    Format | None, typer.Option("--format", help="Default: by the file's name, ndjson or csv.")
]
MappingFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="TOML file; see docs/import.md.")
]
RejectsFile = Annotated[
    Path | None,
    typer.Option(
        help="Where rows go that are not taken. Default: FILE.rejects; ./stdin.rejects for -"
    ),
]
ObservedAt = Annotated[
    str,
    typer.Option(
        help="When the tokens were seen (ISO 8601): what was registered later wins. "
        "Default: when FILE was last written; now for a pipe.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the rows; register nothing.")]
AllowRejects = Annotated[
    bool, typer.Option("--allow-rejects", help="Exit with 0 even when there are rejects.")
]


@group.command("import")
@reaching("registry")
def import_tokens(
    file: TokenFile,
    *,
    app_id: AppId,
    layout: Layout = None,
    mapping: MappingFile = None,
    rejects: RejectsFile = None,
    observed_at: ObservedAt = "",
    dry_run: DryRun = False,
    allow_rejects: AllowRejects = False,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Register the tokens of a file: CSV, NDJSON, or an export of OneSignal or Azure.

    Good rows go in; the others go into the rejects file with their line, field and rule. Rows
    without an installation id get one made from app and token, and are as old as the file, so
    that importing it again makes no second installation, and undoes nothing that was registered
    since; but a token that was called dead since is live again, until it is called so once more
    (docs/import.md). Memory stays flat whatever the size of the file.

    Exit codes: 0 all rows went in, 1 some were rejected, 2 the file cannot be used.

    Examples: `nuncio tokens import users.csv --app shop --mapping users.toml --dry-run`,
    `nuncio tokens import export.csv.gz --app shop --format onesignal`.
    """
    format_ = layout or guess_format(file)
    seen = _time_option(observed_at) if observed_at else observed_now_or_at(file)

    async def work() -> None:
        job = ImportJob(
            file=file,
            layout=format_,
            mapping=FieldMapping() if mapping is None else FieldMapping.read(mapping),
            rejects=rejects or rejects_of(file, format_, dry_run=dry_run),
            app_id=app_id,
            observed_at=seen,
        )
        summary = await _run(job, where, dry_run=dry_run, quiet=as_json)
        _show_summary(summary, as_json=as_json)
        if summary.tally.rejected and not allow_rejects:
            raise typer.Exit(ExitCode.FAILED)

    output.complete(work(), as_json=as_json)


@group.command()
@reaching("registry")
def show(
    installation_id: Annotated[
        str, typer.Argument(help="An installation's UUID.", show_default=False)
    ] = "",
    *,
    app_id: AppId,
    user: Annotated[str, typer.Option(help="Show all installations of this account.")] = "",
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show an installation, or those of a user. Tokens themselves are never shown.

    With --json: one object per line.

    Examples: `nuncio tokens show 0b5e…c1 --app shop`, `nuncio tokens show --user u-17 --app shop`.
    """
    if bool(installation_id) == bool(user):
        raise typer.BadParameter("give either an installation id or --user")

    async def work() -> None:
        async with clients(*where) as services:
            if user:
                found = await _of_user(services.registry, app_id, user)
            else:
                request = GetInstallationRequest(app_id=app_id, installation_id=installation_id)
                answer = await services.registry.GetInstallation(request)
                found = [answer.installation]
        present: Callable[[Installation], None] = _emit if as_json else installation_view.show
        for installation in found:
            present(installation)
        if not found and not as_json:
            output.say("the user has no installations")

    output.complete(work(), as_json=as_json)


async def _run(job: ImportJob, where: Where, *, dry_run: bool, quiet: bool) -> Summary:
    """Import the file, or only check it, and show how far that is. quiet: show nothing."""
    what = "checking" if dry_run else "importing"
    with output.progress(what, unit="%", quiet=quiet) as report:
        async with clients(*where) as services:
            registry = None if dry_run else services.registry
            on_break = output.no_report if quiet else partial(_tell_break, job.rejects)
            return await import_file(job, registry, report=report, on_break=on_break)


def _tell_break(rejects: Path, count: int, kept: Path) -> None:
    """Say where the rejects of an import are that breaks off, and whose the rejects file is."""
    if count:
        output.notice(f"{count:,} rejected before the import broke off, kept in {kept}")
    if rejects.is_file():
        output.notice(f"{rejects} is as an earlier import left it")


def _time_option(text: str) -> Timestamp:
    try:
        return observed_as_told(text, "--observed-at", now=datetime.now(UTC))
    except BadValueError as error:
        raise typer.BadParameter(str(error)) from error


def _show_summary(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        output.emit(summary.document())
        return
    rows: list[tuple[str, int]] = [("rows", summary.tally.rows)]
    rows += sorted(summary.tally.outcomes.items())
    rows.append(("rejected", summary.tally.rejected))
    output.table(("", "#"), rows)
    if summary.tally.rejected:
        output.say(f"rejects, with line, field and rule: {summary.rejects}")
        output.say(f"import them, mended, with --observed-at {summary.observed_at}")
    if summary.ignored:
        output.say(f"columns that mean nothing to nuncio: {', '.join(summary.ignored)}")
    for column, field in summary.misspelt.items():
        output.say(f"is {column} meant to be {field}?", style="yellow")


async def _of_user(registry: RegistryStub, app_id: str, user_id: str) -> list[Installation]:
    is_user = Comparison(
        field=PREDICATE_FIELD_USER_ID,
        operator=PREDICATE_OPERATOR_IN,
        values=[PredicateValue(text=user_id)],
    )
    request = ListInstallationsRequest(
        app_id=app_id, predicate=Predicate(comparison=is_user), page_size=1000
    )
    found: list[Installation] = []
    while True:
        page = await registry.ListInstallations(request)
        found += page.installations
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def _emit(installation: Installation) -> None:
    document: dict[str, Any] = MessageToDict(installation, preserving_proto_field_name=True)
    output.emit(document)
