"""gRPC's C core writes lines of its own to standard error: not on the command line."""

import os
from typing import Final

# The core reads it when it is loaded, so nothing here may load it.
_SILENCE: Final = ("GRPC_VERBOSITY", "NONE")


def be_quiet() -> None:
    """Before gRPC is loaded: silence it, unless somebody has said how loud it is to be."""
    os.environ.setdefault(*_SILENCE)


def is_silence(name: str, value: str) -> bool:
    """Whether the variable is what `be_quiet` sets, which is not for the logs of services."""
    return (name, value) == _SILENCE
