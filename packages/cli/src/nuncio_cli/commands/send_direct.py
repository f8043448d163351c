"""nuncio send-direct: one message to one destination, past the registry."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nuncio.common.v1.provider_pb2 import ENVIRONMENT_PRODUCTION, ENVIRONMENT_SANDBOX
from nuncio.dispatcher.v1.dispatcher_service_pb2 import (
    ApnsDestination,
    Destination,
    FcmDestination,
    SendDirectRequest,
    SendDirectResponse,
)
from nuncio.feedback.v1.outcome_pb2 import VERDICT_ACCEPTED, Verdict
from nuncio_cli import output
from nuncio_cli.connect import clients
from nuncio_cli.errors import ExitCode
from nuncio_cli.messages import STDIN, message_from, read
from nuncio_cli.names import word
from nuncio_cli.options import AppId, AsJson, MessageFile
from nuncio_cli.reaching import Where, reaching

ANSWER_SECONDS: Final = 60.0
"""Longer than a lane takes by default until it says that no answer has come."""


@reaching("dispatcher")
def send_direct(
    *,
    app_id: AppId,
    to: Annotated[
        Path | None,
        typer.Option(
            help='JSON file with a Destination, or "-" for standard input. Tokens and '
            "subscriptions are given this way, so that no process list shows them.",
            show_default=False,
        ),
    ] = None,
    topic: Annotated[str, typer.Option(help="An FCM topic.")] = "",
    condition: Annotated[str, typer.Option(help="A condition over FCM topics.")] = "",
    channel: Annotated[str, typer.Option(help="The id of an APNs broadcast channel.")] = "",
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="The channel is one of APNs' sandbox.")
    ] = False,
    title: str = "",
    body: str = "",
    message: MessageFile = None,
    request_id: Annotated[
        str, typer.Option(help="The UUID of an attempt that is repeated. Default: a new one.")
    ] = "",
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Send one message to one destination, once. Prints the provider's verdict.

    Nothing is stored, tried again or invalidated. Exit code 1 unless it was accepted.

    Examples: `nuncio send-direct --app shop --topic news --title Hello`,
    `echo '{"apns": {"token": "5d…9e"}}' | nuncio send-direct --app shop --to - --message m.json`.
    """

    async def work() -> None:
        request = SendDirectRequest(
            app_id=app_id,
            request_id=request_id,
            message=message_from(message, texts={"title": title, "body": body}),
            destination=_destination(to, topic, condition, channel, sandbox=sandbox),
        )
        async with clients(*where) as services:
            answer = await services.dispatcher.SendDirect(request, timeout=ANSWER_SECONDS)
        if as_json:
            output.emit(_document(answer))
        else:
            output.say(line_of(answer))
        if answer.verdict != VERDICT_ACCEPTED:
            raise typer.Exit(ExitCode.FAILED)

    if bool(to) + bool(topic) + bool(condition) + bool(channel) != 1:
        raise typer.BadParameter("give one of --to, --topic, --condition and --channel")
    if sandbox and not channel:
        raise typer.BadParameter("only goes with --channel", param_hint="--sandbox")
    if to == message == STDIN:
        raise typer.BadParameter("standard input is either --to or --message")
    output.complete(work(), as_json=as_json)


def _destination(
    file: Path | None, topic: str, condition: str, channel: str, *, sandbox: bool
) -> Destination:
    if file is not None:
        return read(file, Destination, secret=True)
    if topic:
        return Destination(fcm=FcmDestination(topic=topic))
    if condition:
        return Destination(fcm=FcmDestination(condition=condition))
    environment = ENVIRONMENT_SANDBOX if sandbox else ENVIRONMENT_PRODUCTION
    return Destination(apns=ApnsDestination(channel_id=channel, environment=environment))


def _document(answer: SendDirectResponse) -> dict[str, Any]:
    document: dict[str, Any] = {
        "verdict": word(Verdict, answer.verdict, "VERDICT_"),
        "reason": answer.reason,
        "request_id": answer.request_id,
    }
    if answer.HasField("dead_since"):
        document["dead_since"] = answer.dead_since.ToJsonString()
    if answer.HasField("retry_after"):
        document["retry_after_seconds"] = answer.retry_after.ToTimedelta().total_seconds()
    return document


def line_of(answer: SendDirectResponse) -> str:
    """An answer for people."""
    document = _document(answer)
    parts = [document["verdict"], document["reason"]]
    if "dead_since" in document:
        parts.append(f"since {document['dead_since']}")
    if "retry_after_seconds" in document:
        parts.append(f"try again after {document['retry_after_seconds']:g} s")
    return "  ".join(part for part in (*parts, f"request {answer.request_id}") if part)
