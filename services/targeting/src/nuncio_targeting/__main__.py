"""nuncio-targeting serve | migrate | check-config."""

import sys

from nuncio_runtime.main import run_service
from nuncio_targeting.app import run
from nuncio_targeting.config import Settings


def main() -> int:
    """Run the command line; returns the exit code."""
    return run_service(
        sys.argv[1:],
        name="nuncio-targeting",
        settings_type=Settings,
        package="nuncio_targeting",
        run=run,
    )


if __name__ == "__main__":
    sys.exit(main())
