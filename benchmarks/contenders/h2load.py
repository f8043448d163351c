"""h2load, nghttp2's load generator in C: what the protocol costs when nothing else is done."""

import resource
import subprocess
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks.contenders.job import TOPIC, Finding, Job, cpu_seconds, device_tokens

STREAMS: Final = 1_000
"""Requests at a time. h2load sees to the windows itself."""


def run_h2load(job: Job, folder: Path) -> Finding:
    """Unlike the others it counts start and end of the process, and repeats one apns-id.

    Raises CalledProcessError.
    """
    body, addresses = folder / "body", folder / "addresses"
    body.write_bytes(job.body())
    lines = (
        f"https://localhost:{job.port}/3/device/{token}\n" for token in device_tokens(job.requests)
    )
    addresses.write_text("".join(lines))
    fields = {
        "authorization": job.bearer(),
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "1700000000",
        "apns-id": "00000000-0000-0000-0000-000000000000",
    }
    command = [
        "h2load", f"--requests={job.requests}",
        "--clients=1", f"--max-concurrent-streams={STREAMS}",
        f"--data={body}", f"--input-file={addresses}",
        *(f"--header={name}: {value}" for name, value in fields.items()),
    ]  # fmt: skip
    cpu, clock = cpu_seconds(resource.RUSAGE_CHILDREN), perf_counter()
    ended = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return Finding(
        accepted=_accepted(ended.stdout),
        seconds=perf_counter() - clock,
        cpu=cpu_seconds(resource.RUSAGE_CHILDREN) - cpu,
    )


def _accepted(report: str) -> int:
    """From `status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx`."""
    [line] = [line for line in report.splitlines() if line.startswith("status codes:")]
    return int(line.partition(":")[2].split()[0])
