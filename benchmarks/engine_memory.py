"""The HTTP/2 engine's memory: two million requests over one pool."""

import asyncio
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.contenders.job import Job, LongFinding
from benchmarks.contenders.line_up import ROOT, output_of
from benchmarks.engine import WARM_UP, files_of_apns
from benchmarks.harness import Bar, Case, Note, Report, Run
from benchmarks.outside.identity import make_identity
from benchmarks.outside.nghttpd import run_nghttpd

FIRST: Final = 100_000
ALL: Final = 2_000_000
BODY_BYTES: Final = 200
MOST: Final = 1.1
"""Times what it held after the first requests."""


async def run(*, repeat: int, note: Note) -> Report:
    """Each run is a process of its own; the worst of them counts. Raises NotInstalled."""
    runs, growth = [], []
    with TemporaryDirectory() as name:
        identity = make_identity(Path(name))
        with run_nghttpd(files_of_apns(Path(name)), identity) as server:
            job = Job(
                port=server.port,
                trust=identity.certificate,
                token_key=identity.token_key,
                requests=ALL,
                warm_up=WARM_UP,
                body_bytes=BODY_BYTES,
                in_flight=0,  # the engine sees to the windows itself
            )
            for number in range(1, repeat + 1):
                found = await asyncio.to_thread(_send, job)
                assert found.accepted == ALL, "not all requests were accepted"
                first, last = found.resident
                note(f"run {number} of {repeat}: {first:,} bytes, then {last:,}")
                runs.append(Run(items=ALL, seconds=found.seconds, client_cpu=found.cpu))
                growth.append(last / first)
    bar = Bar(
        f"resident after {ALL:,}, times after {FIRST:,}", round(max(growth), 3), MOST, "at most"
    )
    programs = {"nghttpd": output_of("nghttpd", "--version")}
    return Report(
        [Case(f"engine, {BODY_BYTES} bytes, with making the pages", runs)], [bar], programs
    )


def _send(job: Job) -> LongFinding:
    command = [sys.executable, "-m", "benchmarks.contenders.long_run", job.model_dump_json()]
    ended = subprocess.run(  # noqa: S603
        [*command, str(FIRST)], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return LongFinding.model_validate_json(ended.stdout)
