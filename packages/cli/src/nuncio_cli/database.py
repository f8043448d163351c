"""The suite's own PostgreSQL is started again when it ends by itself."""

import asyncio
from typing import Final

from nuncio_cli.children import Notice
from nuncio_cli.errors import DatabaseGone
from nuncio_runtime.embedded_postgres import EmbeddedPostgres
from nuncio_runtime.embedded_programs import EmbeddedPostgresError

BETWEEN_LOOKS: Final = 1.0


async def keep_database(postgres: EmbeddedPostgres, notice: Notice) -> None:
    """Start it again whenever it is gone, until cancelled. Raises DatabaseGone when it cannot.

    What was committed is there again, at the same address; services find it by themselves.
    """
    while True:
        await asyncio.sleep(BETWEEN_LOOKS)
        if postgres.is_gone:
            notice("PostgreSQL ended; starting again")
            try:
                await postgres.start_again()
            except EmbeddedPostgresError as error:
                raise DatabaseGone(detail="; ".join(str(error).splitlines())) from error
