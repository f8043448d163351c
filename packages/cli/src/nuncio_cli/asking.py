"""What commands that ask the registry have in common."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import typer

from nuncio_cli import output
from nuncio_cli.connect import clients, find_addresses, patiently
from nuncio_cli.stubs import RegistryStub

PAGE: Final = 1_000


def ask_registry(
    work: Callable[[RegistryStub], Awaitable[None]],
    *,
    registry: str,
    data: Path | None,
    ca_file: Path | None,
    as_json: bool,
) -> None:
    """Find the registry, do the work with it, and end the process with the right code."""
    addresses = find_addresses(data, registry=registry)

    async def run() -> None:
        async with clients(addresses, ca_file=ca_file) as services:
            await work(services.registry)

    output.complete(run(), as_json=as_json)


async def rows(
    call: Callable[[Any], Awaitable[Any]], request: Any, field: str, *, limit: int = 0
) -> AsyncIterator[Any]:
    """The rows of a paged list, page after page. field: what they are called in the response.

    limit: how many at most; 0: all. The request is used up.
    """
    given = 0
    while True:
        request.page_size = min(PAGE, limit - given) if limit else PAGE
        page = await patiently(lambda: call(request))
        found = getattr(page, field)
        for row in found:
            yield row
        given += len(found)
        request.page_token = page.next_page_token
        if not request.page_token or (limit and given >= limit):
            return


def confirm(question: str, *, yes: bool, as_json: bool) -> None:
    """Ask, unless that was answered before. Ends the command when the answer is no.

    Raises BadParameter where nobody can be asked.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter("cannot be undone: needs --yes where nobody can be asked")
    typer.confirm(question, abort=True, err=True)
