"""The command line: nuncio-simulator serve."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from pydantic import ValidationError

from nuncio_simulator.app import run
from nuncio_simulator.contract import Shares
from nuncio_simulator.options import Options

command = typer.Typer(help="APNs, FCM and Web Push on this machine.", no_args_is_help=True)
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")]
Share = Annotated[float, typer.Option(min=0, max=1)]
SHARES = Shares()


@command.callback()
def _keep_subcommands() -> None:
    """APNs, FCM and Web Push on this machine: they validate, and obey a script."""


@command.command()
def serve(
    *,
    folder: Annotated[
        Path, typer.Option(help="Where certificates, keys and simulator.json are kept.")
    ] = Path("simulator"),
    apns_port: Port = 0,
    apns_sandbox_port: Port = 0,
    fcm_port: Port = 0,
    webpush_port: Port = 0,
    admin_port: Port = 0,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**64 - 1, help="Decides tokens and dice. Default: as kept, or new."
        ),
    ] = None,
    dead_share: Share = SHARES.dead,
    dead_before_share: Share = SHARES.dead_before,
    throttled_share: Share = SHARES.throttled,
    slow_share: Share = SHARES.slow,
    apns_topic: Annotated[
        list[str] | None, typer.Option(help="A bundle id; may be repeated.")
    ] = None,
    apns_streams: Annotated[
        int, typer.Option(min=1, help="Streams per connection once a valid JWT was seen.")
    ] = 1_000,
    apns_streams_fall: Annotated[
        bool, typer.Option(help="Back to one stream after a refusal, until the next success.")
    ] = False,
    apns_bad_tokens: Annotated[
        int, typer.Option(min=0, help="BadDeviceToken answers that end a connection; 0: none do.")
    ] = 0,
    apns_documented_spelling: Annotated[
        bool, typer.Option(help="BadEnvironmentKeyIdInToken, not …KeyInToken.")
    ] = False,
    fuzzy_seconds: Annotated[
        float, typer.Option(min=0, help="How long a token is accepted after its death.")
    ] = 0.0,
    fcm_project: str = "nuncio-simulator",
    access_token_seconds: Annotated[int, typer.Option(min=1)] = 3_600,
    fcm_per_minute: Annotated[
        int, typer.Option(min=0, help="Requests a minute for the project; 0: any number.")
    ] = 0,
    fcm_max_age: Annotated[
        float, typer.Option(min=0.01, help="Seconds until GOAWAY max_age.")
    ] = 3_600.0,
    fcm_idle: Annotated[
        float, typer.Option(min=0.01, help="Seconds without a request until session_timeout.")
    ] = 240.0,
    fcm_pings: Annotated[
        int, typer.Option(min=1, help="PINGs without a request until too_many_pings.")
    ] = 3,
    webpush_max_ttl: Annotated[
        int, typer.Option(min=0, help="Seconds that a longer TTL is cut down to.")
    ] = 2_592_000,
    webpush_http1_only: bool = False,
) -> None:
    """Serve on loopback until SIGTERM or SIGINT.

    Once everything listens, one line of JSON on standard output says {"event": "ready", …}, and
    simulator.json in the folder holds all that a client needs.
    """
    options = Options(
        folder=folder.absolute(),
        apns_port=apns_port,
        apns_sandbox_port=apns_sandbox_port,
        fcm_port=fcm_port,
        webpush_port=webpush_port,
        admin_port=admin_port,
        seed=seed,
        shares=_shares(dead_share, dead_before_share, throttled_share, slow_share),
        apns_topics=tuple(apns_topic or ["com.example.nuncio"]),
        apns_streams=apns_streams,
        apns_streams_fall=apns_streams_fall,
        apns_bad_tokens=apns_bad_tokens,
        apns_documented_spelling=apns_documented_spelling,
        fuzzy_seconds=fuzzy_seconds,
        fcm_project=fcm_project,
        access_token_seconds=access_token_seconds,
        fcm_per_minute=fcm_per_minute,
        fcm_max_age=fcm_max_age,
        fcm_idle=fcm_idle,
        fcm_pings=fcm_pings,
        webpush_max_ttl=webpush_max_ttl,
        webpush_http1_only=webpush_http1_only,
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(options, _announce))
    except OSError as error:
        typer.echo(f"cannot serve: {error.strerror or error}", err=True)
        raise typer.Exit(1) from error


def _shares(dead: float, dead_before: float, throttled: float, slow: float) -> Shares:
    try:
        return Shares(dead=dead, dead_before=dead_before, throttled=throttled, slow=slow)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from error


def _announce(description: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"event": "ready", **description}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry point of nuncio-simulator."""
    command()


if __name__ == "__main__":
    main()
