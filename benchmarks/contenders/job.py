"""What a contender is asked to do, and what it found."""

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter, time
from typing import Final
from uuid import uuid4

import jwt
from pydantic import BaseModel

TOPIC: Final = "com.example.app"
TEAM_ID: Final = "TEAM567890"
KEY_ID: Final = "KEY4567890"


class Job(BaseModel):
    """Send so many requests to https://localhost:port/3/device/?<token>, from a process."""

    port: int
    trust: Path
    """The certificate authority."""
    token_key: Path
    """What bearer tokens are signed with."""
    requests: int
    warm_up: int
    body_bytes: int
    in_flight: int
    """Requests at a time, where the contender does not see to the windows itself."""

    def body(self) -> bytes:
        """JSON, as APNs wants it, of the right length."""
        frame = b'{"aps":{"alert":""}}'
        return frame[:-3] + b"x" * (self.body_bytes - len(frame)) + frame[-3:]

    def message(self) -> dict[str, object]:
        """The body, for clients that write the JSON themselves."""
        return {"aps": {"alert": "x" * (self.body_bytes - len(b'{"aps": {"alert": ""}}'))}}

    def bearer(self) -> str:
        """An authorization field of APNs."""
        claims = {"iss": TEAM_ID, "iat": int(time())}
        key = self.token_key.read_bytes()
        return "bearer " + jwt.encode(claims, key, algorithm="ES256", headers={"kid": KEY_ID})


class Finding(BaseModel):
    """What came of it."""

    accepted: int
    seconds: float
    cpu: float
    """Seconds of the process's own, user and system."""


class LongFinding(Finding):
    """Of a long run."""

    resident: tuple[int, int]
    """Bytes that the process held early, and at the end."""


Send = Callable[[Sequence[tuple[str, str]]], Awaitable[int]]
"""Sends a request for each of these tokens and ids; gives how many were accepted."""


def device_tokens(count: int) -> Iterator[str]:
    """Different ones, as long as Apple's. Behind the `?`, a server of files passes them over."""
    return (f"?{uuid4().hex}{uuid4().hex}" for _ in range(count))


def targets(count: int) -> list[tuple[str, str]]:
    """Tokens, and ids for their requests."""
    return [(token, str(uuid4())) for token in device_tokens(count)]


def job_of_this_process() -> Job:
    """The command line's."""
    return Job.model_validate_json(sys.argv[1])


async def measure(job: Job, send: Send) -> None:
    """Warm up, measure, print. What is sent is made up beforehand."""
    await send(targets(job.warm_up))
    everyone = targets(job.requests)
    cpu, clock = cpu_seconds(resource.RUSAGE_SELF), perf_counter()
    accepted = await send(everyone)
    finding = Finding(
        accepted=accepted,
        seconds=perf_counter() - clock,
        cpu=cpu_seconds(resource.RUSAGE_SELF) - cpu,
    )
    print(finding.model_dump_json())


async def send_some_at_a_time(
    everyone: Sequence[tuple[str, str]],
    one: Callable[[str, str], Awaitable[bool]],
    *,
    in_flight: int,
) -> int:
    """One request each, from so many tasks."""
    left = iter(everyone)

    async def work() -> int:
        return sum([await one(token, request_id) for token, request_id in left])

    return sum(await asyncio.gather(*(work() for _ in range(in_flight))))


def cpu_seconds(who: int) -> float:
    """User and system, of this process or of its ended children."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime
