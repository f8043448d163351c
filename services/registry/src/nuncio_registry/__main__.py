"""The program `nuncio-registry`: serve, migrate, check-config, rotate-keys."""

import sys

from nuncio_registry.app import run
from nuncio_registry.config import Settings
from nuncio_registry.rotate_keys import ROTATE_KEYS
from nuncio_runtime.main import run_service


def main() -> int:
    """Run the command line; the exit code."""
    return run_service(
        sys.argv[1:],
        name="nuncio-registry",
        settings_type=Settings,
        package="nuncio_registry",
        run=run,
        commands=[ROTATE_KEYS],
    )


if __name__ == "__main__":
    sys.exit(main())
