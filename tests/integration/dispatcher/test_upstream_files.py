"""TLS files of calls to other services that cannot be used: told before anything starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.certificates import Authority

# A program takes a while to start on a busy machine.
pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_files_that_cannot_be_used_are_told_with_their_variables(
    command: str, tmp_path: Path
) -> None:
    tls = Authority(tmp_path).issue("dispatcher")
    missing = tmp_path / "missing.pem"
    environment = {
        "NUNCIO_DISPATCHER_TARGETING__CA_FILE": str(missing),
        "NUNCIO_DISPATCHER_TARGETING__CERTIFICATE_FILE": str(missing),
        "NUNCIO_DISPATCHER_TARGETING__KEY_FILE": str(missing),
        "NUNCIO_DISPATCHER_FEEDBACK__CA_FILE": str(tls.ca_file),
        "NUNCIO_DISPATCHER_FEEDBACK__CERTIFICATE_FILE": str(tls.certificate_file),
        "NUNCIO_DISPATCHER_FEEDBACK__KEY_FILE": str(tls.ca_file),
    }
    inherited = {name: value for name, value in os.environ.items() if "NUNCIO_" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "nuncio_dispatcher", command],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    *of_targeting, of_feedback = done.stderr.splitlines()
    prefix = "nuncio-dispatcher: NUNCIO_DISPATCHER_"
    assert of_targeting == [
        f"{prefix}TARGETING__{name}_FILE {missing}: No such file or directory"
        for name in ("CA", "CERTIFICATE", "KEY")
    ]
    assert of_feedback.startswith(f"{prefix}FEEDBACK__KEY_FILE {tls.ca_file}: it is not the")


@pytest.mark.parametrize("form", ["--list", "--json"])
def test_no_value_is_shown_while_a_file_cannot_be_used(form: str, tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if "NUNCIO_" not in name}
    missing = tmp_path / "missing.pem"
    done = subprocess.run(
        [sys.executable, "-m", "nuncio_dispatcher", "check-config", form],
        env=inherited
        | {
            "NUNCIO_DISPATCHER_TARGETING__CA_FILE": str(missing),
            "NUNCIO_DISPATCHER_CREDENTIALS": "pasted-by-mistake",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert str(missing) in done.stdout + done.stderr
    assert "pasted-by-mistake" not in done.stdout + done.stderr


def test_whoever_stops_reading_the_settings_is_told_nothing() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "nuncio_dispatcher", "check-config", "--list"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")
