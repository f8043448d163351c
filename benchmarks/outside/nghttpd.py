"""nghttpd, the HTTP/2 server of nghttp2: it answers from files, and takes any method."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final, NamedTuple

from benchmarks.outside.identity import Identity
from nuncio_cli.errors import CliError

INSTALL: Final = "apt-get install nghttp2-server"
STREAMS: Final = 1_000
"""As many at a time as APNs allows. The windows stay at 65,535 bytes, which APNs has too."""
START_SECONDS: Final = 5.0
STOP_SECONDS: Final = 5.0


class NotInstalled(CliError):
    """A program that this needs is not installed."""

    reason = "NOT_INSTALLED"


class Nghttpd(NamedTuple):
    """A running one."""

    port: int
    pid: int


def is_installed() -> bool:
    """Whether it can be started."""
    return shutil.which("nghttpd") is not None


def free_port() -> int:
    """One that nothing listens on at this moment, for programs that cannot choose themselves."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def run_nghttpd(files: Path, identity: Identity) -> Iterator[Nghttpd]:
    """Answer from `files`, from start to end of the block. Raises NotInstalled."""
    if not is_installed():
        raise NotInstalled(detail=f"nghttpd: {INSTALL}")
    port = free_port()
    key, certificate = identity.key, identity.certificate
    command = ["nghttpd", str(port), str(key), str(certificate), "--address=127.0.0.1"]
    options = [f"--htdocs={files}", f"--max-concurrent-streams={STREAMS}"]
    with ended(
        subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)  # noqa: S603
    ) as process:
        await_port(port, process)
        yield Nghttpd(port, process.pid)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End the process with the block: ask, then insist."""
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Try until something listens, for programs that do not say so. Raises TimeoutError."""
    until = monotonic() + START_SECONDS
    while monotonic() < until and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.02)
    raise TimeoutError
