"""What people and programs see: results on stdout, progress, notices and errors on stderr.

On a terminal there are colours and live bars; where output is piped it is plain lines. Values may
come from anybody, an app's users included: all text for people goes through visible().
"""

import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import grpc
import orjson
import typer
import uvloop
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from nuncio_cli.errors import (
    AddressRefused,
    CliError,
    ExitCode,
    FileUnusable,
    Interrupted,
    SystemRefused,
    exit_code,
)
from nuncio_cli.visible import visible
from nuncio_runtime.config import ConfigError
from nuncio_runtime.errors import ServiceError

# Where nothing shows live bars, one line this often says that work goes on.
SECONDS_BETWEEN_LINES: Final = 5.0
PLAIN_WIDTH: Final = 10_000
"""Columns where output is piped: rows stay on one line each, however long their reasons are."""

Report = Callable[..., None]


def stdout() -> Console:
    """The console of results; made on each use, so that it sees where stdout goes now."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console of progress, notices and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr, highlight=False, soft_wrap=True, width=None if terminal else PLAIN_WIDTH
    )


def say(text: str = "", *, style: str = "") -> None:
    """One line of result for people, without markup; control characters are shown as escapes."""
    stdout().print(Text(visible(text), style=style))


def notice(text: str, *, style: str = "dim") -> None:
    """One line on stderr, as say() has it on stdout.

    Nothing when nobody is there to read it, as after a hang-up.
    """
    with suppress(OSError):
        stderr().print(Text(visible(text), style=style))


def emit(document: Mapping[str, Any]) -> None:
    """One JSON document on a line of its own."""
    sys.stdout.write(orjson.dumps(document).decode() + "\n")
    sys.stdout.flush()


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", empty: str = ""
) -> None:
    """Rows under headings. Columns whose heading ends in "#" are numbers, set right.

    empty: what is said instead when there are no rows.
    """
    if empty and not rows:
        say(empty)
        return
    console = stdout()
    frame = box.SIMPLE_HEAD if console.is_terminal else None
    grid = Table(
        title=title or None,
        title_justify="left",
        box=frame,
        pad_edge=False,
        show_header=any(column.removesuffix("#") for column in columns),
    )
    for column in columns:
        grid.add_column(
            column.removesuffix("#"), justify="right" if column.endswith("#") else "left"
        )
    for row in rows:
        grid.add_row(*(Text(visible(number(cell))) for cell in row))
    console.print(grid)


def number(value: object) -> str:
    """Integers with thousands separated, all else as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def no_report(*_numbers: object, **_options: object) -> None:
    """The report of work that shows no progress."""


@contextmanager
def progress(
    what: str, *, total: int | None = None, unit: str = "", quiet: bool = False
) -> Iterator[Report]:
    """Show how far long work is; gives `report(done, note="", total=None)`.

    On a terminal a live bar, else a line every few seconds. unit: "%" shows a share instead of
    numbers. quiet: nothing at all.
    """
    console = stderr()
    if quiet:
        yield no_report
    elif console.is_terminal:
        with _live(console, what, total, unit) as report:
            yield report
    else:
        yield _Lines(what, total, unit)


@contextmanager
def _live(console: Console, what: str, total: int | None, unit: str) -> Iterator[Report]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn() if unit == "%" else MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(what, total=total, note="")

        def report(done: int, note: str = "", total: int | None = None) -> None:
            more: dict[str, Any] = {} if total is None else {"total": total}
            bars.update(task, completed=done, note=note, **more)

        yield report


class _Lines:
    """Progress for logs and pipes."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._last = time.monotonic()

    def __call__(self, done: int, note: str = "", total: int | None = None) -> None:
        self._total = total or self._total
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            notice(f"{self._what}: {self._so_far(done)} {note}".rstrip())

    def _so_far(self, done: int) -> str:
        if not self._total:
            return f"{done:,}"
        if self._unit == "%":
            return f"{done * 100 // self._total}%"
        return f"{done:,} of {self._total:,}"


def complete(work: Coroutine[Any, Any, None], *, as_json: bool = False) -> None:
    """Run a command to its end, and end the process with the right code when it fails."""
    try:
        uvloop.run(work)
    except ServiceError as error:
        report_error(error, as_json=as_json)
        raise typer.Exit(exit_code(error)) from error
    except ConfigError as error:
        report_error(AddressRefused(detail="; ".join(error.problems)), as_json=as_json)
        raise typer.Exit(ExitCode.USAGE) from error
    except BrokenPipeError:
        raise  # Whoever read the output has enough of it: no failure to speak of.
    except OSError as error:
        problem = FileUnusable if error.filename else SystemRefused
        report_error(problem(detail=str(error)), as_json=as_json)
        raise typer.Exit(ExitCode.USAGE) from error
    except Interrupted as interrupt:
        raise typer.Exit(interrupt.exit_code) from interrupt
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from interrupt


def report_error(error: ServiceError, *, as_json: bool) -> None:
    """One line on stderr: what happened, and the reason that programs know it by."""
    reason = error.reason or error.kind.name
    message = message_of(error)
    if as_json:
        emit_error(kind=error.kind.name, reason=reason, message=message, metadata=error.metadata)
    else:
        notice(f"error: {message} ({reason})", style="red")


def emit_error(*, kind: str, reason: str, message: str, metadata: Mapping[str, str]) -> None:
    """An error as one JSON document on stderr."""
    document = {"kind": kind, "reason": reason, "message": message, "metadata": metadata}
    sys.stderr.write(orjson.dumps({"error": document}).decode() + "\n")


def message_of(error: ServiceError) -> str:
    """The message for people; a remote error's as its service wrote it."""
    cause = error.__cause__
    if isinstance(cause, grpc.aio.AioRpcError) and not isinstance(error, CliError):
        return cause.details() or error.message
    return error.message
