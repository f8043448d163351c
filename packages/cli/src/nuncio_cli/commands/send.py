"""nuncio send: one message to an audience, to installations or to users."""

import uuid
from typing import Annotated

import typer

from nuncio.dispatcher.v1.dispatch_pb2 import (
    DELIVERY_POLICY_AT_LEAST_ONCE,
    DELIVERY_POLICY_AT_MOST_ONCE,
)
from nuncio.dispatcher.v1.dispatcher_service_pb2 import CreateDispatchRequest
from nuncio.targeting.v1.audience_pb2 import Audience, InstallationSet, UserSet
from nuncio_cli import following, output
from nuncio_cli.connect import clients, patiently
from nuncio_cli.errors import ExitCode
from nuncio_cli.messages import message_from
from nuncio_cli.options import AppId, AsJson, MessageFile
from nuncio_cli.pointing import pointing_at
from nuncio_cli.reaching import Where, reaching


@reaching("dispatcher")
def send(
    *,
    app_id: AppId,
    audience: Annotated[str, typer.Option(help="An expression.", show_default=False)] = "",
    installation: Annotated[
        list[str] | None, typer.Option(help="An installation's UUID; may be repeated.")
    ] = None,
    user: Annotated[list[str] | None, typer.Option(help="An account; may be repeated.")] = None,
    title: str = "",
    body: str = "",
    link: Annotated[str, typer.Option(help="What a tap opens.")] = "",
    image: Annotated[str, typer.Option(help="https URL of a picture.")] = "",
    sound: Annotated[str, typer.Option(help='"default" is the system\'s.')] = "",
    entry: Annotated[
        list[str] | None, typer.Option("--entry", help="KEY=VALUE for the app; may be repeated.")
    ] = None,
    message: MessageFile = None,
    ttl: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seconds that the provider may keep trying. Default: the file's, or 3600.",
            show_default=False,
        ),
    ] = None,
    collapse_key: Annotated[str, typer.Option(help="A later message replaces this one.")] = "",
    quiet_priority: Annotated[
        bool, typer.Option("--quiet", help="Deliver when it costs little power.")
    ] = False,
    purpose: Annotated[
        str, typer.Option(help="Purpose that consent is asked for. Default: not asked for.")
    ] = "",
    campaign: Annotated[str, typer.Option(help="Groups dispatches for reports.")] = "",
    ref: Annotated[
        str, typer.Option(help="Your name for it: sending it again under the same name is safe.")
    ] = "",
    at_most_once: Annotated[
        bool, typer.Option("--at-most-once", help="Never send again what got no answer.")
    ] = False,
    test: Annotated[bool, typer.Option("--test", help="Never invalidates tokens.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Send a message. Prints the dispatch, which goes on even when this command ends.

    Examples: `nuncio send --app shop --audience 'topics:"news"' --title Hello --wait`,
    `nuncio send --app shop --user u-17 --title "Your parcel is here" --ref parcel-4711`,
    `nuncio send --app shop --audience 'all()' --message offer.json`.
    """
    if not (title or body or entry or message):
        raise typer.BadParameter("give one of --title, --body, --entry and --message")
    texts = {
        "title": title,
        "body": body,
        "link": link,
        "image": image,
        "sound": sound,
        "collapse_key": collapse_key,
    }
    pairs = _pairs(entry or [])
    request = CreateDispatchRequest(
        app_id=app_id,
        client_ref=ref or f"cli-{uuid.uuid4()}",
        campaign=campaign,
        audience=_audience(audience, installation or [], user or []),
        purpose=purpose,
        delivery_policy=(
            DELIVERY_POLICY_AT_MOST_ONCE if at_most_once else DELIVERY_POLICY_AT_LEAST_ONCE
        ),
        test=test,
    )

    async def work() -> None:
        request.message.CopyFrom(
            message_from(message, texts=texts, data=pairs, ttl=ttl, quiet=quiet_priority)
        )
        async with clients(*where) as services:
            with pointing_at(audience, quiet=as_json):
                answer = await patiently(lambda: services.dispatcher.CreateDispatch(request))
            last = answer.dispatch
            if wait:
                last = await following.watch(services.dispatcher, last.dispatch_id, as_json=as_json)
            elif as_json:
                output.emit(following.document(last))
            else:
                output.say(f"dispatch {last.dispatch_id}  {following.state(last)}")
        if wait and not following.succeeded(last):
            raise typer.Exit(ExitCode.FAILED)

    output.complete(work(), as_json=as_json)


def _audience(expression: str, installations: list[str], users: list[str]) -> Audience:
    if bool(expression) + bool(installations) + bool(users) != 1:
        raise typer.BadParameter("give one of --audience, --installation and --user")
    if expression:
        return Audience(expression=expression)
    if users:
        return Audience(users=UserSet(user_ids=users))
    try:
        ids = b"".join(uuid.UUID(one).bytes for one in installations)
    except ValueError as error:
        raise typer.BadParameter("--installation is not a UUID") from error
    return Audience(installations=InstallationSet(installation_ids=ids))


def _pairs(entries: list[str]) -> dict[str, str]:
    pairs = dict(entry.partition("=")[::2] for entry in entries)
    if any("=" not in entry for entry in entries):
        raise typer.BadParameter("--entry is KEY=VALUE")
    return pairs
