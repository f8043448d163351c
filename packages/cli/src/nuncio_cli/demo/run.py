"""The demo from start to verdict: a suite of its own, the story, the result."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nuncio_cli import output
from nuncio_cli.connect import clients
from nuncio_cli.demo.story import Story
from nuncio_cli.errors import CliError
from nuncio_cli.report_file import ReportFile
from nuncio_cli.suite import SuitePlan, running_suite
from nuncio_simulator.client import AdminClient

# Throttled tokens are tried again soon: the demo's patience is short.
SETTINGS: Final = {"NUNCIO_DISPATCHER_RETRY__FIRST_WAIT": "1"}


class DemoFailed(CliError):
    """Something did not hold that should have."""

    reason = "DEMO_FAILED"


async def run_demo(
    folder: Path,
    installations: int,
    *,
    seed: int,
    report: ReportFile,
    say: Callable[[str], None],
    kept: bool,
) -> None:
    """kept: the folder stays when all is over. Raises DemoFailed when something does not hold."""
    plan = SuitePlan(
        data=folder,
        with_simulator=True,
        seed=seed,
        settings=SETTINGS,
    )
    say("nuncio: PostgreSQL, registry, targeting, dispatcher, feedback, and simulated providers")
    say(whereabouts(folder, kept=kept))
    async with running_suite(plan, notice=output.notice) as suite:
        assert suite.simulator is not None
        async with (
            clients(suite.addresses) as services,
            AdminClient(suite.simulator.admin_url) as simulator,
        ):
            story = Story(services, simulator, say=say)
            result = await story.tell(installations=installations, seed=seed)
    report.write(result.document())
    say("")
    say(f"done in {result.seconds:.1f} s")
    if not result.holds:
        raise DemoFailed(detail="; ".join(w for w, holds in result.checks().items() if not holds))


def whereabouts(folder: Path, *, kept: bool) -> str:
    """Where everything is, and what becomes of it."""
    if kept:
        return f"everything is kept in {folder}"
    return f"everything is in {folder}, which is deleted at the end; --keep keeps it"


@contextmanager
def demo_folder(data: Path | None, *, keep: bool) -> Iterator[Path]:
    """The folder that is given, or a temporary one, which is deleted unless it is to be kept."""
    if data is not None:
        yield data.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="nuncio-demo-"))
    if os.geteuid() == 0:
        # PostgreSQL does not run as root: its own user has to get to its data below.
        folder.chmod(0o711)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
