"""nuncio bench: the benchmarks of the repository."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

import typer

from nuncio_cli import output
from nuncio_cli.errors import ExitCode, NoCheckout, OptionInvalid
from nuncio_cli.report_file import ReportFile

# Modules of the folder that are no benchmarks themselves.
FURNITURE: Final = {"harness", "__init__"}


def bench(
    name: Annotated[str, typer.Argument(help="Which one; see --list.", show_default=False)] = "",
    *,
    list_all: Annotated[bool, typer.Option("--list", help="Name the benchmarks.")] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write report or list there; -: to stdout."),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Runs; medians are reported.")] = 3,
) -> None:
    """Measure, from a checkout of the repository: machine, cases side by side, and bars.

    Exit code 1 when a bar does not hold.

    Examples: `nuncio bench --list`, `nuncio bench --list --json -`,
    `nuncio bench main-road --json out.json --repeat 5`.
    """

    async def work() -> None:
        folder, file = benchmarks_folder(), ReportFile(json_file)
        if list_all or not name:
            _show_list(folder, file)
            return
        report = await _load(folder, name).run(repeat=repeat, note=output.notice)
        if not file.is_wanted:
            output.table(*report.table())
            for line in report.bar_lines():
                output.say(line)
        file.write(report.document())
        if not report.holds:
            raise typer.Exit(ExitCode.FAILED)

    output.complete(work(), as_json=str(json_file) == "-")


def benchmarks_folder() -> Path:
    """benchmarks/ of the checkout that this package, or the working folder, is in.

    Raises NoCheckout.
    """
    for start in (Path(__file__).resolve(), Path.cwd() / "here"):
        for parent in start.parents:
            if (parent / "benchmarks" / "harness.py").is_file():
                return parent / "benchmarks"
    raise NoCheckout


def _names(folder: Path) -> list[str]:
    stems = (path.stem for path in sorted(folder.glob("*.py")))
    return [stem.replace("_", "-") for stem in stems if stem not in FURNITURE]


def _show_list(folder: Path, file: ReportFile) -> None:
    purposes = {
        name: (_load(folder, name).__doc__ or "").partition("\n")[0] for name in _names(folder)
    }
    if not file.is_wanted:
        output.table(("name", "what it measures"), list(purposes.items()))
    file.write({"benchmarks": [{"name": n, "measures": p} for n, p in purposes.items()]})


def _load(folder: Path, name: str) -> ModuleType:
    """Raises OptionInvalid when there is no such benchmark."""
    if name not in _names(folder):
        raise OptionInvalid(detail=f"no benchmark {name}; there are {', '.join(_names(folder))}")
    sys.path.insert(0, str(folder.parent))
    return importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
