"""One import, from the file to the counts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nuncio_cli.errors import FileUnusable, OptionInvalid
from nuncio_cli.imports.formats import Format, reader_for
from nuncio_cli.imports.load import Tally, check_only, read_pages, register
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rejects import Rejects
from nuncio_cli.imports.source import READ_FAULTS, open_source
from nuncio_cli.stubs import RegistryStub

Report = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class ImportJob:
    """What is imported, and where its rejects go."""

    file: Path
    layout: Format
    mapping: FieldMapping
    rejects: Path
    app_id: str


class Summary(NamedTuple):
    """What became of a file."""

    tally: Tally
    ignored: list[str]
    """Columns that mean nothing to nuncio."""
    rejects: Path

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": self.tally.rows,
            "outcomes": dict(self.tally.outcomes),
            "rejected": self.tally.rejected,
            "rejects_file": str(self.rejects) if self.tally.rejected else None,
            "ignored_columns": self.ignored,
        }


async def import_file(job: ImportJob, registry: RegistryStub | None, *, report: Report) -> Summary:
    """Register the rows of a file, or only check them when there is no registry.

    report: told bytes done, a note, and the total, after each page. Raises MappingInvalid,
    OptionInvalid, FileUnusable, and RemoteError.
    """
    if job.rejects.exists() and job.rejects.samefile(job.file):
        raise OptionInvalid(detail="the rejects would overwrite the file that is imported")
    tally = Tally()
    try:
        with open_source(job.file) as source:
            reader = reader_for(job.layout, source, job.mapping)
            with Rejects(job.rejects, reader.columns) as rejects:
                pages = read_pages(
                    reader, app_id=job.app_id, mapping=job.mapping, rejects=rejects, tally=tally
                )

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
    except READ_FAULTS as error:
        raise FileUnusable(detail=f"{job.file}: {error}") from error
    return Summary(tally, sorted(reader.ignored), job.rejects)
