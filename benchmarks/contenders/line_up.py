"""Who is measured, with how many requests, and how each is started."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.contenders.h2load import run_h2load
from benchmarks.contenders.job import Finding, Job

ROOT: Final = Path(__file__).parents[2]
NODE_APN: Final = "@parse/node-apn@8.1.0"
INSTALL_SECONDS: Final = 120
MOST_SECONDS: Final = 60
"""For one contender's run; more means that it hangs."""
ENGINE: Final = "engine"
AIOAPNS: Final = "aioapns"

RunJob = Callable[[Job], Finding]


@dataclass(frozen=True)
class Contender:
    """One of them. requests: as many as take it a few seconds at most."""

    name: str
    requests: int
    run: RunJob


@dataclass(frozen=True)
class LineUp:
    """Who takes part; the versions of their programs; and who does not, and why."""

    contenders: list[Contender]
    programs: dict[str, str]
    absent: list[str]


async def line_up() -> LineUp:
    """All that can be run on this machine."""
    found = LineUp(
        [
            Contender(ENGINE, 100_000, _python("with_engine")),
            Contender(AIOAPNS, 3_000, _python("with_aioapns")),
            Contender("httpx", 1_000, _python("with_httpx")),
        ],
        {"aioapns": version("aioapns"), "httpx": version("httpx"), "h2": version("h2")},
        [],
    )
    await asyncio.to_thread(_add_node_apn, found)
    if shutil.which("h2load"):
        found.contenders.append(Contender("h2load (C)", 100_000, _h2load))
        found.programs["h2load"] = output_of("h2load", "--version")
    else:
        found.absent.append("h2load is not installed: apt-get install nghttp2-client")
    return found


def output_of(*command: str) -> str:
    """The first line that a program prints about itself."""
    ended = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return ended.stdout.partition("\n")[0]


def _python(module: str) -> RunJob:
    return lambda job: _run([sys.executable, "-m", f"benchmarks.contenders.{module}"], job)


def _h2load(job: Job) -> Finding:
    with TemporaryDirectory() as folder:
        return run_h2load(job, Path(folder))


def _add_node_apn(found: LineUp) -> None:
    folder = _install_node_apn()
    if folder is None:
        found.absent.append(f"{NODE_APN} cannot be installed: node or npm, or its registry, is out")
        return
    program = str(Path(__file__).parent / "with_node_apn.mjs")
    found.contenders.append(
        Contender("node-apn", 10_000, lambda job: _run(["node", program], job, more=[str(folder)]))
    )
    found.programs["node"] = output_of("node", "--version")
    found.programs["node-apn"] = NODE_APN.rpartition("@")[2]


def _install_node_apn() -> Path | None:
    """Into a cache of the user's, once; None when that cannot be done."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "nuncio" / NODE_APN.replace("/", "-")
    if (folder / "node_modules" / "@parse" / "node-apn").is_dir():
        return folder
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", NODE_APN]
    try:
        subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, timeout=INSTALL_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return folder


def _run(command: list[str], job: Job, more: list[str] | None = None) -> Finding:
    """Raises CalledProcessError, TimeoutExpired."""
    ended = subprocess.run(  # noqa: S603
        [*command, job.model_dump_json(), *(more or [])],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        timeout=MOST_SECONDS,
    )
    return Finding.model_validate_json(ended.stdout)
