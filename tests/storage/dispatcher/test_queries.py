"""Every query is right for the schema."""

from nuncio_dispatcher.storage.postgres import Q
from tests.storage.dispatcher.conftest import Storage


async def test_every_query_prepares_against_the_schema(storage: Storage) -> None:
    async with storage.pool.acquire() as connection:
        for name in Q:
            await connection.prepare(getattr(Q, name))
