"""What commands that ask the registry have in common."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from nuncio_cli import output
from nuncio_cli.connect import clients, patiently
from nuncio_cli.reaching import Where
from nuncio_cli.stubs import RegistryStub

PAGE: Final = 1_000


def ask_registry(
    work: Callable[[RegistryStub], Awaitable[None]],
    *,
    where: Where,
    as_json: bool,
) -> None:
    """Do the work with the registry, and end the process with the right code."""

    async def run() -> None:
        async with clients(*where) as services:
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
