"""What happens when connections are closed by someone who is cancelled meanwhile."""

import asyncio
from typing import Any, cast

import asyncpg
import pytest

from nuncio_runtime.postgres import _close


class BrokenPool:
    """As asyncpg's, when its connections break while it is closed."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self.terminated = False

    async def close(self) -> None:
        self.closing.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise asyncpg.InterfaceError("connection is closed")

    def terminate(self) -> None:
        self.terminated = True


async def test_a_cancellation_is_not_lost_in_a_fault_of_the_connections() -> None:
    pool = BrokenPool()
    closing = asyncio.create_task(_close(cast("Any", pool)))
    await pool.closing.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert pool.terminated
