"""A process that uses the embedded PostgreSQL of the folder it is given.

It says "held" when it has the server, then obeys its input: at the end of it, it leaves and says
"left". On SIGINT it says whether the server still answers.
"""

import asyncio
import signal
import sys
from pathlib import Path

import asyncpg

from nuncio_runtime.embedded_postgres import EmbeddedPostgres, embedded_postgres


async def hold(folder: Path) -> None:
    async with embedded_postgres(folder, options={"fsync": "off"}) as server:
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGINT, lambda: asyncio.ensure_future(answer(server))
        )
        say("held")
        await asyncio.to_thread(sys.stdin.read)
    say("left")


async def answer(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.admin_dsn())
    say(f"answers {await connection.fetchval('SELECT 1')}")
    await connection.close()


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


asyncio.run(hold(Path(sys.argv[1])))
