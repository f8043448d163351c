"""What commands that erase have in common: they ask first, and show a proof at the end."""

import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

import typer

from nuncio.registry.v1.privacy_pb2 import ErasureRecord
from nuncio_cli import privacy_view
from nuncio_cli.asking import ask_registry
from nuncio_cli.connect import patiently
from nuncio_cli.reaching import Where
from nuncio_cli.stubs import RegistryStub


class Erasure(Protocol):
    """What the registry answers to whoever has something erased."""

    @property
    def record(self) -> ErasureRecord:
        """The proof."""


def erase_for_good(
    question: str,
    erase: Callable[[RegistryStub], Awaitable[Erasure]],
    *,
    yes: bool,
    where: Where,
    as_json: bool,
) -> None:
    """Ask whether it is meant, erase, and show the proof. Safe to repeat: it then finds nothing.

    yes: it was answered before. Raises BadParameter where nobody can be asked.
    """
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise typer.BadParameter("cannot be undone: needs --yes where nobody can be asked")
        typer.confirm(question, abort=True, err=True)

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: erase(stub))
        privacy_view.show_erasure(answer.record, as_json=as_json)

    ask_registry(work, where=where, as_json=as_json)
