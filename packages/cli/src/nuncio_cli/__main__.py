"""The program `nuncio`."""

import os


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    # gRPC's C core writes lines of its own to standard error, and reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from nuncio_cli.app import root

    root(prog_name="nuncio")


if __name__ == "__main__":
    main()
