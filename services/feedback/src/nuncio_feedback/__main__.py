"""nuncio-feedback serve | migrate | check-config."""

import sys

from nuncio_feedback.app import run
from nuncio_feedback.config import Settings
from nuncio_runtime.main import run_service


def main() -> int:
    """Run the command line; returns the exit code."""
    return run_service(
        sys.argv[1:],
        name="nuncio-feedback",
        settings_type=Settings,
        package="nuncio_feedback",
        run=run,
    )


if __name__ == "__main__":
    sys.exit(main())
