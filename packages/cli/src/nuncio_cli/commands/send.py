"""nuncio send: one message to an audience, to installations or to users."""

import uuid
from typing import Annotated

import typer

from nuncio.dispatcher.v1.dispatch_pb2 import (
    DELIVERY_POLICY_AT_LEAST_ONCE,
    DELIVERY_POLICY_AT_MOST_ONCE,
    DeliveryPolicy,
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

Expression = Annotated[str, typer.Option(help="An expression.", show_default=False)]
Installations = Annotated[
    list[str] | None, typer.Option(help="An installation's UUID; may be repeated.")
]
Users = Annotated[list[str] | None, typer.Option(help="An account; may be repeated.")]
Link = Annotated[str, typer.Option(help="What a tap opens.")]
Image = Annotated[str, typer.Option(help="https URL of a picture.")]
Sound = Annotated[str, typer.Option(help='"default" is the system\'s.')]
Entries = Annotated[
    list[str] | None, typer.Option("--entry", help="KEY=VALUE for the app; may be repeated.")
]
TimeToLive = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Seconds that the provider may keep trying. Default: the file's, or 3600.",
        show_default=False,
    ),
]
CollapseKey = Annotated[str, typer.Option(help="A later message replaces this one.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Deliver when it costs little power.")]
Purpose = Annotated[
    str, typer.Option(help="Purpose that consent is asked for. Default: not asked for.")
]
Campaign = Annotated[str, typer.Option(help="Groups dispatches for reports.")]
Ref = Annotated[
    str, typer.Option(help="Your name for it: sending it again under the same name is safe.")
]
AtMostOnce = Annotated[
    bool, typer.Option("--at-most-once", help="Never send again what got no answer.")
]
Test = Annotated[bool, typer.Option("--test", help="Never invalidates tokens.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Follow it to its end, and say which lanes do not send.")
]


@reaching("dispatcher")
def send(
    *,
    app_id: AppId,
    audience: Expression = "",
    installation: Installations = None,
    user: Users = None,
    title: str = "",
    body: str = "",
    link: Link = "",
    image: Image = "",
    sound: Sound = "",
    entry: Entries = None,
    message: MessageFile = None,
    ttl: TimeToLive = None,
    collapse_key: CollapseKey = "",
    quiet_priority: Quiet = False,
    purpose: Purpose = "",
    campaign: Campaign = "",
    ref: Ref = "",
    at_most_once: AtMostOnce = False,
    test: Test = False,
    wait: Wait = False,
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
    texts = {"title": title, "body": body, "link": link, "image": image, "sound": sound}
    texts["collapse_key"] = collapse_key
    pairs = _pairs(entry or [])
    request = CreateDispatchRequest(
        app_id=app_id,
        client_ref=ref or f"cli-{uuid.uuid4()}",
        campaign=campaign,
        audience=_audience(audience, installation or [], user or []),
        purpose=purpose,
        delivery_policy=_policy(at_most_once=at_most_once),
        test=test,
    )

    async def work() -> None:
        content = message_from(message, texts=texts, data=pairs, ttl=ttl, quiet=quiet_priority)
        request.message.CopyFrom(content)
        await _send(request, where, wait=wait, as_json=as_json)

    output.complete(work(), as_json=as_json)


async def _send(request: CreateDispatchRequest, where: Where, *, wait: bool, as_json: bool) -> None:
    """Store the dispatch, say so at once, and follow it if that is wanted."""
    async with clients(*where) as services:
        with pointing_at(request.audience.expression, quiet=as_json):
            answer = await patiently(lambda: services.dispatcher.CreateDispatch(request))
        created = answer.dispatch
        following.announce(created, as_json=as_json)
        if not wait:
            return
        last = await following.watch(services.dispatcher, created, as_json=as_json)
    if not following.succeeded(last):
        raise typer.Exit(ExitCode.FAILED)


def _policy(*, at_most_once: bool) -> DeliveryPolicy.ValueType:
    return DELIVERY_POLICY_AT_MOST_ONCE if at_most_once else DELIVERY_POLICY_AT_LEAST_ONCE


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
