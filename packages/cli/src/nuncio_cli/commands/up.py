"""nuncio up: everything on this machine."""

from typing import Annotated

import typer

from nuncio_cli import output
from nuncio_cli.connect import PORTS, default_data_folder
from nuncio_cli.options import AsJson
from nuncio_cli.reaching import DataFolder

# Fixed, so that Web Push endpoints that were registered stay good.
SIMULATOR_PORTS = {"apns": 7421, "fcm": 7422, "webpush": 7423, "admin": 7424, "apns-sandbox": 7425}
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")]


def up(
    *,
    data: DataFolder = None,
    with_simulator: Annotated[
        bool,
        typer.Option(
            "--with-simulator/--no-simulator",
            help="Simulate APNs, FCM and Web Push too, with the app `demo` and a sample to import.",
        ),
    ] = False,
    registry_port: Port = PORTS["registry"],
    targeting_port: Port = PORTS["targeting"],
    dispatcher_port: Port = PORTS["dispatcher"],
    feedback_port: Port = PORTS["feedback"],
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take free ports for everything.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run all of nuncio on this machine until Ctrl-C.

    Starts an embedded PostgreSQL, migrates, and starts the four services as processes of their
    own; one that dies is started again. Everything is kept in the data folder: the database,
    keys, credentials (one TOML file per app), logs, and nuncio.json, by which the other commands
    find the suite. Ctrl-C drains: dispatcher, then targeting and feedback, then registry.

    Examples: `nuncio up`, `nuncio up --with-simulator --data /tmp/nuncio`, `nuncio up --json`.
    """
    # Imported here, as it would make every other command slow to start.
    from nuncio_cli.foreground import run_until_stopped
    from nuncio_cli.suite import SuitePlan

    ports = {
        "registry": registry_port,
        "targeting": targeting_port,
        "dispatcher": dispatcher_port,
        "feedback": feedback_port,
    }
    plan = SuitePlan(
        data=(data or default_data_folder()).absolute(),
        ports={} if free_ports else ports,
        with_simulator=with_simulator,
        simulator_ports={} if free_ports else SIMULATOR_PORTS,
    )
    output.complete(run_until_stopped(plan, as_json=as_json), as_json=as_json)
