"""Runs a module as `python -m` does, and ends it when the process that started it has ended.

    python -m nuncio_cli.tethered nuncio_registry serve

Standard input is a pipe whose other end only the starter holds.
"""

import runpy
import sys
from typing import Final

from nuncio_runtime.tether import end_with_starter

STOP_SECONDS: Final = 30.0


def main() -> None:
    """Run the module that is named first, with the arguments that follow."""
    end_with_starter(grace=STOP_SECONDS)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
