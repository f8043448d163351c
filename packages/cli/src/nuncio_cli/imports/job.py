"""One import, from the file to the counts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio_cli.errors import OptionInvalid
from nuncio_cli.imports.formats import FIXED_LAYOUTS, Format, reader_for
from nuncio_cli.imports.header import alike, check_header
from nuncio_cli.imports.load import Tally, check_only, read_pages, register
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.registration import registration_from, time_seen
from nuncio_cli.imports.rejects import OnBreak, Rejects, draft_of
from nuncio_cli.imports.rows import BadValueError, Row
from nuncio_cli.imports.source import open_source
from nuncio_cli.stubs import RegistryStub

Report = Callable[..., None]

# The registry takes no row that was seen later than this from now.
CLOCK_TOLERANCE: Final = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class ImportJob:
    """What is imported, and where its rejects go."""

    file: Path
    layout: Format
    mapping: FieldMapping
    rejects: Path
    app_id: str
    observed_at: Timestamp
    """When the rows that do not say it were seen."""

    def register_row(self, row: Row) -> Registration:
        """Raises BadValueError."""
        return registration_from(
            row.values,
            app_id=self.app_id,
            attribute_types=self.mapping.attribute_types,
            observed_at=self.observed_at,
        )


class Summary(NamedTuple):
    """What became of a file."""

    tally: Tally
    ignored: list[str]
    """Columns that mean nothing to nuncio."""
    misspelt: dict[str, str]
    """Those of them that look like a field, and the field."""
    rejects: Path
    observed_at: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": self.tally.rows,
            "outcomes": dict(self.tally.outcomes),
            "rejected": self.tally.rejected,
            "rejects_file": str(self.rejects) if self.tally.rejected else None,
            "ignored_columns": self.ignored,
            "misspelt_columns": self.misspelt,
            "observed_at": self.observed_at,
        }


async def import_file(
    job: ImportJob, registry: RegistryStub | None, *, report: Report, on_break: OnBreak
) -> Summary:
    """Register the rows of a file, or only check them when there is no registry.

    report: told bytes done, a note, and the total, after each page. on_break: told of the rejects
    of an import that breaks off after it has begun. Raises MappingInvalid, OptionInvalid,
    FileUnusable, and RemoteError.
    """
    for written in (job.rejects, draft_of(job.rejects)):
        if written.exists() and written.samefile(job.file):
            raise OptionInvalid(detail="the rejects would overwrite the file that is imported")
    tally = Tally()
    with open_source(job.file) as source:
        reader = reader_for(job.layout, source, job.mapping)
        if job.layout is Format.CSV:
            check_header(reader.columns, job.mapping)
        with Rejects(job.rejects, reader.columns, reader.column_of, on_break=on_break) as rejects:
            pages = read_pages(reader, job.register_row, rejects=rejects, tally=tally)

            def on_page() -> None:
                note = f"{tally.rows:,} rows, {tally.rejected:,} rejected"
                report(source.position(), note, total=source.size)

            if registry is None:
                check_only(pages, rejects=rejects, tally=tally, on_page=on_page)
            else:
                await register(
                    registry, pages, app_id=job.app_id, rejects=rejects, tally=tally,
                    on_page=on_page,
                )  # fmt: skip
    observed_at = job.observed_at.ToJsonString()
    # What a fixed layout has is no misspelling, however it looks.
    named = set() if job.layout in FIXED_LAYOUTS else reader.ignored
    misspelt = {column: field for column in sorted(named) if (field := alike(column))}
    return Summary(tally, sorted(reader.ignored), misspelt, job.rejects, observed_at)


def observed_as_told(text: str, field: str, *, now: datetime) -> Timestamp:
    """When the rows of a file were seen, as somebody says. Raises BadValueError."""
    seen = time_seen(text, field)
    if seen.ToDatetime(UTC) > now + CLOCK_TOLERANCE:
        raise BadValueError(field, "must be at most 10 minutes in the future")
    return seen


def observed_now_or_at(file: Path) -> Timestamp:
    """When the rows of a file were seen at the latest: as it was last written; of a pipe, now."""
    now = Timestamp()
    now.GetCurrentTime()
    if not file.is_file():
        return now
    written = Timestamp()
    written.FromNanoseconds(file.stat().st_mtime_ns)
    return min(written, now, key=Timestamp.ToNanoseconds)
