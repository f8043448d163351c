"""The program `nuncio`."""

from nuncio_cli.quiet import be_quiet


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    be_quiet()
    from nuncio_cli.app import root

    root(prog_name="nuncio")


if __name__ == "__main__":
    main()
