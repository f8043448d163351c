"""The `nuncio` command: its subcommands, and what all of them share."""

import typer

from nuncio_cli.commands import apps, audience, bench, demo, dispatch, send, tokens, up

EPILOG = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 a service cannot be reached. "
    "Results go to stdout, progress and errors to stderr; piped output is plain."
)

root = typer.Typer(
    name="nuncio",
    help="Push notifications on your own machines: tokens, audiences, dispatches, feedback.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # Locals may hold tokens.
)
root.command("up")(up.up)
root.command("demo")(demo.demo)
root.add_typer(apps.group, name="apps")
root.add_typer(tokens.group, name="tokens")
root.add_typer(audience.group, name="audience")
root.command("send")(send.send)
root.add_typer(dispatch.group, name="dispatch")
root.command("bench")(bench.bench)
