"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

SERVICES_PANEL = "Where the services are"

AppId = Annotated[str, typer.Option("--app", help="The app.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="NUNCIO_DATA",
        help="Data folder of `nuncio up`. Default: /var/lib/nuncio for root, "
        "~/.local/share/nuncio for others.",
        show_default=False,
        rich_help_panel=SERVICES_PANEL,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="NUNCIO_CA_FILE",
        exists=True,
        dir_okay=False,
        help="PEM file with the authorities of the services' certificates. Default: no TLS.",
        show_default=False,
        rich_help_panel=SERVICES_PANEL,
    ),
]
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


def _address(name: str, port: int) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        f"--{name}",
        envvar=f"NUNCIO_{name.upper()}",
        help=f"Host and port of {name}. Default: the running suite's, or 127.0.0.1:{port}.",
        show_default=False,
        rich_help_panel=SERVICES_PANEL,
    )
    return option


RegistryAddress = Annotated[str, _address("registry", 7411)]
TargetingAddress = Annotated[str, _address("targeting", 7412)]
DispatcherAddress = Annotated[str, _address("dispatcher", 7413)]
