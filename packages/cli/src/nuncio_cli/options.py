"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

AppId = Annotated[str, typer.Option("--app", help="The app.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Limit = Annotated[int, typer.Option(min=0, help="How many at most. 0: all.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
InstallationId = Annotated[str, typer.Argument(help="An installation's UUID.")]

MessageFile = Annotated[
    Path | None,
    typer.Option(
        help="JSON file with a message of the contract, overrides included (docs/messages.md); "
        "the other options go before it.",
        show_default=False,
    ),
]
