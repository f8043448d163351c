"""Runs a module as `python -m` does, and ends it when the process that started it has ended.

    python -m nuncio_cli.tethered nuncio_registry serve

Standard input is a pipe whose other end only the starter holds. However the starter ends, by
kill -9 too, the kernel closes that end, and the module is told to stop.
"""

import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

STOP_SECONDS: Final = 30.0


def main() -> None:
    """Run the module that is named first, with the arguments that follow."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_starter() -> None:
    """Wait for the end of standard input; then ask this process to end, and after a while make it.

    Whoever holds the other end writes nothing.
    """
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
