"""Fuzz the HTTP/2 engine with atheris: `make fuzz`. Takes the options of libFuzzer.

What must hold is what the tests' own fuzzing says: tests/unit/dispatcher/http2/plays.py. atheris
is no dependency of nuncio's; without it this says so and ends well.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the tests' support


def main() -> None:
    """Run until stopped, or until something breaks."""
    try:
        atheris: Any = import_module("atheris")
    except ModuleNotFoundError:
        print("skipped: atheris is not installed (.venv/bin/pip install atheris)")
        return
    with atheris.instrument_imports(include=["nuncio_dispatcher.http2"]):
        plays = import_module("tests.unit.dispatcher.http2.plays")

    def survives(data: bytes) -> None:
        plays.Play().run(plays.steps_of(data))

    atheris.Setup(sys.argv, survives)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
