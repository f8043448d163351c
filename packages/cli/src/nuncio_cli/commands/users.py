"""nuncio users: reachability, export, erase, merge."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nuncio.common.v1.provider_pb2 import Platform, Provider
from nuncio.registry.v1.installation_pb2 import ReachabilityChannel, UserReachability
from nuncio.registry.v1.registry_service_pb2 import (
    EraseUserRequest,
    ExportUserRequest,
    GetUserReachabilityRequest,
    MergeUsersRequest,
)
from nuncio_cli import output
from nuncio_cli.asking import ask_registry
from nuncio_cli.connect import patiently
from nuncio_cli.demo.funnel import suppressions
from nuncio_cli.documents import document
from nuncio_cli.erasing import erase_for_good
from nuncio_cli.files import fresh_private
from nuncio_cli.names import word
from nuncio_cli.options import AppId, AsJson, Yes
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.stubs import RegistryStub

group = typer.Typer(help="Accounts of the caller's own system.", no_args_is_help=True)

UserId = Annotated[str, typer.Argument(help="The account.")]


@group.command()
@reaching("registry")
def reachability(
    user_ids: Annotated[list[str], typer.Argument(help="The accounts, at most 100.")],
    *,
    app_id: AppId,
    purpose: Annotated[
        str, typer.Option(help="Purpose that consent is asked for. Default: not asked for.")
    ] = "",
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show which channels reach users now, and why the others do not.

    With --json: one object per user and line.

    Example: `nuncio users reachability u-17 u-18 --app shop --purpose marketing`.
    """
    request = GetUserReachabilityRequest(app_id=app_id, user_ids=user_ids, purpose=purpose)

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.GetUserReachability(request))
        if as_json:
            for user in answer.users:
                output.emit(document(user))
        else:
            columns = ("user", "channel", "reachable#", "not reachable", "last seen")
            output.table(columns, [row for user in answer.users for row in _rows(user)])

    ask_registry(work, where=where, as_json=as_json)


@group.command()
@reaching("registry")
def export(
    user_id: UserId,
    *,
    app_id: AppId,
    file: Annotated[
        Path | None,
        typer.Option("--output", help="Write it there, for the owner's eyes. Default: stdout."),
    ] = None,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Give everything that is kept of a user, as one JSON document.

    It is described in docs/privacy.md; tokens are fingerprints. --json changes how errors look.

    Example: `nuncio users export u-17 --app shop --output u-17.json`.
    """
    request = ExportUserRequest(app_id=app_id, user_id=user_id)

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.ExportUser(request))
        text = answer.document.decode()
        if file is None:
            sys.stdout.write(text + "\n")
            return
        with fresh_private(file) as written:
            written.write(text + "\n")
        output.notice(f"written to {file}")

    ask_registry(work, where=where, as_json=as_json)


@group.command()
@reaching("registry")
def erase(
    user_id: UserId,
    *,
    app_id: AppId,
    yes: Yes = False,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Erase everything that is kept of a user, all installations included, and show the proof.

    Cannot be undone. Doing it again finds nothing. See docs/privacy.md.

    Example: `nuncio users erase u-17 --app shop`.
    """
    request = EraseUserRequest(app_id=app_id, user_id=user_id)
    erase_for_good(
        "Erase the user with all installations and their history?",
        lambda stub: stub.EraseUser(request),
        yes=yes,
        where=where,
        as_json=as_json,
    )


@group.command()
@reaching("registry")
def merge(
    from_user_id: Annotated[str, typer.Argument(help="The account that is given up.")],
    into_user_id: Annotated[str, typer.Argument(help="The account that stays.")],
    *,
    app_id: AppId,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Give all installations of one user to another, as when two accounts become one.

    Safe to repeat. See docs/identity.md.

    Example: `nuncio users merge u-17 u-42 --app shop`.
    """
    request = MergeUsersRequest(app_id=app_id, from_user_id=from_user_id, into_user_id=into_user_id)

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.MergeUsers(request))
        if as_json:
            output.emit(document(answer))
        else:
            output.say(f"installations moved: {output.number(answer.moved)}")

    ask_registry(work, where=where, as_json=as_json)


def _rows(user: UserReachability) -> list[tuple[object, ...]]:
    if not user.channels:
        return [(user.user_id, "none", 0, "", "")]
    return [
        (
            user.user_id,
            _channel(channel),
            channel.reachable,
            ", ".join(f"{n} {reason}" for reason, n in suppressions(channel.suppressed).items()),
            channel.last_seen.ToJsonString(),
        )
        for channel in user.channels
    ]


def _channel(channel: ReachabilityChannel) -> str:
    provider = word(Provider, channel.provider, "PROVIDER_")
    return f"{provider} to {word(Platform, channel.platform, 'PLATFORM_')}"
