"""The HTTP/2 engine: CPU per request, beside the clients that one would use without it."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.contenders.job import Job
from benchmarks.contenders.line_up import AIOAPNS, ENGINE, Contender, line_up, output_of
from benchmarks.harness import Bar, Case, Note, Report, Run
from benchmarks.outside.identity import Identity, make_identity
from benchmarks.outside.nghttpd import run_nghttpd

SIZES: Final = {200: 12.0, 2_000: 20.0}
"""Bytes of a body, and how many microseconds the engine may take for a request with it."""
WINDOW: Final = 65_535
"""Bytes under way that nghttpd allows, and APNs too."""
MOST_IN_FLIGHT: Final = 100
TIMES_AIOAPNS: Final = 25.0
"""How much more aioapns has to take."""
WARM_UP: Final = 1_000


async def run(*, repeat: int, note: Note) -> Report:
    """In each run all contenders take turns, for each size of body, against one nghttpd.

    Raises NotInstalled.
    """
    found = await line_up()
    for line in found.absent:
        note(line)
    runs: dict[tuple[str, int], list[Run]] = {}
    with TemporaryDirectory() as name:
        identity = make_identity(Path(name))
        with run_nghttpd(files_of_apns(Path(name)), identity) as server:
            for number in range(1, repeat + 1):
                note(f"run {number} of {repeat}")
                for size in SIZES:
                    for each in found.contenders:
                        job = _job(each, size, port=server.port, identity=identity)
                        runs.setdefault((each.name, size), []).append(await _measure(each, job))
    cases = {key: Case(f"{key[0]}, {key[1]:,} bytes", each) for key, each in runs.items()}
    programs = {**found.programs, "nghttpd": output_of("nghttpd", "--version")}
    return Report(list(cases.values()), _bars(cases), programs, found.absent)


def files_of_apns(folder: Path) -> Path:
    """What nghttpd serves: an empty answer, as APNs gives it."""
    files = folder / "files"
    (files / "3" / "device").mkdir(parents=True)
    (files / "3" / "device" / "index.html").touch()
    return files


def _job(contender: Contender, size: int, *, port: int, identity: Identity) -> Job:
    return Job(
        port=port,
        trust=identity.certificate,
        token_key=identity.token_key,
        requests=contender.requests,
        warm_up=WARM_UP,
        body_bytes=size,
        # nghttpd gives a window back by halves. aioapns loses requests when one is full, so it is
        # kept from getting there.
        in_flight=min(MOST_IN_FLIGHT, WINDOW // 2 // size),
    )


async def _measure(contender: Contender, job: Job) -> Run:
    finding = await asyncio.to_thread(contender.run, job)
    assert finding.accepted == job.requests, f"{contender.name}: not all requests were accepted"
    return Run(items=finding.accepted, seconds=finding.seconds, client_cpu=finding.cpu)


def _bars(cases: dict[tuple[str, int], Case]) -> list[Bar]:
    bars = []
    for size, most in SIZES.items():
        engine = cases[ENGINE, size].cpu_us_per_item
        times = cases[AIOAPNS, size].cpu_us_per_item / engine
        bars += [
            Bar(f"engine, {size:,} bytes, µs of CPU", round(engine, 2), most, "at most"),
            Bar(f"aioapns, {size:,} bytes, times the engine", round(times, 1), TIMES_AIOAPNS),
        ]
    return bars
