"""A running server for one test."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from nuncio_runtime.config import ServerSettings
from nuncio_runtime.serve import Mount, serve


@asynccontextmanager
async def running(mounts: Sequence[Mount], **arguments: Any) -> AsyncIterator[str]:
    """Serve the mounts while inside; gives the address. Arguments go to `serve`."""
    settings = arguments.pop("settings", ServerSettings(drain_grace=timedelta(seconds=1)))
    stop = arguments.pop("stop", None) or asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            serve(settings, mounts, stop=stop, started=port.set_result, **arguments)
        )
        task.add_done_callback(lambda _: port.cancel())
        try:
            await port
            yield f"127.0.0.1:{port.result()}"
        finally:
            stop.set()
