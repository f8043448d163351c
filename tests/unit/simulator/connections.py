"""What a connection of a server stands between: a transport below it, a conversation above."""

import asyncio
from collections.abc import Callable

from nuncio_simulator.wire import Answer, Request


class MemoryTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.out = bytearray()
        self.writes = 0
        self.closed = False
        self.written = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.out += data
        self.writes += 1
        self.written.set()

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Talk:
    """A conversation that answers as told, one answer per request, the last one for ever."""

    def __init__(self, *answers: Answer, stream_limit: int = 100) -> None:
        self.answers = list(answers)
        self.stream_limit = stream_limit
        self.requests: list[Request] = []
        self.pings = True
        self.after: Callable[[], None] = lambda: None

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        self.after()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def answers_ping(self) -> bool:
        return self.pings
