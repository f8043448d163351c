"""A suite as an operator runs it: the real command, four real processes, the simulator."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.processes import end, killed_after

START_SECONDS: Final = 90
STOP_SECONDS: Final = 60
SERVICES: Final = ("registry", "targeting", "dispatcher", "feedback")
NUNCIO: Final = (sys.executable, "-m", "nuncio_cli")


@dataclass(frozen=True)
class RunningSuite:
    """A suite that said that it is ready."""

    data: Path
    addresses: dict[str, str]
    simulator: str
    """The simulator's admin interface."""
    process: "subprocess.Popen[Any]"
    error_file: Path
    """Its standard error."""

    def errors(self) -> str:
        """What it said so far on standard error."""
        return self.error_file.read_text()

    def nuncio(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command against it."""
        return nuncio(*arguments, "--data", str(self.data))

    def json(self, *arguments: str) -> Any:
        """The last JSON document that a command printed. It has to succeed."""
        done = self.nuncio(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def state(self) -> Any:
        """nuncio.json."""
        return json.loads((self.data / "nuncio.json").read_bytes())

    def pid(self, name: str) -> int:
        """The process of a service, or of the simulator."""
        return int(self.state()["children"][name][0])

    def logs(self) -> str:
        """Everything that its processes have written, PostgreSQL's included."""
        files = [*(self.data / "logs").iterdir(), self.data / "postgres" / "log"]
        return "".join(file.read_text(errors="replace") for file in files)


def nuncio(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*NUNCIO, *arguments], capture_output=True, text=True, check=False, timeout=110
    )


@contextmanager
def running_suite(data: Path) -> Iterator[RunningSuite]:
    """`nuncio up` on the folder, ended by Ctrl-C unless it was ended before."""
    options = ("--data", str(data), "--with-simulator", "--free-ports", "--json")
    errors = data.parent / f"{data.name}.stderr"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [*NUNCIO, "up", *options], stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            with killed_after(process, START_SECONDS):
                line = process.stdout.readline()
            assert line, errors.read_text()
            ready = json.loads(line)
            addresses = {name: ready[name] for name in SERVICES}
            yield RunningSuite(data, addresses, ready["simulator"], process, errors)
        finally:
            end(process, within=STOP_SECONDS, by=signal.SIGINT)


def wait_until(holds: Callable[[], bool], *, what: str, seconds: float = 30) -> None:
    """Look again and again, for things that nobody announces."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"still not: {what}"
        time.sleep(0.05)


def is_serving(address: str, service: str = "") -> bool:
    """Whether the server at the address says that the service takes calls."""
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
