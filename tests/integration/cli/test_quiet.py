"""Standard error is for what the command itself says."""

import os
import subprocess
import sys

import pytest

# gRPC's C core complains about a name that it does not know as soon as it is loaded.
NOISY = {"GRPC_TRACE": "nonsense"}
CLOSED = "127.0.0.1:1"


def lanes(**environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    return subprocess.run(
        [sys.executable, "-m", "nuncio_cli", "lanes", "--dispatcher", CLOSED],
        env={**inherited, **NOISY, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.timeout(60)
def test_only_the_commands_own_error_appears() -> None:
    done = lanes()
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert CLOSED in line


@pytest.mark.timeout(60)
def test_whoever_asks_for_the_core_to_speak_hears_it() -> None:
    assert "Unknown tracer" in lanes(GRPC_VERBOSITY="ERROR").stderr
