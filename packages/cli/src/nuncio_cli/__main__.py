"""The program `nuncio`."""

from nuncio_cli.app import root


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    root(prog_name="nuncio")


if __name__ == "__main__":
    main()
