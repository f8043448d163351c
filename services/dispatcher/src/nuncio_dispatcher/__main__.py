"""The program `nuncio-dispatcher`: serve, migrate, check-config."""

import sys

from nuncio_dispatcher.app import credential_problems, run
from nuncio_dispatcher.config import Settings
from nuncio_runtime.main import run_service


def main() -> int:
    """Run the command line; the exit code."""
    return run_service(
        sys.argv[1:],
        name="nuncio-dispatcher",
        settings_type=Settings,
        package="nuncio_dispatcher",
        run=run,
        more_problems=credential_problems,
    )


if __name__ == "__main__":
    sys.exit(main())
