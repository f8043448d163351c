"""The engine for a long time: how much memory it holds early, and at the end."""

import resource
import sys
from time import perf_counter
from typing import Final

import psutil
import uvloop

from benchmarks.contenders.job import LongFinding, cpu_seconds, job_of_this_process, targets
from benchmarks.contenders.with_engine import Sender

PORTION: Final = 20_000
"""Requests that are made up at a time, so that they are not what is measured."""


async def main(first: int) -> None:
    """Do the job. first: how many requests go before memory is looked at for the first time."""
    job = job_of_this_process()
    sender, process = Sender(job), psutil.Process()
    resident, done, accepted = [], 0, 0
    cpu, clock = cpu_seconds(resource.RUSAGE_SELF), perf_counter()
    while done < job.requests:
        accepted += await sender.send(targets(PORTION))
        done += PORTION
        if done in (first, job.requests):
            resident.append(process.memory_info().rss)
    seconds, cpu = perf_counter() - clock, cpu_seconds(resource.RUSAGE_SELF) - cpu
    await sender.aclose()
    early, late = resident
    finding = LongFinding(accepted=accepted, seconds=seconds, cpu=cpu, resident=(early, late))
    print(finding.model_dump_json())


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[2])))
