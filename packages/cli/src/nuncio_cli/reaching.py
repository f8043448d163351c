"""The options that say where the services are, in one place for all commands."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import typer

from nuncio_cli.connect import PORTS, Addresses, find_addresses
from nuncio_runtime.tls import ClientTls

PANEL: Final = "Where the services are"

Command: TypeAlias = Callable[..., None]

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="NUNCIO_DATA",
        help="Data folder of `nuncio up`. Default: /var/lib/nuncio for root, "
        "~/.local/share/nuncio for others.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


class Where(NamedTuple):
    """Where the services are, and the TLS files to reach them with."""

    addresses: Addresses
    tls: ClientTls


def reaching(*services: str) -> Callable[[Command], Command]:
    """Give a command the options for these services. It takes them together, as `where`."""

    def decorate(command: Command) -> Command:
        own = inspect.signature(command)
        options = [*map(_address, services), *_SHARED]
        parameters = [
            each
            for parameter in own.parameters.values()
            for each in (options if parameter.name == "where" else [parameter])
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            places = {name: given.pop(name) for name in services}
            addresses = find_addresses(given.pop("data"), **places)
            tls = ClientTls(*(given.pop(name) for name in ClientTls._fields))
            command(**given, where=Where(addresses, tls))

        # Typer makes a command's options from its signature.
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _option(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _address(service: str) -> inspect.Parameter:
    option = typer.Option(
        f"--{service}",
        envvar=f"NUNCIO_{service.upper()}",
        help=f"Host and port of {service}. Default: the running suite's, or "
        f"127.0.0.1:{PORTS[service]}.",
        show_default=False,
        rich_help_panel=PANEL,
    )
    return _option(service, Annotated[str, option], "")


def _file(name: str, help_: str) -> inspect.Parameter:
    """A PEM file; name: of the field of ClientTls."""
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        envvar=f"NUNCIO_{name.upper()}",
        exists=True,
        dir_okay=False,
        help=help_,
        show_default=False,
        rich_help_panel=PANEL,
    )
    return _option(name, Annotated[Path | None, option], None)


_SHARED: Final = (
    _option("data", DataFolder, None),
    _file(
        "ca_file", "PEM file with the authorities of the services' certificates. Default: no TLS."
    ),
    _file("certificate_file", "PEM file with our certificate, for services that ask for one."),
    _file("key_file", "PEM file with the unencrypted private key of our certificate."),
)
