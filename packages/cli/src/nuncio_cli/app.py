"""The `nuncio` command: its subcommands, and what all of them share."""

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from nuncio_cli import output
from nuncio_cli.commands import (
    apps,
    audience,
    bench,
    demo,
    dispatch,
    hygiene,
    installations,
    lanes,
    privacy,
    restore,
    send,
    send_direct,
    stats,
    tokens,
    up,
    users,
    watch,
)

EPILOG = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 a service cannot be reached. "
    "Results go to stdout, progress and errors to stderr; piped output is plain."
)

# Boxes and colours are for people who look on.
ON_A_TERMINAL = sys.stdout.isatty() and sys.stderr.isatty()


class Commands(TyperGroup):
    """All commands. With --json wrong usage, too, is told as JSON."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        words = sys.argv[1:] if args is None else args
        as_json = any(word.partition("=")[0] == "--json" for word in words)
        try:
            result = super().main(
                args,
                prog_name=prog_name,
                complete_var=complete_var,
                standalone_mode=standalone_mode and not as_json,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except TyperException as error:
            if not standalone_mode:
                raise
            message = error.format_message()
            output.emit_error(
                kind="INVALID_ARGUMENT", reason="USAGE_INVALID", message=message, metadata={}
            )
            sys.exit(error.exit_code)
        return sys.exit(result) if standalone_mode else result


root = typer.Typer(
    cls=Commands,
    name="nuncio",
    help="Push notifications on your own machines: tokens, audiences, dispatches, feedback.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown" if ON_A_TERMINAL else None,
    pretty_exceptions_enable=ON_A_TERMINAL,
    pretty_exceptions_show_locals=False,  # Locals may hold tokens.
)
root.command("up")(up.up)
root.command("demo")(demo.demo)
root.add_typer(apps.group, name="apps")
root.add_typer(installations.group, name="installations")
installations.group.command("watch")(watch.watch)
root.add_typer(users.group, name="users")
root.add_typer(tokens.group, name="tokens")
tokens.group.command("restore")(restore.restore)
root.add_typer(audience.group, name="audience")
root.command("send")(send.send)
root.command("send-direct")(send_direct.send_direct)
root.add_typer(dispatch.group, name="dispatch")
root.command("lanes")(lanes.lanes)
root.add_typer(lanes.credentials, name="credentials")
root.command("stats")(stats.stats)
root.add_typer(hygiene.group, name="hygiene")
root.add_typer(privacy.erasures, name="erasures")
root.add_typer(privacy.audit, name="audit")
root.command("bench")(bench.bench)
