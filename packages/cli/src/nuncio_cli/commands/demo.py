"""nuncio demo: the whole road on this machine, in less than a minute."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from nuncio_cli import output


def demo(
    *,
    installations: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many to make up.")
    ] = 10_000,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the result there; -: to stdout, the story to stderr."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides people and tokens.")] = 7,
    data: Annotated[
        Path | None,
        typer.Option(help="Keep everything in this folder. Default: a temporary one."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Do not delete the temporary folder.")
    ] = False,
) -> None:
    """Show the whole road: register, resolve, deliver, learn from the answers.

    Starts everything on free ports with simulated APNs, FCM and Web Push; imports made-up
    installations; sends two campaigns; shows where each target went, and that dead tokens are
    retired unless they were registered again. Exit code 0 only when all of it holds.

    Examples: `nuncio demo`, `nuncio demo --installations 5000 --json out.json`.
    """
    # Imported here, as it would make every other command slow to start.
    from nuncio_cli.demo.run import demo_folder, run_demo
    from nuncio_cli.report_file import ReportFile

    async def work() -> None:
        report = ReportFile(json_file)
        say: Callable[[str], None] = output.notice if report.is_stdout else output.say
        with demo_folder(data, keep=keep) as folder:
            await run_demo(
                folder, installations, seed=seed, report=report, say=say,
                kept=keep or data is not None,
            )  # fmt: skip

    output.complete(work(), as_json=str(json_file) == "-")
